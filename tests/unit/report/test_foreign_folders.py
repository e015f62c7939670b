"""Run folders of other people: what they contain is text in every medium, and a damaged one hides no other."""

import csv
import io
import json
import os
import re
import shutil
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from rich.console import Console
from run_folders import result, task_events, write_learner, write_run

from lasem.errors import ReportError, RunError
from lasem.records import line
from lasem.report import FORMATS, TABLES, TableView, collect, comparison, export, show, table, write_figure
from lasem.report.page import page

PAYLOAD = "=1+1\x1b]0;owned\x07\x1b[31m</script><script>alert(1)</script><b>|$x_y$ \u202e[/b] \n# \\input{x}"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """One run in whose files, and in whose folder's name, every text is hostile."""
    events = [event for t in range(3) for event in task_events(t)]
    events = [event.model_copy(update={"name": PAYLOAD}) if event.event == "task" else event for event in events]
    names = dict.fromkeys(("name", "learner", "benchmark", "network", "profile"), PAYLOAD)
    end = result().model_copy(update=names | {"tasks": [PAYLOAD] * 3})
    path = write_run(tmp_path_factory.mktemp("runs") / "su\udcff[b]-s0-abc", events, end=end)
    written = json.dumps(PAYLOAD.replace("\n", " "))
    text = (path / "spec.toml").read_text().replace('"small"', written).replace('"digits"', written)
    (path / "spec.toml").write_text(text.replace('"lasem-hps"', written) + f'strategy = "em"\nsmall = [{written}]\n')
    (path / "environment.json").write_text(json.dumps({"device_name": PAYLOAD, "command": PAYLOAD, "layers": PAYLOAD}))
    return collect([path])


def printed(thing):
    console = Console(width=120, file=io.StringIO(), force_terminal=False)
    console.print(thing)
    return console.file.getvalue()


def test_a_terminal_shows_hostile_texts_and_obeys_none(hostile):
    text = printed(show(hostile[0])) + printed(comparison(hostile)) + "".join(hostile[0].warnings)
    assert not OBEYED.search(text)
    assert "\\x1b]0;owned" in text
    assert "su\\xff[b]" in text


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)


def test_tables_in_every_format_contain_hostile_texts_as_text(hostile):
    for name in ("comparison", "time", "settings"):
        written = {key: write(table(name, hostile)) for key, write in FORMATS.items()}
        assert not any(OBEYED.search(text) for text in written.values())
        assert not {"script", "b"} & set(Tags(written["html"]).found)
        assert "\\input" not in written["latex"]
        cells = [cell for row in csv.reader(io.StringIO(written["csv"])) for cell in row]
        assert not [cell for cell in cells if cell.startswith("=")]


def test_the_page_runs_no_script_of_a_run(hostile, finished):
    ours, theirs = page(hostile), page(collect([finished]))
    assert Tags(ours).found.count("script") == Tags(theirs).found.count("script")
    assert not OBEYED.search(ours.partition('id="plotly"')[0])
    ours.encode()


@pytest.mark.filterwarnings("ignore:constrained_layout")  # these names are longer than any figure
def test_figures_show_dollar_signs_and_are_valid_files(hostile, tmp_path):
    for name in ("cost", "share-map", "search", "network"):
        write_figure(name, hostile, tmp_path / f"{name}.svg")
        shown = "".join(ET.parse(tmp_path / f"{name}.svg").getroot().itertext())
        assert not OBEYED.search(shown)
    write_figure("share-map", hostile, tmp_path / "map.pdf")


def test_an_export_has_no_formula_and_no_control_character(hostile, tmp_path):
    for file in export(hostile, tmp_path):
        if file.suffix == ".csv":
            text = file.read_text(encoding="utf-8")
            assert not OBEYED.search(text)
            assert not [cell for row in csv.reader(io.StringIO(text)) for cell in row if cell.startswith("=")]


DEEP = "[" * 100_000 + "]" * 100_000


def change(name, **values):
    """Put other values into a JSON file of a run."""

    def apply(run):
        (run / name).write_text(json.dumps(json.loads((run / name).read_text()) | values))

    return apply


def replaced(name, content):
    return lambda run: (run / name).write_text(content)


def folder(name):
    def apply(run):
        (run / name).unlink()
        (run / name).mkdir()

    return apply


def pipe(name):
    def apply(run):
        (run / name).unlink()
        os.mkfifo(run / name)

    return apply


def added(text):
    return lambda run: (run / "spec.toml").write_text(text + (run / "spec.toml").read_text())


def recorded(**values):
    """Put other values into every record of an epoch, in an unfinished run."""

    def apply(run):
        (run / "result.json").unlink()
        lines = map(json.loads, (run / "records.jsonl").read_text().splitlines())
        lines = [item | values if item["event"] == "epoch" else item for item in lines]
        (run / "records.jsonl").write_text("".join(json.dumps(item) + "\n" for item in lines))

    return apply


DAMAGES = {
    "folder-for-records": folder("records.jsonl"),
    "folder-for-result": folder("result.json"),
    "pipe-for-environment": pipe("environment.json"),
    "deep-environment": replaced("environment.json", DEEP),
    "deep-stream": replaced("stream.json", f'{{"outline": {DEEP}}}'),
    "deep-spec": replaced("spec.toml", f"name = {DEEP}"),
    "latin-1-spec": lambda run: (run / "spec.toml").write_bytes(b'name = "caf\xe9"'),
    "number-of-small": added("small = 3\n"),
    "names-of-other-kinds": change("environment.json", device_name=[1], fingerprint=2**70, layers=[{"kind": 1}, 3]),
    "stream-of-other-kinds": change(
        "stream.json", choices=5, fingerprint=[2],
        outline={"identities": 3, "classes": [[1], "a"], "shape": 7, "images": 2},
    ),
    "seeds-of-other-kinds": replaced(
        "spec.toml", '[seeds]\nstream = [1]\ndata = {a = 1}\ntraining = "x"\n[training]\nepochs = [1]\n'
    ),
    "number-for-learner": replaced("spec.toml", "learner = 3\nbenchmark = [1]\nevaluation = 2\nsearch = []\n"),
    "huge-loss": recorded(loss=1e308),
    "empty-prior": recorded(prior=[], marginals=[]),
    "no-configuration": recorded(configuration=None),
}  # fmt: skip


@pytest.mark.filterwarnings("error")
def test_damaged_folders_hide_no_other_run_of_a_call(tmp_path):
    source = write_learner(tmp_path / "source", "lasem-hps", strategy="em") / "lasem-hps-s0-abc"
    runs = tmp_path / "runs"
    shutil.copytree(source, runs / "good")
    for number, (name, damage) in enumerate(DAMAGES.items(), start=1):
        shutil.copytree(source, runs / name)
        text = (source / "spec.toml").read_text()
        (runs / name / "spec.toml").write_text(text.replace("data = 0", f"data = {number}"))
        damage(runs / name)
    found = {run.path.name: run for run in collect([runs])}
    assert set(found) == {"good", *DAMAGES}
    assert found["good"].warnings == ()
    for name in ("folder-for-records", "pipe-for-environment", "deep-environment", "deep-spec", "latin-1-spec"):
        assert [text for text in found[name].warnings if f"/{name}/" in text and "cannot be read" in text], name
    every = list(found.values())
    text = printed(comparison(every)) + "".join(map(printed, map(show, every)))
    assert "good" in text
    for name in TABLES:
        if name not in ("groups", "orders"):
            assert TableView(table(name, every)).text()
    assert 'id="run-0"' in page(every)
    assert (tmp_path / "out" / "runs.csv") in export(every, tmp_path / "out")
    with pytest.raises(ReportError, match="must tell its layers"):
        write_figure("network", [found["names-of-other-kinds"]], tmp_path / "network.svg")


def test_a_folder_that_cannot_be_opened_is_named_once(finished, second_seed, monkeypatch):
    scandir = os.scandir

    def closed(path):
        if str(path).endswith("small-s2-abc2"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    (run,) = collect([finished.parent])
    assert run.path == finished
    assert [text for text in run.warnings if "small-s2-abc2: cannot be read (Permission denied)" in text]
    with pytest.raises(RunError, match="small-s2-abc2: cannot be read"):
        collect([second_seed])


def test_records_with_a_list_of_candidates_that_lacks_some_are_left_out(tmp_path):
    events = list(task_events(0))
    listed = events[0].model_copy(update={"candidates": ["11"]})
    path = write_run(tmp_path / "run", events)
    with (path / "records.jsonl").open("a") as file:
        file.write(line(listed))
    (run,) = collect([path])
    assert (run.events, "contradict each other" in run.warnings[-1]) == ((), True)


@pytest.mark.parametrize("name", ["a" * 5000, "\0", "nowhere"])
def test_a_name_that_no_folder_can_have_is_one_short_message(name):
    with pytest.raises(RunError, match="a run must be a folder") as told:
        collect([name])
    assert len(str(told.value)) < 500
