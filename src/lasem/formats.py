"""Times and amounts of memory in words."""

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def format_bytes(size: float) -> str:
    """Return a number of bytes in the largest unit that leaves a digit before the point.

    >>> format_bytes(512), format_bytes(2.5 * 2**20)
    ('512 bytes', '2.5 MiB')
    """
    power = min(int(size).bit_length() // 10, len(UNITS) - 1)
    return f"{size / 1024**power:.{1 if power else 0}f} {UNITS[power]}"


def format_seconds(seconds: float) -> str:
    """Return a time in the unit that suits it.

    >>> format_seconds(0.031), format_seconds(754), format_seconds(9000)
    ('0.031 s', '13 min', '2.5 h')
    """
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def format_range(low: float, high: float) -> str:
    """Return two times as a range, or as one time if they read the same.

    >>> format_range(720, 900), format_range(3, 3)
    ('between 12 min and 15 min', 'about 3 s')
    """
    first, last = format_seconds(low), format_seconds(high)
    return f"about {last}" if first == last else f"between {first} and {last}"
