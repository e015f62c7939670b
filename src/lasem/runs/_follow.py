"""A loop on its way: events are written, checkpoints where they are due, and why it ended where it did not finish."""

from collections.abc import Callable
from contextlib import suppress

from lasem.errors import LasemError, RunError, RunStopped
from lasem.records import EpochRecord, EvaluationRecord, Event, InterruptedRecord
from lasem.runs._checkpoint import Checkpoints
from lasem.runs._folder import RunFolder
from lasem.runs._loop import Loop
from lasem.runs._memory import memory_for


def follow(
    loop: Loop,
    folder: RunFolder,
    checkpoints: Checkpoints,
    *,
    watch: Callable[[Event], None],
    stop: Callable[[], bool],
) -> None:
    """Go on to the end of the stream.

    Args:
        loop: New, or restored.
        folder: Takes the events.
        checkpoints: Take the learner's state.
        watch: Called with every event as it happens.
        stop: Asked at the end of every epoch and task whether to stop.

    Raises:
        RunStopped: `stop` said so.
        RunError: A number is not finite, memory or disk do not suffice; with the checkpoint to go back to.
    """
    try:
        if stop() and not loop.ended:
            raise RunStopped(_stopped(loop, folder))
        with memory_for(lambda: "this run", remedy="use a machine with more of it, or a smaller network"):
            for event in loop.run():
                folder.append(event)
                stopping = _keep(event, loop, checkpoints, stop=stop)
                watch(event)
                if stopping:
                    raise RunStopped(_stopped(loop, folder))
    except Exception as error:
        _note(error, loop, folder, checkpoints)
        if isinstance(error, RunError):
            raise RunError(f"{error}; {_way_back(checkpoints)}") from error
        raise


def _keep(event: Event, loop: Loop, checkpoints: Checkpoints, *, stop: Callable[[], bool]) -> bool:
    """Write a checkpoint where one is due after an event; whether the run is to stop there."""
    if not isinstance(event, EpochRecord | EvaluationRecord):
        return False
    due = checkpoints.due(epoch=isinstance(event, EpochRecord))
    stopping = not loop.ended and stop()
    if due or stopping or loop.ended:
        checkpoints.write(loop.learner.state(), epoch=loop.history.num_epochs)
    return stopping


def _stopped(loop: Loop, folder: RunFolder) -> str:
    return f"stopped after epoch {loop.history.num_epochs} of {loop.total}: {folder.path}"


def _way_back(checkpoints: Checkpoints) -> str:
    """Where the run would go on, in words."""
    if checkpoints.latest is None:
        return "there is no checkpoint yet to go back to"
    epoch, path = checkpoints.latest
    return f"the checkpoint to go back to is of epoch {epoch}, {path}"


def _note(error: Exception, loop: Loop, folder: RunFolder, checkpoints: Checkpoints) -> None:
    """Write behind the records why they end here; a full disk may refuse that too."""
    record = InterruptedRecord(
        reason="stopped" if isinstance(error, RunStopped) else "failed",
        text=str(error) if isinstance(error, LasemError) else f"{type(error).__name__}: {error}",
        task=loop.history.position,
        epoch=loop.history.num_epochs,
        checkpoint=checkpoints.latest[0] if checkpoints.latest else None,
    )
    with suppress(RunError):
        folder.append(record)
