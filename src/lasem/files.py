"""Writing files so that no reader ever meets half of one, and what a disk refuses, in words."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lasem.errors import RunError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a disk that is full, or of a quota that is used up."""

UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP)
"""Error numbers of file systems that cannot flush a folder."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in words why a file or folder cannot be written.

    Raises:
        RunError: The system refuses.
    """
    try:
        yield
    except OSError as error:
        remedy = "free space there" if error.errno in FULL else "make it writable, or choose another --out"
        raise RunError(
            f"{path} must be writable (got {error.strerror or error}); {remedy}, and run the same command again"
        ) from error


@contextmanager
def replacing(*paths: Path) -> Iterator[list[Path]]:
    """Give files to write to, which replace `paths` once all of them are written.

    Readers see the old files or the new ones, also after a power cut. If anything fails, the old files stay.

    Yields:
        A file in the same folder for each of the paths.
    """
    fresh = [path.with_name(path.name + ".new") for path in paths]
    try:
        yield fresh
        for new, path in zip(fresh, paths, strict=True):
            flush(new)
            new.replace(path)
    except BaseException:
        for new in fresh:
            with suppress(OSError):
                new.unlink(missing_ok=True)
        raise
    for folder in {path.parent for path in paths}:
        flush(folder)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under another name, then rename it: readers see the old or the new one, also after a power cut.

    Raises:
        RunError: It cannot be written; what was there is still there.
    """
    with writing(path), replacing(path) as (new,):
        new.write_bytes(content)


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
    """Let the disk have all of a file, or the names in a folder; do nothing where there is none.

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
