"""Writing files so that none is ever half there, and a disk's refusals in words."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lasem.errors import RunError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a disk answers that has no room."""

UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP)
"""What file systems answer that cannot flush a folder."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell in words why a file or folder of a run cannot be written.

    Raises:
        RunError: The system refuses.
    """
    try:
        yield
    except OSError as error:
        remedy = "free space there" if error.errno in FULL else "make it writable, or choose another --out"
        raise RunError(
            f"a run writes its folder - {error.strerror or error} - {path} - {remedy}; the same command then goes on"
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its place, then rename it: readers see the old or the new one, also after a power cut.

    Raises:
        RunError: It cannot be written; what was there is still there.
    """
    beside = path.with_name(path.name + ".new")
    with writing(path):
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError:
            with suppress(OSError):
                beside.unlink()
            raise
        flush(path.parent)


def append(path: Path, content: bytes) -> None:
    """Add to a file's end: all of it, or nothing.

    Raises:
        RunError: It cannot be written.
    """
    with writing(path), path.open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            with suppress(OSError):
                file.truncate(size)
            raise


def flush(path: Path) -> None:
    """Let the disk have all of a file, or the names in a folder; nothing where there is none.

    Raises:
        OSError: The disk refuses.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)
