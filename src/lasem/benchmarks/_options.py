"""Rules that the options of benchmarks obey."""

from lasem import errors


def require(condition: bool, rule: str, **options: object) -> None:
    """Hold a rule over the options that are given by name.

    Raises:
        SpecError: The condition is false.

    >>> require(2 in (1, 3), "channels are 1 or 3", channels=2)
    Traceback (most recent call last):
    lasem.errors.SpecError: channels are 1 or 3 - got channels = 2 - change the benchmark's options
    """
    errors.require(condition, rule, remedy="change the benchmark's options", **options)


def require_at_least(low: float, **options: float | None) -> None:
    """Hold options, given by name, to a lower bound; None is not checked.

    Raises:
        SpecError: An option is below the bound.
    """
    for name, value in options.items():
        require(value is None or value >= low, f"{name} is at least {low}", **{name: value})


def require_amount(**options: int | float | None) -> None:
    """Hold options to be a number of images (int, at least 1) or a share of them (float, above 0, below 1).

    Raises:
        SpecError: An option is neither.
    """
    for name, value in options.items():
        fits = value is None or (value >= 1 if isinstance(value, int) else 0 < value < 1)
        require(fits, f"{name} is a whole number of at least 1 or a share between 0 and 1", **{name: value})
