import sys

import numpy as np
import pytest

from lasem.cli import app
from lasem.errors import RunError
from lasem.records import DecisionRecord, EpochRecord, EvaluationRecord, TaskRecord, line
from lasem.runs import RunStart, resolve
from lasem.runs._sink import following
from lasem.runs.sinks import TensorBoardLog
from lasem.runs.sinks._tensorboard import PIXELS, share_map

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="needs the package tensorboard"
)


def events():
    """Two tasks of two epochs, two groups."""
    for task in range(2):
        yield TaskRecord(task=task, identity=task, name=f"t{task}", classes=2, images={"train": 8})
        for epoch in (1, 2):
            yield EpochRecord(
                task=task, epoch=2 * task + epoch, task_epoch=epoch, loss=1 / epoch, valid_accuracy=0.5,
                test_accuracy=0.25 * epoch, configuration=[1, 0], prior=[(0, 0.1), (1, 0.2), (2, 0.3), (3, 0.4)],
                marginals=[0.7, 0.6], entropy=1.25, training_seconds=1, evaluation_seconds=1,
            )  # fmt: skip
        yield DecisionRecord(task=task, epoch=2 * task + 2, configuration=[1, task], probability=0.5, margin=0.25)
        yield EvaluationRecord(task=task, epoch=2 * task + 2, accuracy=[0.75, 0.5][: task + 1], seconds=1)


def attempt(folder, kept, new):
    """A run that goes on from the records kept, and the events that follow."""
    (folder / "records.jsonl").write_text("".join(map(line, kept)))
    spec = resolve("digits/lasem-hps")
    log = TensorBoardLog()
    with following([log], RunStart(folder=folder, spec=spec, num_tasks=2, epochs=4, resumed=len(kept), finished=False)):
        for event in new:
            log.event(event)
    (new_file,) = (folder / "tensorboard").glob("events.out.tfevents.*.*.*")
    new_file.rename(new_file.with_name(f"events.out.tfevents.{len([*new_file.parent.iterdir()])}.host"))  # long ago


def read(folder):
    found = accumulator.EventAccumulator(str(folder / "tensorboard"))
    found.Reload()
    return found


def scalars(found, tag):
    return [(event.step, pytest.approx(event.value)) for event in found.Scalars(tag)]


def test_scalars_probabilities_and_the_share_map_are_there(tmp_path):
    attempt(tmp_path, [], events())
    found = read(tmp_path)
    assert scalars(found, "loss/train") == [(1, 1.0), (2, 0.5), (3, 1.0), (4, 0.5)]
    assert scalars(found, "accuracy/test") == [(1, 0.25), (2, 0.5), (3, 0.25), (4, 0.5)]
    assert scalars(found, "configuration/10") == [(step, 0.3) for step in (1, 2, 3, 4)]
    assert scalars(found, "sharing/group_02") == [(step, 0.6) for step in (1, 2, 3, 4)]
    assert scalars(found, "task_accuracy/00") == [(2, 0.75), (4, 0.75)]
    assert scalars(found, "task_accuracy/01") == [(4, 0.5)]
    assert scalars(found, "accuracy/mean_of_tasks_so_far") == [(2, 0.75), (4, 0.625)]
    pictures = found.Images("share_map")
    assert [(picture.step, picture.width, picture.height) for picture in pictures] == [
        (2, 2 * PIXELS, 2 * PIXELS),
        (4, 2 * PIXELS, 2 * PIXELS),
    ]


@pytest.mark.parametrize("kept", range(0, 11, 2))
def test_going_on_repeats_no_step(tmp_path, kept):
    """Wherever the last checkpoint was, also between an epoch and what followed it."""
    everything = list(events())
    attempt(tmp_path, [], everything[: kept + 1])
    attempt(tmp_path, everything[:kept], everything[kept:])
    found = read(tmp_path)
    for tag in ("loss/train", "configuration/11"):
        assert [event.step for event in found.Scalars(tag)] == [1, 2, 3, 4]
    assert [event.step for event in found.Scalars("task_accuracy/00")] == [2, 4]
    assert [event.step for event in found.Images("share_map")] == [2, 4]


def test_a_tensorboard_that_has_read_the_first_attempt_forgets_it(tmp_path):
    everything = list(events())
    attempt(tmp_path, [], everything[:5])
    reader = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    reader.Reload()
    assert len(reader.Scalars("loss/train")) == 2
    attempt(tmp_path, everything[:2], everything[2:])
    reader.Reload()
    assert [event.step for event in reader.Scalars("loss/train")] == [1, 2, 3, 4]


def test_the_share_map_has_a_cell_per_task_and_layer_the_first_layer_at_the_bottom():
    picture = share_map({0: [1, 0], 1: [0, 0]}, num_tasks=3)
    assert picture.shape == (2 * PIXELS, 3 * PIXELS, 3)
    cells = picture[PIXELS // 2 :: PIXELS, PIXELS // 2 :: PIXELS]
    own, shared, open_ = cells[0, 0], cells[1, 0], cells[0, 2]
    assert len({tuple(color) for color in (own, shared, open_)}) == 3
    assert np.array_equal(cells[1, 1], own)
    assert np.array_equal(cells[1, 2], open_)


def test_without_the_package_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(RunError, match=r"pip install 'lasem\[tracking\]'"):
        TensorBoardLog()


def test_a_run_of_the_command_line_writes_them(tmp_path):
    few = ["--set", "training.epochs=1", "--set", "benchmark.first_tasks=2", "--out", str(tmp_path), "--quiet"]
    for more in ([], ["--tensorboard"]):  # the second time the run is done already
        app(["run", "digits/lasem-hps", *few, *more], standalone_mode=False)
    (run,) = tmp_path.iterdir()
    assert [event.step for event in read(run).Scalars("accuracy/validation")] == [1, 2]
