"""Resuming a run: the stream is compared, the learner restored, and the conditions noted."""

import socket
from collections.abc import Mapping, Sequence

from lasem.benchmarks import Task, TaskStream
from lasem.errors import RunError
from lasem.learners import AbstractLearner
from lasem.records import ResumptionRecord
from lasem.runs._checkpoint import Checkpoint
from lasem.runs._folder import RunFolder
from lasem.runs._lock import now
from lasem.runs._loop import Loop
from lasem.runs._options import most_threads
from lasem.runs._stream_file import write_stream
from lasem.text import printable

CONDITIONS = ("lasem", "torch", "numpy", "device", "device_name", "threads", "captured")
"""Names of the conditions on which the last bits of a result depend."""


def keep_stream(folder: RunFolder, stream: TaskStream) -> None:
    """Write what the stream is made of; when resuming, check that it is still the same.

    Raises:
        RunError: The data has changed since the run began.
    """
    known = folder.read_json(folder.stream_path)
    if known and known.get("fingerprint") != stream.fingerprint:
        raise RunError(
            f"the data of a run must not change (got fingerprint {stream.fingerprint[:12]}, {folder.path} began with"
            f" {str(known.get('fingerprint'))[:12]}); restore the data, or choose another --out"
        )
    if "scaling" not in known:  # a new run, or one of an old version
        write_stream(folder, stream)


def threads_before(folder: RunFolder, checkpoint: Checkpoint | None) -> int:
    """Return the number of threads that a run has used so far; 0 without a checkpoint."""
    threads = folder.read_json(folder.environment_path).get("threads", 0) if checkpoint else 0
    return threads if isinstance(threads, int) and 0 < threads <= most_threads() else 0


def restore(loop: Loop, folder: RunFolder, checkpoint: Checkpoint | None) -> list[str]:
    """Restore the learner and the records from a checkpoint; without one, start anew.

    Records that contain epochs are renamed before a start anew, because their checkpoints may only be out of reach.

    Returns:
        A warning that names the records that were renamed, if any.

    Raises:
        RunError: The state is not one of this learner.
    """
    aside = folder.set_records_aside() if checkpoint is None else None
    loop.history = folder.truncate(checkpoint.records if checkpoint else 0)
    if checkpoint is None:
        told = f"{folder.records_path} has epochs, but {folder.checkpoints_path} has no checkpoint: the run starts anew"
        return [] if aside is None else [f"{told}, and the records are kept in {aside}"]
    restore_learner(loop.learner, folder, checkpoint, task=loop.open_task())
    return []


def restore_learner(learner: AbstractLearner, folder: RunFolder, checkpoint: Checkpoint, *, task: Task | None) -> None:
    """Restore a new learner from a checkpoint.

    Args:
        learner: A learner that was built from the spec of the run.
        folder: The run folder.
        checkpoint: The state.
        task: The task that was open then; None if none was.

    Raises:
        RunError: The state is not one of this learner.
    """
    try:
        learner.restore(checkpoint.state, task=task)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError, RecursionError) as error:
        version = folder.read_json(folder.environment_path).get("lasem", "another version")
        raise RunError(
            f"a checkpoint must have all that its learner needs (got {checkpoint.path}: {error});"
            f" resume with lasem {version}, which began this run, or move {folder.path} away to start anew"
        ) from error


def note_attempt(
    folder: RunFolder,
    checkpoint: Checkpoint | None,
    *,
    here: Mapping[str, str | int],
    facts: Mapping[str, object],
    warnings: Sequence[str] = (),
) -> list[str]:
    """Write the conditions of a new run, or compare those of a resumed run with them.

    Args:
        folder: The run folder.
        checkpoint: The checkpoint from which the run is resumed; None for a new run.
        here: The conditions here, from `describe`.
        facts: What else ``environment.json`` should contain, by name.
        warnings: What `restore` has warned of.

    Returns:
        Warnings: these, conditions that have changed, and checkpoints that were damaged.
    """
    began = folder.read_json(folder.environment_path)
    warnings = [*warnings, *(checkpoint.warnings if checkpoint else [])]
    if began:
        warnings += _differences(began, here) if checkpoint else []
        resumption = ResumptionRecord(
            time=now(),
            host=socket.gethostname(),
            epoch=checkpoint.epoch if checkpoint else 0,
            checkpoint=checkpoint.path.name if checkpoint else None,
            environment=dict(here),
            warnings=[printable(warning) for warning in warnings],
        )
        folder.log(resumption)
    if checkpoint is None or not began:
        folder.write_json(folder.environment_path, {**here, **facts})
    return warnings


def _differences(began: Mapping[str, object], here: Mapping[str, object]) -> list[str]:
    """Say in words which conditions have changed since a run began."""
    changed = [name for name in CONDITIONS if name in began and _kind(began[name]) != _kind(here[name])]
    return [
        f"{name.replace('_', ' ')}: the run began with {began[name]} and resumes with {here[name]}; its result may"
        " differ in the last digits from that of an undisturbed run"
        for name in changed
    ]


def _kind(value: object) -> object:
    """Return a condition without what does not matter: the number of a GPU."""
    return value.partition(":")[0] if isinstance(value, str) and value.startswith("cuda") else value
