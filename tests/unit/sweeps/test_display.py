import io

import pytest
from rich.console import Console

from lasem.runs import RunFolder, exclusive
from lasem.sweeps import Ending, StatusReader, SweepFolder, live_table, status_table
from lasem.sweeps._folder import Beginning

LEARNERS = ("stl", "hps", "snn", "lasem-hps")


@pytest.fixture
def sweep(small_sweep):
    return small_sweep(f"presets = {[f'digits/{learner}' for learner in LEARNERS]}\n")


def working_on(run, out):
    """Be the process that works on a run."""
    folder = RunFolder.of(run.spec, out)
    folder.create(run.spec)
    return exclusive(folder)


def ending(run, kind="died", *, final=True, error="its process was killed [9]"):
    return Ending(time=0, run=run.spec.folder, label=run.label, attempt=1, kind=kind, final=final, error=error)


def text_of(table, width=160):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


def test_a_run_has_a_row_with_its_state_and_what_was_wrong(sweep, tmp_path):
    folder, (first, second, third, _) = SweepFolder.of(sweep.name, tmp_path), sweep.runs
    folder.create()
    with working_on(second, tmp_path):
        folder.append(Beginning(time=0, runs=4, done=0, executor="one process"))
        folder.append(ending(first))
        folder.append(ending(second, final=False).model_copy(update={"attempt": 2}))
        (tmp_path / third.spec.folder).mkdir()
        (tmp_path / third.spec.folder / "spec.toml").write_text(third.spec.toml())
        text = text_of(status_table(StatusReader(sweep, tmp_path).read()))
    rows = {line.split()[0].removeprefix("digits/"): line for line in text.splitlines() if "seed 0" in line}
    assert rows.keys() == set(LEARNERS)
    assert "failed" in rows["stl"]
    assert "its process was killed [9]" in rows["stl"]
    assert "running" in rows["hps"]
    assert " 3 " in rows["hps"]
    assert "interrupted" in rows["snn"]
    assert "waiting" in rows["lasem-hps"]
    assert "1 running, 1 failed, 1 interrupted, 1 waiting" in text


def test_a_low_terminal_shows_the_running_and_failed_runs(sweep, tmp_path):
    folder = SweepFolder.of(sweep.name, tmp_path)
    folder.create()
    with working_on(sweep.runs[3], tmp_path):
        folder.append(Beginning(time=0, runs=4, done=0, executor="one process"))
        folder.append(ending(sweep.runs[1]))
        text = text_of(status_table(StatusReader(sweep, tmp_path).read(), lines=2))
    assert [line.split()[0] for line in text.splitlines() if "seed 0" in line] == ["digits/hps", "digits/lasem-hps"]
    assert "1 running, 1 failed, 2 waiting" in text


def test_elsewhere_than_in_a_terminal_there_is_a_line_per_ending(sweep, tmp_path):
    console = Console(file=io.StringIO(), width=80)
    with live_table(console, StatusReader(sweep, tmp_path)) as say:
        say(ending(sweep.runs[0], final=False))
        say(ending(sweep.runs[0], "done", error=None))
    assert console.file.getvalue().splitlines() == [
        "digits/stl seed 0: died: its process was killed [9]; attempt 2 follows",
        "digits/stl seed 0: done",
    ]


def test_in_a_terminal_the_table_is_live(sweep, tmp_path):
    console = Console(file=io.StringIO(), width=120, height=40, force_terminal=True, color_system=None)
    with live_table(console, StatusReader(sweep, tmp_path)):
        pass
    assert "4 waiting" in console.file.getvalue()
