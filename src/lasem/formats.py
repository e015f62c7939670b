"""Numbers in words: durations, sizes in memory, and numbers in a row as ranges."""

from collections.abc import Iterable, Sequence

SIZES = ("bytes", "KiB", "MiB", "GiB", "TiB")


def time_unit(seconds: float) -> tuple[str, int]:
    """Return the unit that suits a duration, and the number of seconds in that unit.

    >>> time_unit(750)
    ('min', 60)
    """
    return next((unit for unit in (("h", 3600), ("min", 60)) if seconds >= 2 * unit[1]), ("s", 1))


def duration(seconds: float) -> str:
    """Write a duration with three digits, in the unit that suits it.

    >>> [duration(seconds) for seconds in (0.4567, 90, 750, 2_696_400)]
    ['0.457 s', '90 s', '12.5 min', '749 h']
    """
    unit, size = time_unit(seconds)
    value = seconds / size
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def memory_size(size: float) -> str:
    """Write a number of bytes in the largest unit in which it is at least 1.

    >>> [memory_size(size) for size in (12, 1536, 2.5 * 2**30)]
    ['12 bytes', '1.5 KiB', '2.5 GiB']
    """
    power = min(int(size).bit_length() // 10, len(SIZES) - 1)
    return f"{size / 1024**power:.{1 if power else 0}f} {SIZES[power]}"


def ranges(numbers: Iterable[int]) -> list[str]:
    """Write ascending numbers with three or more in a row as a range.

    >>> ranges([1, 2, 3, 5, 6])
    ['1-3', '5', '6']
    """
    rows: list[list[int]] = []
    for number in numbers:
        if rows and number == rows[-1][-1] + 1:
            rows[-1].append(number)
        else:
            rows.append([number])
    return [text for row in rows for text in ([f"{row[0]}-{row[-1]}"] if len(row) > 2 else map(str, row))]


def extent(numbers: Sequence[int]) -> str:
    """Write the smallest and the largest of some numbers.

    >>> extent([5, 10, 7]), extent([5, 5])
    ('5 to 10', '5')
    """
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
