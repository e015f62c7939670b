"""Arrays in temporary files, for pixels that do not fit in memory."""

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from lasem.errors import DataError
from lasem.formats import memory_size
from lasem.text import printable

VARIABLE = "LASEM_SCRATCH"
"""Environment variable that names the folder of temporary files."""


def scratch_folder() -> Path:
    """Return the folder of temporary files, which should lie on a fast disk.

    The usual folder of temporary files is often a part of the main memory, so the cache folder of the user is taken
    where the environment does not name another one.
    """
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lasem"


def scratch_array(shape: Sequence[int], dtype: DTypeLike) -> np.ndarray:
    """Make an array whose numbers lie in a temporary file, which has no name and vanishes with the array.

    The system holds in memory what was used last, and drops it where memory is needed for something else. However the
    process ends, no file is left.

    Args:
        shape: Shape of the array.
        dtype: Type of its numbers.

    Raises:
        DataError: The file cannot be made, or the disk has too little space.
    """
    folder, size = scratch_folder(), int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            _allocate(file.fileno(), size)
            return np.memmap(file, dtype=dtype, mode="r+", shape=tuple(shape))
    except OSError as error:
        raise DataError(
            f"a folder for temporary files must have space for {memory_size(size)} of pixels (got"
            f" {error.strerror or error} in {printable(folder)}); free space there, or name another folder by"
            f" {VARIABLE}"
        ) from error


def _allocate(descriptor: int, size: int) -> None:
    """Claim the space of a file, because a disk that is full later would end the process without a message."""
    os.truncate(descriptor, size)
    with suppress(AttributeError):  # not every system has it
        os.posix_fallocate(descriptor, 0, size)
