"""The results book: runs are recorded as they end, come back on another machine, and are never made twice."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from book_pages import build
from book_records import Records

ROOT = Path(__file__).parents[2]

SWEEP = """
[grid]
benchmark = ["digits"]
learner = ["stl", "hps"]
"benchmark.train_per_class" = [4, 8]
seeds = [0]

[set]
benchmark.first_tasks = 2
training.epochs = 1
"""

PAGE = """# Tiny

Written by hand.

<!-- book: learners tiny against=stl -->
<!-- /book -->

<!-- book: streams tiny* against=stl rows=stl rows=h* -->
<!-- /book -->

<!-- book: forgetting tiny -->
<!-- /book -->

<!-- book: made tiny -->
<!-- /book -->

The end.
"""


def call(root, machine):
    """Start the book as a user does, at the priority of the test."""
    script = [
        sys.executable,
        ROOT / "results" / "book.py",
        "run",
        "tiny",
        "--root",
        root,
        "--out",
        machine,
        "--nice",
        "0",
    ]
    return subprocess.Popen([*map(str, script)], stdout=subprocess.DEVNULL)


def finished(folder):
    return {path.parent.name for path in folder.glob("*/result.json")}


@pytest.mark.slow
def test_a_book_that_is_killed_goes_on_on_another_machine_and_makes_no_run_twice(tmp_path):
    (tmp_path / "results" / "sweeps").mkdir(parents=True)
    (tmp_path / "results" / "sweeps" / "tiny.toml").write_text(SWEEP)
    page = tmp_path / "docs" / "results" / "tiny.md"
    page.parent.mkdir(parents=True)
    page.write_text(PAGE)
    records = tmp_path / "results" / "records" / "tiny.parquet"

    first = call(tmp_path, tmp_path / "one")
    while not records.exists() or not Records(records).runs:
        assert first.poll() is None
        time.sleep(0.1)
    first.kill()
    first.wait()
    before = Records(records)
    assert before.runs <= finished(tmp_path / "one")
    assert page.read_text() == PAGE
    shutil.rmtree(tmp_path / "one")

    second = call(tmp_path, tmp_path / "two")
    assert second.wait() == 0
    after = Records(records)
    assert len(after.runs) == 4
    assert finished(tmp_path / "two") == after.runs
    trained = {path.parent.name for path in (tmp_path / "two").glob("*/records.jsonl")}
    assert trained == after.runs - before.runs
    kept = {trial["run"]: trial for trial in after.trials}
    assert [kept[trial["run"]] for trial in before.trials] == before.trials

    text = page.read_text()
    assert text.startswith("# Tiny\n\nWritten by hand.\n")
    assert text.endswith("The end.\n")
    assert "| `hps` " in text
    assert "4 runs; " in text
    shutil.rmtree(tmp_path / "two")
    page.write_text(PAGE)
    assert build(tmp_path)[page] == text

    third = call(tmp_path, tmp_path / "three")
    assert third.wait() == 0
    assert not list((tmp_path / "three").glob("*/records.jsonl"))
    assert Records(records).table == after.table
