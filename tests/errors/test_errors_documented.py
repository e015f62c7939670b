"""Every row of docs/errors.md is what a user gets, word for word; every case here has its row."""

import re
import shutil
import sys
from pathlib import Path

import data_cases
import pytest
import run_cases
import spec_cases

from lasem import cli
from lasem.errors import LasemError
from lasem.presets import resolve
from lasem.runs import RunOptions, check
from lasem.runs import run as run_spec

pytestmark = pytest.mark.usefixtures("dataset_cache")

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (.+?) \| `(.+)` \|$", flags=re.MULTILINE)
DOCUMENTED = {name: message.replace("\\|", "|") for name, _, message in ROW.findall(PAGE.read_text(encoding="utf-8"))}


def is_documented(name, error):
    """Whether a message is the one of its row, in which `…` stands for any text."""
    text = "(?s:.*)".join(map(re.escape, DOCUMENTED[name].split("…")))
    assert re.fullmatch(text, str(error)), f"{name}: {error}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    run_spec(run_cases.spec(), RunOptions(out=out, device="cpu"))
    return out


def test_every_case_has_a_row_and_every_row_a_case():
    parts = (spec_cases.SETTINGS, spec_cases.FILES, data_cases.CASES, run_cases.CASES, run_cases.COMMANDS)
    names = [name for part in parts for name in part]
    assert sorted(DOCUMENTED) == sorted(names)
    assert len(names) >= 60


@pytest.mark.parametrize("name", spec_cases.SETTINGS)
def test_a_wrong_setting_is_told_as_documented(name):
    target, *settings = spec_cases.SETTINGS[name]
    with pytest.raises(LasemError) as caught:
        check(resolve(target, settings))
    is_documented(name, caught.value)


@pytest.mark.parametrize("name", spec_cases.FILES)
def test_a_wrong_file_is_told_as_documented(name, tmp_path):
    path, content = tmp_path / "own.toml", spec_cases.FILES[name]
    if content is ...:
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(LasemError) as caught:
        check(resolve(str(path)))
    is_documented(name, caught.value)


@pytest.mark.parametrize("name", data_cases.CASES)
def test_wrong_data_is_told_as_documented(name, tmp_path):
    with pytest.raises(LasemError) as caught:
        data_cases.CASES[name](tmp_path)
    is_documented(name, caught.value)


@pytest.mark.parametrize("name", run_cases.CASES)
def test_a_wrong_run_or_device_is_told_as_documented(name, finished, tmp_path):
    out = shutil.copytree(finished, tmp_path / "runs")
    with pytest.raises(LasemError) as caught:
        run_cases.CASES[name](out)
    is_documented(name, caught.value)


@pytest.mark.parametrize("name", run_cases.COMMANDS)
def test_the_command_line_prints_that_message_alone_and_writes_nothing(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LASEM_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["lasem", *run_cases.COMMANDS[name]])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    output = capsys.readouterr()
    assert (stop.value.code, output.out) == (2, "")
    assert list(tmp_path.iterdir()) == []
    prefix, _, message = output.err.partition("error: ")
    assert prefix == ""
    is_documented(name, message.strip())
