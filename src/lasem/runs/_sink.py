"""Sinks: what is told of a run while it goes on, such as the terminal or TensorBoard."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lasem.records import Event, TaskRecord
from lasem.runs._spec import Spec


@dataclass(frozen=True)
class RunStart:
    """What is known when a run starts, is resumed, or is found to be finished.

    Attributes:
        folder: The run folder.
        spec: The spec of the run.
        num_tasks: Number of tasks in the stream.
        epochs: Number of epochs of the whole stream, over all candidates; 0 if the run is finished already.
        resumed: Number of these epochs that earlier attempts have trained.
        finished: Whether there is a result already, so that nothing will be run.
        task: The task that was open when an earlier attempt stopped, or the last one before.
        warnings: Damaged checkpoints, and conditions that have changed since the run began.
        about: How a folder of images was understood, in one sentence; empty for other data.
        storage: Where images lie that do not fit in memory, in one sentence; empty for images in memory.
    """

    folder: Path
    spec: Spec
    num_tasks: int
    epochs: int
    resumed: int
    finished: bool
    task: TaskRecord | None = None
    warnings: list[str] = field(default_factory=list)
    about: str = ""
    storage: str = ""


class Sink(Protocol):
    """Receives the events of runs. Subclasses override what they need; the methods here do nothing."""

    def started(self, start: RunStart) -> None:
        """Hear that a run starts, is resumed, or is finished already."""

    def event(self, event: Event) -> None:
        """Hear of an event. It is in the records, and a checkpoint that is due after it has been written."""

    def ended(self) -> None:
        """Hear that the run has ended, was stopped or has failed; always called after `started`."""


class EventCallback(Sink):
    """Calls a function with every event of a run.

    Args:
        on_event: The function.
    """

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event

    def event(self, event: Event) -> None:
        """Call the function with an event of the run."""
        self._on_event(event)


@contextmanager
def following(sinks: Sequence[Sink], start: RunStart) -> Iterator[None]:
    """Tell sinks that a run starts, and when the context is left, that it has ended."""
    with ExitStack() as stack:
        for sink in sinks:
            sink.started(start)
            stack.callback(sink.ended)
        yield
