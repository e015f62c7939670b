"""One process at a time works on a run folder."""

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
    """Hold a run folder, which exists.

    The system gives the lock back when its process ends, however it ends, so none is ever stale. `holder.json` beside
    it only says who holds it.

    Raises:
        RunError: Another process, or another thread of this one, holds it.
    """
    lock = FileLock(folder.lock_path, blocking=False)
    with writing(folder.lock_path):
        try:
            lock.acquire()
        except Timeout:
            raise RunError(
                f"one process at a time works on a run - {folder.path} is held by {_holder(folder)}"
                " - wait for it to end, or stop it"
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
    """The time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _holder(folder: RunFolder) -> str:
    """Who holds a folder, in words; that it is held is known, who it is may not be."""
    try:
        facts = json.loads(folder.holder_path.read_bytes())
        return f"process {facts['pid']} on {facts['host']} since {facts['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
