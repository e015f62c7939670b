"""One attempt at a run: from the last checkpoint to the end of the stream, or to what stops it."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from lasem.errors import LasemError, RunError, RunStopped
from lasem.records import (
    EpochRecord,
    EvaluationRecord,
    Event,
    InterruptedRecord,
)
from lasem.runs._checkpoint import Checkpoints
from lasem.runs._folder import RunFolder
from lasem.runs._loop import Loop
from lasem.runs._memory_errors import memory_for
from lasem.runs._signals import hold_signals
from lasem.runs._sink import Sink
from lasem.text import printable


class Attempt:
    """Runs a loop to its end: writes events, writes checkpoints where they are due, and tells the sinks.

    Args:
        loop: A new loop, or one that was restored from a checkpoint.
        folder: The folder that takes the events.
        checkpoints: The writer of checkpoints.
    """

    def __init__(self, loop: Loop, folder: RunFolder, checkpoints: Checkpoints) -> None:
        self._loop = loop
        self._folder = folder
        self._checkpoints = checkpoints

    def run(self, *, sinks: Sequence[Sink], stop: Callable[[], bool]) -> None:
        """Train to the end of the stream.

        Args:
            sinks: Told of every event as it happens.
            stop: Asked at the end of every epoch and task whether to stop.

        Raises:
            RunStopped: The answer of `stop` was yes.
            RunError: A number is not finite, or memory or disk space do not suffice; the message names the checkpoint
                from which the run can be resumed.
            SystemExit: A second signal has ended the run at once; the records say so.
        """
        try:
            if stop() and not self._loop.ended:
                raise self._stopped()
            with memory_for(lambda: "this run", remedy="use a machine with more of it, or a smaller network"):
                for event in self._loop.run():
                    with hold_signals():  # a second one stops at once, but not within a line or a checkpoint
                        self._folder.append(event)
                        stopping = self._save(event, stop)
                    for sink in sinks:
                        sink.event(event)
                    if stopping:
                        raise self._stopped()
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            with hold_signals():
                self._record(error)
            if isinstance(error, RunError):
                raise RunError(f"{error}; {self._way_back()}") from error
            raise

    def _save(self, event: Event, stop: Callable[[], bool]) -> bool:
        """Write a checkpoint if one is due after an event, and return whether the run is to stop there."""
        if not isinstance(event, EpochRecord | EvaluationRecord):
            return False
        due = self._checkpoints.due(epoch=isinstance(event, EpochRecord))
        stopping = not self._loop.ended and stop()
        if due or stopping or self._loop.ended:
            self._checkpoints.write(self._loop.learner.state(), epoch=self._loop.history.num_epochs)
        return stopping

    def _stopped(self) -> RunStopped:
        trained, total = self._loop.history.num_epochs, self._loop.total
        return RunStopped(f"stopped after epoch {trained} of {total}: {self._folder.path}")

    def _way_back(self) -> str:
        """Say from which checkpoint the run can be resumed."""
        if self._checkpoints.latest is None:
            return "there is no checkpoint yet, so the run will start anew"
        epoch, path = self._checkpoints.latest
        return f"the run can be resumed from the checkpoint of epoch {epoch}, {path}"

    def _record(self, error: BaseException) -> None:
        """Write behind the records why they end here. A full disk may refuse that, too."""
        at_once = isinstance(error, KeyboardInterrupt | SystemExit)
        text = str(error) if isinstance(error, LasemError) else f"{type(error).__name__}: {error}"
        record = InterruptedRecord(
            reason="stopped" if at_once or isinstance(error, RunStopped) else "failed",
            text="stopped at once, without saving" if at_once else printable(text),
            task=self._loop.history.position,
            epoch=self._loop.history.num_epochs,
            checkpoint=self._checkpoints.latest[0] if self._checkpoints.latest else None,
        )
        with suppress(RunError):
            self._folder.append(record)
