"""Errors of lasem: one root class, and a subclass for each kind of cause.

Every message states the rule with "must", the value that broke it, the place, and the remedy, for example
"batch_size must be at least 1 (got 0 in [training]); set it to 10".
"""

import difflib
import re
from collections.abc import Iterable

LISTED = 24
"""Largest number of words that a message lists before it says "and ... more"."""

SUGGESTED = 6
"""Largest number of words that a message suggests together."""


LONGEST = 200
"""Largest number of characters of a value that a message repeats."""


class LasemError(Exception):
    """Base class of every error that lasem raises on purpose."""


class SpecError(LasemError, ValueError):
    """An option, or the specification of a run or sweep, breaks a rule."""


class DataError(LasemError, ValueError):
    """Images, labels or their splits are not what a benchmark or learner needs."""


class RunError(LasemError, RuntimeError):
    """A run folder, checkpoint or device cannot be used, or a run cannot continue."""


class RunStopped(LasemError):
    """A run was asked to stop and stopped after a checkpoint; run the same command again to resume it."""


class ReportError(LasemError, ValueError):
    """A table, figure or export cannot be made from the given runs."""


def require(
    condition: bool, rule: str, *, remedy: str = "choose another value", where: str = "", **got: object
) -> None:
    """Raise an error that states the rule, the values that broke it, where they stand, and the remedy.

    Args:
        condition: Whether the rule is kept.
        rule: What must be true of the values, in words with "must".
        remedy: What the user can do.
        where: Where the values stand, such as "[training]".
        **got: The values by name. A name that the rule mentions is not repeated.

    Raises:
        SpecError: The condition is false.

    >>> require(0 >= 1, "batch_size must be at least 1", remedy="set it to 10", where="[training]", batch_size=0)
    Traceback (most recent call last):
    lasem.errors.SpecError: batch_size must be at least 1 (got 0 in [training]); set it to 10
    """
    if not condition:
        mentioned = set(re.findall(r"\w+", rule))
        values = [
            brief(repr(value)) if name in mentioned else f"{name} = {brief(repr(value))}" for name, value in got.items()
        ]
        place = f" in {where}" if where else ""
        raise SpecError(f"{rule} (got {', '.join(values)}{place}); {remedy}")


def brief(text: str) -> str:
    """Shorten a value that a message repeats.

    >>> len(brief(9000 * "1,")) < 250
    True
    """
    half, more = LONGEST // 2, len(text) - LONGEST
    return text if more <= 0 else f"{text[:half]}... {more} more characters ...{text[-half:]}"


def alternatives(words: Iterable[str]) -> str:
    """Write words as a list of which one is meant.

    >>> alternatives("abc"), alternatives(["alone"])
    ('a, b or c', 'alone')
    """
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest the known words that begin with ``word``, or the most similar one, or else list the first known words.

    >>> nearest("epoch", ["epochs", "batch_size"])
    "did you mean 'epochs'?"
    >>> nearest("x", ["b", "a"])
    'known: a, b'
    >>> nearest("lasem", ["lasem-hps", "lasem-tf", "hps"])
    "did you mean 'lasem-hps' or 'lasem-tf'?"
    """
    words = sorted(known)
    begins = [other for other in words if word and other.startswith(word)]
    if len(begins) > SUGGESTED:  # of "lasem-hps" and "lasem-hps-retained", the first is enough to recognize both
        begins = [one for one in begins if not any(one != other and one.startswith(other) for other in begins)]
    longer = list(map(repr, begins))
    if 1 < len(longer) <= SUGGESTED:
        return f"did you mean {alternatives(longer)}?"
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    rest = len(words) - LISTED
    return f"known: {', '.join(words[:LISTED])}{f' and {rest} more' if rest > 0 else ''}"
