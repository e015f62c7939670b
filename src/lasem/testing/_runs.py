"""The contract of runs: one that was killed ends as one that was not. And a sink that tests listen with."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lasem.records import EpochRecord, Event, read_events
from lasem.runs import RunFolder, RunOptions, RunStart, Sink, Spec, read_checkpoint, run

TIMES = {"training_seconds", "evaluation_seconds", "cpu_seconds", "seconds"}


class Listener(Sink):
    """Calls functions with what a sink is told; one that raises fails the run as any sink would.

    Args:
        started: Called when the run starts or is resumed.
        event: Called with every event.
        ended: Called when the run ends.
    """

    def __init__(
        self,
        *,
        started: Callable[[RunStart], Any] = lambda start: None,
        event: Callable[[Event], Any] = lambda event: None,
        ended: Callable[[], Any] = lambda: None,
    ) -> None:
        self._started, self._event, self._ended = started, event, ended

    def started(self, start: RunStart) -> None:
        """Call the function for a run that starts."""
        self._started(start)

    def event(self, event: Event) -> None:
        """Call the function for an event."""
        self._event(event)

    def ended(self) -> None:
        """Call the function for a run that ends."""
        self._ended()


class RunContract(ABC):
    """Claims about runs of a spec: killed inside a task, a run is resumed exactly where it was.

    The spec must have at least 3 tasks and 2 epochs per task. Choose a short one, because it is run twice::

        class TestMyRuns(RunContract):
            def make(self):
                return resolve("my-spec.toml", ["benchmark.first_tasks=3", "training.epochs=2"])
    """

    @abstractmethod
    def make(self) -> Spec:
        """Return the spec that is run."""

    def test_killed_inside_two_tasks_a_run_ends_as_one_that_was_not(self, tmp_path: Path) -> None:
        """A run that fails twice and is resumed leaves the same records, result and state, and repeats no epoch."""
        spec = self.make()
        run(spec, RunOptions(out=tmp_path / "whole", device="cpu"))
        resumed, events = RunOptions(out=tmp_path / "resumed", device="cpu", checkpoint_every=1), []
        for position in (1, 2):
            with pytest.raises(_Killed):
                run(spec, resumed, sinks=[Listener(event=_killer(position))])
        run(spec, resumed, sinks=[Listener(event=events.append)])
        whole, killed = (RunFolder.of(spec, tmp_path / name) for name in ("whole", "resumed"))
        assert _records(killed) == _records(whole)
        assert sum(isinstance(event, EpochRecord) for event in events) == 1
        one, other = read_checkpoint(whole), read_checkpoint(killed)
        assert one is not None
        assert other is not None
        assert other.state.values == one.state.values
        assert other.state.tensors.keys() == one.state.tensors.keys()
        for name, tensor in one.state.tensors.items():
            assert torch.equal(other.state.tensors[name], tensor), name
            assert other.state.tensors[name].stride() == tensor.stride(), name


class _Killed(Exception):
    """Raised inside a run to end it."""


def _killer(position: int) -> Callable[[Event], None]:
    """Return a function that fails after the first epoch of a task."""

    def watch(event: Event) -> None:
        if isinstance(event, EpochRecord) and event.task == position:
            raise _Killed

    return watch


def _records(folder: RunFolder) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return records and result without times."""
    events, warnings = read_events(folder.records_path)
    assert not warnings
    result = folder.result()
    assert result is not None
    return [event.model_dump(exclude=TIMES) for event in events], result.model_dump(exclude=TIMES)
