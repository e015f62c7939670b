import pytest
from run_folders import result, task_events, write_run

from lasem.records import NoteRecord, line


@pytest.fixture
def finished(tmp_path):
    events = [event for t in range(3) for event in task_events(t)]
    return write_run(tmp_path / "runs" / "small-s0-abc0", events, end=result())


@pytest.fixture
def second_seed(tmp_path):
    events = [event for t in range(3) for event in task_events(t)]
    return write_run(tmp_path / "runs" / "small-s2-abc2", events, seed=2, end=result(seed=2))


@pytest.fixture
def unfinished(tmp_path):
    """One task learned, the second in its first epoch; a garbage line and a torn last line."""
    events = [*task_events(0), NoteRecord(text="the data stands in"), *task_events(1, epochs=1, ended=False)]
    folder = write_run(tmp_path / "runs" / "small-s1-abc1", events, seed=1)
    with (folder / "records.jsonl").open("a") as file:
        file.write("\nnot json\n" + line(next(task_events(2)))[:20])
    return folder
