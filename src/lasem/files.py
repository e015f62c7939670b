"""Reading and writing files: no reader ever meets half of one, and what the system refuses is told in words."""

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lasem.errors import RunError, brief

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a disk that is full, or of a quota that is used up."""

UNFIT = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)
"""Error numbers of a path that cannot be a file, whatever its permissions are."""

UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP)
"""Error numbers of file systems that cannot flush a folder."""


DEEPEST = 64
"""Most levels of tables and lists in a JSON or TOML file; files of runs have fewer than ten."""

LARGEST = 2**29
"""Largest size of a JSON or TOML file, in bytes."""

BLOCK = 2**20
"""Number of bytes that are read at a time."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say in words why a file or folder cannot be read.

    Raises:
        RunError: The system refuses.
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{brief(str(path))} must be readable (got {error.strerror or error});"
            f" {_remedy(error, 'make it readable', unfit='restore it, or choose another path')},"
            " and run the same command again"
        ) from (None if error.errno in UNFIT else error)


def read_json(path: Path) -> object:
    """Read a JSON file whose content need not be trusted.

    Raises:
        ValueError: It is not JSON, too large or nested too deeply.
        OSError: It cannot be read.
    """
    return parse_json(read_small(path))


def read_small(path: Path) -> bytes:
    """Read a file of text that need not be trusted.

    Raises:
        ValueError: It is far too large.
        OSError: It cannot be read.
    """
    if (size := path.stat().st_size) > LARGEST:
        raise ValueError(f"it has {size} bytes, more than {LARGEST}")
    return path.read_bytes()


def parse_json(content: bytes | str) -> object:
    """Read JSON that need not be trusted.

    Raises:
        ValueError: It is not JSON, or nested too deeply.
    """
    try:
        value = json.loads(content)
    except RecursionError:
        raise ValueError(f"more than {DEEPEST} levels of nesting") from None
    require_shallow(value)
    return value


def require_shallow(value: object) -> None:
    """Refuse data that is nested so deeply that code which follows it level by level would fail.

    Raises:
        ValueError: It has more levels than any file of lasem.
    """
    level = [value]
    for _ in range(DEEPEST):
        inner = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list))
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
        if not level:
            return
    raise ValueError(f"more than {DEEPEST} levels of nesting")


class StartHash:
    """SHA-256 of the first bytes of a file that grows; no byte is read twice.

    Args:
        path: The file, which may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self._size = 0

    def of(self, size: int) -> str:
        """Return the hash of the first `size` bytes, or of all if there are fewer; the size must never fall.

        Raises:
            RunError: The file cannot be read.
        """
        if size > self._size:
            with reading(self._path), self._path.open("rb") as file:
                file.seek(self._size)
                while block := file.read(min(BLOCK, size - self._size)):
                    self._hash.update(block)
                    self._size += len(block)
        return self._hash.hexdigest()


def _remedy(error: OSError, usual: str, *, unfit: str) -> str:
    """Return what the user can do about a refusal of the system."""
    if error.errno in FULL:
        return "free space there"
    return unfit if error.errno in UNFIT else usual


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in words why a file or folder cannot be written.

    Raises:
        RunError: The system refuses. Its cause is the system's error, unless another path is needed.
    """
    try:
        yield
    except OSError as error:
        remedy = _remedy(error, "make it writable, or choose another --out", unfit="choose another --out")
        raise RunError(
            f"{brief(str(path))} must be writable (got {error.strerror or error}); {remedy},"
            " and run the same command again"
        ) from (None if error.errno in UNFIT else error)


@contextmanager
def replacing(*paths: Path, unique: bool = True) -> Iterator[list[Path]]:
    """Give files to write to, which replace `paths` once all of them are written.

    Readers see the old files or the new ones, also after a power cut. If anything fails, the old files stay.

    Args:
        paths: The files to replace.
        unique: Several processes may write these files at once. Without it, the file that a killed process left is used
            again.

    Yields:
        A new, empty file in the same folder for each of the paths.
    """
    fresh: list[Path] = []
    try:
        for path in paths:
            fresh.append(_new_file(path, unique=unique))
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
    """Write a file of a run under another name, then rename it: readers see the old or the new one.

    That holds also after a power cut. Only one process at a time may write the file.

    Raises:
        RunError: It cannot be written; what was there is still there.
    """
    with writing(path), replacing(path, unique=False) as (new,):
        new.write_bytes(content)


def write_output(path: Path, content: bytes) -> None:
    """Write a file that a user named, and make its folder. Several processes may write it at once.

    Readers see the old file or the new one. A device or pipe is written to as it is.

    Raises:
        RunError: It cannot be written; what was there is still there.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        with replacing(path) as (new,):
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


def _new_file(path: Path, *, unique: bool) -> Path:
    """Create an empty file beside another one. It is never one that exists, so that no link there is followed."""
    token = f".{secrets.token_hex(6)}" if unique else ""
    new = path.with_name(f"{path.name[:50] if unique else path.name}{token}.new")
    if not unique:
        new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    return new
