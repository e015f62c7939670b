"""The beginning of an attempt: what an earlier one left is taken up, and it is noted under which conditions."""

import socket
from collections.abc import Mapping
from dataclasses import asdict
from typing import cast

from lasem.benchmarks import TaskStream
from lasem.errors import RunError
from lasem.records import ResumptionRecord
from lasem.runs._checkpoint import Checkpoint
from lasem.runs._folder import RunFolder
from lasem.runs._lock import now
from lasem.runs._loop import Loop

CONDITIONS = ("lasem", "torch", "numpy", "device", "device_name", "threads", "captured")
"""Of these the last bits of a result depend."""


def keep_stream(folder: RunFolder, stream: TaskStream) -> None:
    """Write what the stream is made of; on resuming, check that it is still the same.

    Raises:
        RunError: The data has changed since the run began.
    """
    known = folder.read_json(folder.stream_path)
    if known and known["fingerprint"] != stream.fingerprint:
        raise RunError(
            f"a run goes on with the data it began with - {folder.path} began with data of fingerprint"
            f" {str(known['fingerprint'])[:12]}, this is {stream.fingerprint[:12]}"
            " - restore the data, or choose another --out"
        )
    if not known:
        outline = asdict(stream.outline)
        values = {"fingerprint": stream.fingerprint, "outline": outline, "choices": list(stream.choices)}
        folder.write_json(folder.stream_path, values | {"planted": [list(bits) for bits in stream.planted]})


def threads_before(folder: RunFolder, checkpoint: Checkpoint | None) -> int:
    """Threads that a run has used so far; 0 where it has no checkpoint yet."""
    return cast(int, folder.read_json(folder.environment_path).get("threads", 0)) if checkpoint else 0


def restore(loop: Loop, folder: RunFolder, checkpoint: Checkpoint | None) -> None:
    """Put the learner and the events back to a checkpoint; without one, to the start.

    Raises:
        RunError: The state is not one of this learner.
    """
    loop.history = folder.truncate(checkpoint.records if checkpoint else 0)
    if checkpoint is None:
        return
    try:
        loop.learner.restore(checkpoint.state, task=loop.open_task())
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        version = folder.read_json(folder.environment_path).get("lasem", "another version")
        raise RunError(
            f"a checkpoint holds all that its learner needs - {checkpoint.path} does not: {error}"
            f" - go on with lasem {version}, which began this run, or move {folder.path} away to start anew"
        ) from error


def note_attempt(
    folder: RunFolder, checkpoint: Checkpoint | None, *, here: Mapping[str, str | int], facts: Mapping[str, object]
) -> list[str]:
    """Keep what a run runs on, or compare with what it began on; the warnings, also of the checkpoint.

    Args:
        folder: Of the run.
        checkpoint: From which it goes on.
        here: On what it runs, as `describe` tells.
        facts: What else to keep, by name.
    """
    began = folder.read_json(folder.environment_path)
    if began:
        warnings = [*checkpoint.warnings, *_differences(began, here)] if checkpoint else []
        resumption = ResumptionRecord(
            time=now(),
            host=socket.gethostname(),
            epoch=checkpoint.epoch if checkpoint else 0,
            checkpoint=checkpoint.path.name if checkpoint else None,
            environment=dict(here),
            warnings=warnings,
        )
        folder.log(resumption)
    else:
        warnings = list(checkpoint.warnings) if checkpoint else []
    if checkpoint is None or not began:
        folder.write_json(folder.environment_path, {**here, **facts})
    return warnings


def _differences(began: Mapping[str, object], here: Mapping[str, object]) -> list[str]:
    """Conditions that have changed since a run began, in words."""
    changed = [name for name in CONDITIONS if name in began and _kind(began[name]) != _kind(here[name])]
    return [
        f"{name.replace('_', ' ')}: the run began with {began[name]} and goes on with {here[name]}; its result may"
        " differ in the last digits from that of an undisturbed run"
        for name in changed
    ]


def _kind(value: object) -> object:
    """A condition without what is of no account: the number of a GPU."""
    return value.partition(":")[0] if isinstance(value, str) and value.startswith("cuda") else value
