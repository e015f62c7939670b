"""A run goes on exactly where it stopped, whatever learner it has; a learner takes part by being in the registry."""

import re

import pytest
import torch

from lasem import records
from lasem.presets import learner_entries
from lasem.records import EpochRecord
from lasem.runs import RunFolder, RunOptions, read_checkpoint, resolve, run
from listening import Listener

SETTINGS = [
    "benchmark.first_tasks=3", "benchmark.order=[0, 1, 0]", "benchmark.train_per_class=10", "benchmark.max_test=30",
    "network.name=synthetic-3", "training.epochs=2", "training.decay=0.1",
]  # fmt: skip
SEARCHED = re.compile("lasem|darts|brute-force")
TIMES = {"training_seconds", "evaluation_seconds", "seconds"}
NAMES = [entry.name for entry in learner_entries() if not re.search(r"-(top|bottom)-\d+$|-alternating$", entry.name)]


class Killed(Exception):
    pass


def kill_inside_task(position):
    """A watcher that fails after the first epoch of a task, and counts epochs."""

    def watch(event):
        if isinstance(event, EpochRecord) and event.task == position:
            raise Killed

    return watch


def left(folder):
    """Records and result without times; the last checkpoint."""
    events, warnings = records.read_events(folder.records_path)
    assert not warnings
    return [event.model_dump(exclude=TIMES) for event in events], folder.result().model_dump(exclude=TIMES)


@pytest.mark.parametrize("name", NAMES)
def test_killed_inside_two_tasks_a_run_ends_as_one_that_was_not(tmp_path, name):
    groups = ["search.partition={1,2},{3}"] if SEARCHED.match(name) else []
    spec = resolve(f"digits/{name}", [*SETTINGS, *groups])
    run(spec, RunOptions(out=tmp_path / "whole", device="cpu"))
    place, again = RunOptions(out=tmp_path / "again", device="cpu", checkpoint_every=1), []
    for position in (1, 2):
        with pytest.raises(Killed):
            run(spec, place, sinks=[Listener(event=kill_inside_task(position))])
    run(spec, place, sinks=[Listener(event=again.append)])
    whole, killed = (RunFolder.of(spec, tmp_path / part) for part in ("whole", "again"))
    assert left(killed) == left(whole)
    assert sum(isinstance(event, EpochRecord) for event in again) == 1  # the rest was not repeated
    one, other = read_checkpoint(whole).state, read_checkpoint(killed).state
    assert other.values == one.values
    assert other.tensors.keys() == one.tensors.keys()
    for key, tensor in one.tensors.items():
        assert torch.equal(other.tensors[key], tensor), key
        assert other.tensors[key].stride() == tensor.stride(), key
