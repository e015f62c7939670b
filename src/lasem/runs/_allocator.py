"""Reuse of freed memory by the C library, for steps that allocate the same large tensors again and again."""

import ctypes
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""Parameters of glibc's ``mallopt``, as malloc.h numbers them."""

MOST = 2**31 - 1
PAD, LARGEST = 2**28, 2**30
"""Bytes by which the heap grows at least, and below which a tensor comes from the heap."""


def keep_freed_memory() -> bool:
    """Let glibc keep what is freed, instead of giving every large tensor back to the system and asking for it anew.

    A step of a search then reuses its pages; each new one would have to be cleared by the system first. The process
    keeps its peak until it ends. Elsewhere than on Linux with glibc nothing is changed.

    Returns:
        Whether it took effect.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, MOST), (TOP_PAD, PAD))
    taken = [mallopt(parameter, value) for parameter, value in settings]
    return all(taken)
