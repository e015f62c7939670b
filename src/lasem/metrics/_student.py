"""Quantiles of Student's t distribution, so that intervals need no SciPy."""

from functools import lru_cache
from math import atan2, cos, pi, sin, sqrt, tan

BISECTIONS = 80
"""Halvings of the interval of the angle, after which it is as narrow as rounding allows."""


def central_probability(t: float, freedom: int) -> float:
    """Return the probability that a t variable lies between -t and t.

    The finite sums are formulas 26.7.3 and 26.7.4 of Abramowitz and Stegun, Handbook of Mathematical Functions (1964).

    Args:
        t: A number from 0.
        freedom: Degrees of freedom, at least 1.
    """
    angle = atan2(t, sqrt(freedom))
    return _central(angle, freedom)


def _central(angle: float, freedom: int) -> float:
    square, total = cos(angle) ** 2, 0.0
    odd = freedom % 2
    term = cos(angle) if odd else 1.0
    for power in range(1 + odd, freedom, 2):
        total += term
        term *= square * power / (power + 1)
    return 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total


@lru_cache(maxsize=256)
def central_quantile(probability: float, freedom: int) -> float:
    """Return the t for which a t variable lies between -t and t with a given probability.

    Args:
        probability: A number between 0 and 1.
        freedom: Degrees of freedom, at least 1.
    """
    low, high = 0.0, pi / 2
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _central(middle, freedom) < probability else (low, middle)
    return tan(low) * sqrt(freedom)
