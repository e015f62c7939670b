"""Locks of folders: one process at a time works on a run, or executes a sweep."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from lasem.errors import RunError
from lasem.files import write_atomically, writing

PATIENCE = 1.0
"""Time in seconds to wait for a lock, because `holder` takes it for a moment."""


class Lockable(Protocol):
    """A folder that one process at a time works on."""

    @property
    def path(self) -> Path:
        """The folder, which must exist when it is locked."""
        ...

    @property
    def lock_path(self) -> Path:
        """File whose lock protects the folder."""
        ...

    @property
    def holder_path(self) -> Path:
        """File that says who has locked it."""
        ...


@dataclass(frozen=True)
class Holder:
    """The process that works on a folder.

    Attributes:
        pid: Number of the process on its machine.
        host: Name of the machine.
        since: Time at which it began, in UTC.
    """

    pid: int
    host: str
    since: str


@contextmanager
def exclusive(folder: Lockable) -> Iterator[None]:
    """Work on a folder as the only process.

    The system releases the lock when the process ends, however it ends, so no lock is ever stale.

    Raises:
        RunError: Another process, or another thread of this one, works on it.
    """
    lock = FileLock(folder.lock_path, timeout=PATIENCE)
    with writing(folder.lock_path):
        try:
            lock.acquire()
        except Timeout:
            raise RunError(
                f"{folder.path} must be used by one process at a time (got {_words(folder)}); wait for it to end, or"
                " stop it"
            ) from None
    try:
        me = Holder(pid=os.getpid(), host=socket.gethostname(), since=now())
        write_atomically(folder.holder_path, json.dumps(asdict(me)).encode())
        yield
    finally:
        with suppress(OSError):
            folder.holder_path.unlink(missing_ok=True)
        lock.release()


def holder(folder: Lockable) -> Holder | None:
    """Return the process that works on a folder, on whichever machine; None if there is none."""
    found = _read(folder)
    if found is None:
        return None
    try:
        with FileLock(folder.lock_path, blocking=False):
            return None  # the process was killed, so the file is out of date
    except Timeout:
        return found


def now() -> str:
    """Return the current time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(folder: Lockable) -> Holder | None:
    """Read who has written that it works on a folder."""
    try:
        return Holder(**json.loads(folder.holder_path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _words(folder: Lockable) -> str:
    """Return in words who works on a folder; that someone does is known, who it is may not be."""
    found = _read(folder)
    return f"process {found.pid} on {found.host} since {found.since}" if found else "another process"
