import io

import pytest
from rich.console import Console

from lasem.errors import RunError
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
    rows = {line.split()[0].removeprefix("digits/"): line for line in text.splitlines() if "seed 0 " in line}
    assert rows.keys() == set(LEARNERS)
    assert "failed" in rows["stl"]
    assert text.splitlines()[-1].strip() == "digits/stl seed 0: its process was killed [9]"
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
    assert [line.split()[0] for line in text.splitlines() if "seed 0 " in line] == ["digits/hps", "digits/lasem-hps"]
    assert "1 running, 1 failed, 2 waiting" in text


def test_odd_files_of_runs_cost_no_other_run_its_row(sweep, tmp_path):
    for run, stream, records in zip(
        sweep.runs, ("[1]", "{", "3", "{}"), ("[1]\n", "3\n", '"text"\n', "{}\n"), strict=True
    ):
        folder = tmp_path / run.spec.folder
        folder.mkdir()
        (folder / "stream.json").write_text(stream)
        (folder / "records.jsonl").write_text(records)
    assert "4 waiting" in text_of(status_table(StatusReader(sweep, tmp_path).read()))


def test_a_log_of_outcomes_that_is_no_file_is_named(sweep, tmp_path):
    SweepFolder.of(sweep.name, tmp_path).outcomes_path.mkdir(parents=True)
    with pytest.raises(RunError, match=r"outcomes\.jsonl must be a file that can be read"):
        StatusReader(sweep, tmp_path).read()


def test_a_folder_that_cannot_be_made_is_named(sweep, tmp_path):
    logs = SweepFolder.of(sweep.name, tmp_path).path / "logs"
    logs.parent.mkdir(parents=True)
    logs.write_text("a file")
    with pytest.raises(RunError, match="must be writable"):
        SweepFolder.of(sweep.name, tmp_path).create()


def test_names_with_markup_and_long_errors_are_shown_as_they_are(small_sweep, tmp_path):
    sweep = small_sweep('presets = ["digits/stl"]\n', 'name="x[/b]y"')
    folder = SweepFolder.of(sweep.name, tmp_path)
    folder.create()
    folder.append(Beginning(time=0, runs=1, done=0, executor="one process"))
    folder.append(ending(sweep.runs[0], error="a long reason [/red] " * 12))
    text = text_of(status_table(StatusReader(sweep, tmp_path).read()), width=80)
    assert "x[/b]y seed 0" in text
    assert len(text.splitlines()) < 14  # the reason has the whole width, not the rest of a column
    console = Console(file=io.StringIO(), width=80)
    with live_table(console, StatusReader(sweep, tmp_path)) as say:
        say(ending(sweep.runs[0], error="[/x]"))
    assert console.file.getvalue() == "x[/b]y seed 0: died: [/x]\n"


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
