"""AbstractTracker: what sinks of experiment trackers have in common."""

import tomllib
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from lasem.records import EvaluationRecord, Event, EventReader
from lasem.runs._sink import RunStart, Sink
from lasem.runs._spec import Spec
from lasem.runs.sinks._scalars import ScalarReader

PROJECT = "lasem"
"""Name of the project or experiment in trackers."""


class AbstractTracker(Sink):
    """Base class of sinks that give every number of a run to an experiment tracker. A step is an epoch of the stream.

    Whenever a run starts, resumes or is finished already, the tracker gets the whole history from the run's records. A
    subclass sees to it that no number is there twice.
    """

    def __init__(self) -> None:
        self._reader = ScalarReader()
        self._num_tasks = 0
        self._completed = False
        self._is_open = False

    def started(self, start: RunStart) -> None:
        """Open the run in the tracker and give it the run's records."""
        self._num_tasks = start.num_tasks
        self._completed = start.finished
        self._open(start)
        self._is_open = True
        for event in EventReader(start.folder / "records.jsonl").new_events():
            self.event(event)

    def event(self, event: Event) -> None:
        """Give the tracker the numbers of an event as soon as it happens."""
        found = self._reader.read(event)
        if found is not None:
            self._log(found.values, found.step)
        if isinstance(event, EvaluationRecord) and event.task == self._num_tasks - 1:
            self._completed = True

    def ended(self) -> None:
        """Close the run in the tracker, as completed or as interrupted."""
        if self._is_open:
            self._close(completed=self._completed)

    @abstractmethod
    def _open(self, start: RunStart) -> None:
        """Open the run in the tracker, so that numbers of all steps can be logged."""

    @abstractmethod
    def _log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by name at a step; a step can come several times, and steps never fall."""

    @abstractmethod
    def _close(self, *, completed: bool) -> None:
        """Write what is left and close the run in the tracker."""


def title(spec: Spec) -> str:
    """Return the name by which trackers show a run."""
    return f"{spec.name} seed {spec.seeds.training}"


def settings(spec: Spec) -> dict[str, Any]:
    """Return the sections of a spec in JSON types, for trackers that show settings beside a run."""
    return tomllib.loads(spec.toml())
