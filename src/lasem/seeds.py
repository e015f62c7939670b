"""Random seeds derived from the user's seed and the place where they are used.

No state of a generator has to be saved: the numbers drawn in epoch 7 of task 3, for example, follow from the seed
alone. This makes resuming a run exact.
"""

import zlib

import numpy as np


def derive_seed(seed: int, *place: str | int) -> int:
    """Derive an independent 63-bit seed for one place, such as ``("shuffle", task, epoch)``.

    Args:
        seed: The user's seed, at least 0.
        place: Words and numbers that identify the use; equal places give equal seeds.

    >>> derive_seed(0, "shuffle", 1) == derive_seed(0, "shuffle", 1) != derive_seed(0, "shuffle", 2)
    True
    """
    # Python's own hash of a string differs between processes, CRC-32 does not.
    key = [zlib.crc32(word.encode()) if isinstance(word, str) else word for word in place]
    return int(np.random.SeedSequence([seed, len(key), *key]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def numpy_generator(seed: int, *place: str | int) -> np.random.Generator:
    """Make a NumPy generator for one place; see `derive_seed`."""
    return np.random.default_rng(derive_seed(seed, *place))
