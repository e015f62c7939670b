"""Every example, run as a user runs it."""

import os
import re
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
    assert {path.name for path in FOLDER.glob("*.py")} == set(TASKS)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "own_network.py")) for name in TASKS]
)
def test_example_learns_its_tasks(name):
    printed = output(name)
    accuracies = [float(value) for value in ACCURACY.findall(printed)]
    assert len(accuracies) == TASKS[name]
    assert sum(accuracies) / len(accuracies) > 75
    assert "shares" in printed
