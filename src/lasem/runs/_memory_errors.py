"""Errors of memory in words: what was being allocated, for what purpose, and what to change."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from lasem.errors import RunError
from lasem.formats import memory_size

WANTED = re.compile(r"(?i:tried to) allocate (\d+ bytes|[\d.]+ [KMGT]?i?B)|[Uu]nable to allocate ([\d.]+ [KMGT]?i?B)")
"""Words in which torch on a CPU, torch on a GPU and NumPy say how much they asked for."""


@contextmanager
def memory_for(purpose: Callable[[], str], *, remedy: str) -> Iterator[None]:
    """Say in words that memory does not suffice.

    Args:
        purpose: Returns what the memory is needed for; only called if it does not suffice.
        remedy: What the user can change.

    Raises:
        RunError: An allocation fails.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        wanted = _wanted(error)
        if wanted is None:
            raise
        raise RunError(f"memory must suffice for {purpose()} (got no space for {wanted}); {remedy}") from error


def _wanted(error: Exception) -> str | None:
    """Return how much a failed allocation had asked for; None for any other error."""
    text = str(error)
    if "could not create a primitive" in text:  # all that oneDNN says when it cannot allocate its buffers
        return "a kernel of oneDNN"
    if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "DefaultCPUAllocator" not in text:
        return None
    found = WANTED.search(text)
    if found is None:
        return "one more tensor"
    size = found[1] or found[2]
    place = "on the GPU" if isinstance(error, torch.OutOfMemoryError) else "in main memory"
    return f"{memory_size(int(size.split()[0])) if size.endswith(' bytes') else size} {place}"
