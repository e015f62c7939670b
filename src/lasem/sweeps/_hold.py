"""What one process does at a time, and who does; the system lets go of it when the process ends, however it ends."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from lasem.errors import RunError
from lasem.files import write_atomically
from lasem.records import Record


class Holder(Record):
    """Who holds something."""

    host: str
    process: int
    since: float
    """Seconds since 1970."""
    attempt: int
    """Which try this is."""


@contextmanager
def held(path: Path, *, patience: float, attempt: int = 1) -> Iterator[None]:
    """Hold something, waiting for whoever holds it to end.

    Args:
        path: The lock; who holds it is written beside it.
        patience: Seconds to wait at most.
        attempt: Written down.

    Raises:
        RunError: Someone else still holds it then, or it cannot be written or locked.
    """
    lock = FileLock(path, timeout=patience)
    now = Holder(host=socket.gethostname(), process=os.getpid(), since=time.time(), attempt=attempt)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        write_atomically(_beside(path), now.model_dump_json().encode())
    except Timeout as error:
        who = _read(path)
        by = f"process {who.process} on {who.host}" if who else "another process"
        raise RunError(
            f"one process at a time does this - {by} holds {path} - wait until it ends, or end it"
        ) from error
    except OSError as error:
        raise RunError(f"a sweep writes and locks {path} - {error.strerror} - choose another --out") from error
    try:
        yield
    finally:
        lock.release()


def holder(path: Path) -> Holder | None:
    """Who holds something now; None where nobody does, or has not said so yet."""
    if not path.exists():
        return None
    try:
        with FileLock(path, blocking=False):
            return None
    except Timeout:
        return _read(path)


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")


def _read(path: Path) -> Holder | None:
    try:
        return Holder.model_validate_json(_beside(path).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
