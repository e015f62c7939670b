"""Streams of randomness, each derived from a seed and the place where it is used.

No generator's history has to be stored: the numbers drawn for, say, epoch 7 of task 3 follow from the seed alone.
"""

import zlib

import numpy as np


def derive_seed(seed: int, *place: str | int) -> int:
    """Derive an independent 63-bit seed for one place, such as ``("shuffle", task, epoch)``.

    Args:
        seed: The user's seed, at least 0.
        place: Words and numbers that name the use; equal places give equal seeds.

    >>> derive_seed(0, "shuffle", 1) == derive_seed(0, "shuffle", 1) != derive_seed(0, "shuffle", 2)
    True
    """
    key = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in place]
    return int(np.random.SeedSequence([seed, len(key), *key]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def numpy_generator(seed: int, *place: str | int) -> np.random.Generator:
    """NumPy generator for one place; see `derive_seed`."""
    return np.random.default_rng(derive_seed(seed, *place))
