"""The lock of a run folder: only one process at a time works on a run."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from lasem.errors import RunError
from lasem.files import write_atomically, writing
from lasem.runs._folder import RunFolder


@contextmanager
def exclusive(folder: RunFolder) -> Iterator[None]:
    """Lock a run folder, which must exist, while the context is open.

    The system releases the lock when its process ends, however it ends, so no lock is ever stale. ``holder.json`` only
    says which process it is.

    Raises:
        RunError: Another process, or another thread of this one, has locked the folder.
    """
    lock = FileLock(folder.lock_path, blocking=False)
    with writing(folder.lock_path):
        try:
            lock.acquire()
        except Timeout:
            raise RunError(
                f"only one process at a time must work on a run (got {folder.path}, which is used by"
                f" {_holder(folder)}); wait for it to end, or stop it"
            ) from None
    try:
        facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": now()}
        write_atomically(folder.holder_path, json.dumps(facts).encode())
        yield
    finally:
        with suppress(OSError):
            folder.holder_path.unlink(missing_ok=True)
        lock.release()


def now() -> str:
    """Return the time in UTC, in the format of ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _holder(folder: RunFolder) -> str:
    """Say which process has locked a folder. That it is locked is known; by whom may not be."""
    try:
        facts = json.loads(folder.holder_path.read_bytes())
        return f"process {facts['pid']} on {facts['host']} since {facts['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
