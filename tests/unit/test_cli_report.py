"""`lasem table`, `lasem figure`, `lasem export`."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lasem.cli import app
from lasem.errors import ReportError
from lasem.report import FIGURES, TABLES

sys.path.insert(0, str(Path(__file__).parent / "report"))
from run_folders import write_learner


@pytest.fixture
def invoke():
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def runs(tmp_path):
    return write_learner(tmp_path / "runs", "hps", seeds=(0, 1))


@pytest.mark.parametrize(("command", "entries"), [("figure", FIGURES), ("table", TABLES)])
def test_what_can_be_made_is_listed(invoke, command, entries):
    output = invoke(command, "--list").stdout
    assert all(name in output and entry.summary in output for name, entry in entries.items())


@pytest.mark.parametrize(
    ("suffix", "start"), [(".tex", "\\begin{table}"), (".md", "| learner"), (".csv", "learner,"), (".html", "<style")]
)
def test_a_table_takes_its_format_from_the_file(invoke, runs, tmp_path, suffix, start):
    file = tmp_path / "new" / f"table{suffix}"
    assert invoke("table", "comparison", runs, "--out", file).exit_code == 0
    assert file.read_text().startswith(start)


def test_a_table_in_a_file_of_another_kind_is_refused(invoke, runs, tmp_path):
    wrong = invoke("table", "comparison", runs, "--out", tmp_path / "table.xlsx")
    assert "must end in one of .md, .tex, .csv, .html or .txt (got --out" in str(wrong.exception)
    assert not (tmp_path / "table.xlsx").exists()


def test_a_table_is_printed_in_any_format(invoke, runs):
    assert invoke("table", "comparison", runs, "--format", "csv").stdout.startswith("learner,")
    assert "Comparison on digits" in invoke("table", "comparison", runs).stdout
    wrong = invoke("table", "comparison", runs, "--format", "cvs")
    assert "did you mean 'csv'" in str(wrong.exception)


@pytest.mark.parametrize("command", ["figure", "table"])
def test_what_is_made_of_runs_asks_for_them(invoke, command, tmp_path):
    name, suffix = {"figure": ("share-map", ".svg"), "table": ("comparison", ".md")}[command]
    result = invoke(command, name, "--out", tmp_path / f"file{suffix}")
    assert isinstance(result.exception, ReportError)
    assert str(result.exception).startswith(f"the {command} {name} must have runs (got none)")


def test_a_figure_that_shows_no_single_tasks_refuses_one(invoke, runs, tmp_path):
    result = invoke("figure", "share-map", runs, "--task", 0, "--out", tmp_path / "map.svg")
    assert str(result.exception) == (
        "tasks must be left out of the figure share-map (got 0); the figures search and branches show single tasks"
    )
    assert not (tmp_path / "map.svg").exists()


def test_a_figure_is_written(invoke, runs, tmp_path):
    assert invoke("figure", "share-map", runs, "--out", tmp_path / "map.svg").exit_code == 0
    assert (tmp_path / "map.svg").read_text().lstrip().startswith("<?xml")


def test_an_export_warns_of_damaged_records_by_line_and_writes_the_rest(invoke, runs, tmp_path):
    records = runs / "hps-s0-abc" / "records.jsonl"
    lines = records.read_text().splitlines()
    records.write_text("\n".join([*lines[:3], '{"event": "epo', *lines[3:]]))
    found = invoke("export", runs, "--out", tmp_path / "out")
    assert found.exit_code == 0
    assert f"{records}, line 4: not a record" in found.stderr
    assert (tmp_path / "out" / "accuracy.csv").read_text().count("\n") == 1 + 2 * 3 * 2 * 2
