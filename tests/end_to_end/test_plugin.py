"""A package outside lasem: its five additions are installed, listed, run, resumed, loaded and reported."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lasem

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin"
SPECS = [str(PLUGIN / name) for name in ("example.toml", "nearest-mean.toml", "lasem-hps.toml")]
NAMES = {
    "learners": "nearest-mean",
    "mechanisms": "scaled",
    "strategies": "lowest-loss",
    "networks": "separable-3",
    "benchmarks": "corners",
}
SETTINGS = ["--set", "training.epochs=6", "--threads", "1", "--checkpoint-every", "1"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Variables of a process in which the package is installed."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--target", str(site), str(PLUGIN)], check=True, capture_output=True)
    source = str(Path(lasem.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), source]), "COLUMNS": "120"}


@pytest.fixture(scope="module")
def command(environment):
    """Run the command line in that process, and return what it prints."""

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "lasem.cli", *words], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def folders(environment, command, tmp_path_factory):
    """Run folders by learner; the first run was killed after a few epochs and resumed."""
    out = tmp_path_factory.mktemp("runs")
    words = ["run", *SPECS, "--out", str(out), *SETTINGS]
    started = subprocess.Popen([sys.executable, "-m", "lasem.cli", *words], env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (records := [*out.glob("*/records.jsonl")]) or len(records[0].read_text().splitlines()) < 5:
        assert started.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    started.send_signal(signal.SIGKILL)
    started.wait()
    assert not [*out.glob("*/result.json")]
    command(*words)
    return {json.loads(file.read_text())["learner"]: file.parent for file in out.glob("*/result.json")}


def events(folder):
    lines = map(json.loads, (folder / "records.jsonl").read_text().splitlines())
    return [{key: value for key, value in event.items() if "seconds" not in key} for event in lines]


def test_each_addition_takes_less_than_sixty_lines():
    lengths = {path.name: len(path.read_text().splitlines()) for path in PLUGIN.glob("lasem_example/*.py")}
    assert len(lengths) == 6
    assert max(lengths.values()) < 60


def test_additions_are_listed_beside_what_is_built_in(command):
    listed = json.loads(command("list", "--json"))
    for part, name in NAMES.items():
        assert name in listed[part]
        assert len(listed[part]) > 1


def test_a_killed_run_is_resumed_and_ends_as_one_that_was_not(folders, command, tmp_path):
    assert folders.keys() == {"lowest-loss-scaled", "nearest-mean", "lasem-hps"}
    command("run", SPECS[0], "--out", str(tmp_path), *SETTINGS)
    resumed = folders["lowest-loss-scaled"]
    assert (resumed / "resumptions.jsonl").exists()
    assert events(tmp_path / resumed.name) == events(resumed)


def test_finished_runs_are_loaded(folders, environment):
    code = "import json, sys, torch, lasem\n" + (
        "runs = [lasem.load(folder) for folder in sys.argv[1:]]\n"
        "images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))\n"
        "for run in runs:\n"
        "    torch.testing.assert_close(run.network(2)(images).argmax(1), run.predict(images, task=2))\n"
        "print(json.dumps([type(run.learner).__name__ for run in runs]))\n"
    )
    chosen = [str(folders[name]) for name in ("lowest-loss-scaled", "nearest-mean")]
    words = [sys.executable, "-c", code, *chosen]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["SelectiveTransfer", "NearestMean"]


def test_they_stand_in_one_comparison_with_built_in_learners(folders, command, tmp_path):
    table = command("table", "comparison", *map(str, folders.values()), "--format", "csv")
    rows = table.splitlines()
    assert len(rows) == 4
    assert all(any(name in row for row in rows) for name in folders)
    command("report", *map(str, folders.values()), "--out", str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in folders)
