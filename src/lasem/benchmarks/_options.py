"""Rules that the options of benchmarks obey."""

from math import inf

from lasem import errors

LARGEST_SIZE = 4096
MOST_TASKS = 10_000


def require(condition: bool, rule: str, **options: object) -> None:
    """Hold a rule over the options that are given by name.

    Raises:
        SpecError: The condition is false.

    >>> require(2 in (1, 3), "channels are 1 or 3", channels=2)
    Traceback (most recent call last):
    lasem.errors.SpecError: channels are 1 or 3 (got 2); change the benchmark's options
    """
    errors.require(condition, rule, remedy="change the benchmark's options", **options)


def require_at_least(low: float, **options: float | None) -> None:
    """Hold options, given by name, to a lower bound and to finite numbers; None is not checked.

    Raises:
        SpecError: An option is below the bound, infinite or not a number.
    """
    for name, value in options.items():
        require(value is None or low <= value < inf, f"{name} is at least {low}", **{name: value})


def require_amount(**options: int | float | None) -> None:
    """Hold options to be a number of images (int, at least 1) or a share of them (float, above 0, below 1).

    Raises:
        SpecError: An option is neither.
    """
    for name, value in options.items():
        fits = value is None or (value >= 1 if isinstance(value, int) else 0 < value < 1)
        require(fits, f"{name} is a whole number of at least 1 or a share between 0 and 1", **{name: value})


def require_size(size: int | None) -> None:
    """Hold the height and width of images to what one can be resized to; None is not checked.

    Raises:
        SpecError: It is less than a pixel, or more than an image should have.
    """
    rule = f"size is at least 1, and at most {LARGEST_SIZE} pixels"
    require(size is None or 1 <= size <= LARGEST_SIZE, rule, size=size)


def require_tasks(tasks: int) -> None:
    """Hold a number of base tasks to what a stream can be planned of.

    Raises:
        SpecError: There is none, or there are too many.
    """
    require(1 <= tasks <= MOST_TASKS, f"tasks is at least 1, and at most {MOST_TASKS}", tasks=tasks)
