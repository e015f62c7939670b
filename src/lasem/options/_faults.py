"""Faults of options in words: the rule, the value, the place, and what to do."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any, get_args, get_type_hints

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lasem.errors import LasemError, brief, nearest


def faults(error: ValidationError, where: "Where", elsewhere: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Say what is wrong, one line per value; the faults of the members of a union count as one.

    What is wrong with a list as a whole is left out where one of its items has a fault.

    Args:
        error: What pydantic found.
        where: The class of the options and the name of their table.
        elsewhere: Names of the tables that single options come from, if not from that one.
    """
    found = [(_find(item["loc"], where, elsewhere), item) for item in error.errors()]
    lists = {(place.table, outer) for place, _ in found for outer in place.lists()}
    found = [(place, item) for place, item in found if (place.table, place.key) not in lists]
    return [_fault(where, [item for _, item in same]) for where, same in groupby(found, key=lambda pair: pair[0])]


@dataclasses.dataclass(frozen=True)
class Where:
    """Where a wrong value is: the class and the name of its table, and its key with positions in lists."""

    owner: type[Any]
    table: str
    key: str = ""

    @property
    def inner(self) -> type[Any] | None:
        """The class of options that the key holds a table of, if it does."""
        annotation = field_types(self.owner).get(self.key.partition("[")[0])
        return next((kind for kind in _types(annotation) if hasattr(kind, "__pydantic_validator__")), None)

    def entered(self) -> "Where":
        """The table that the key holds, without a key."""
        return Where(self.inner or self.owner, f"{self.table}.{self.key}".strip("."))

    def lists(self) -> Iterator[str]:
        """Keys of the lists that the value is in: "a[0]" and "a" for "a[0][1]"."""
        key = self.key
        while "[" in key:
            key = key.rpartition("[")[0]
            yield key

    def __str__(self) -> str:
        """Name of the table as a message has it: of a class as it is, of a section in brackets."""
        return "the spec" if not self.table else f"[{self.table}]" if self.table[0].islower() else self.table


def _find(loc: Sequence[int | str], where: Where, elsewhere: Mapping[str, str]) -> Where:
    """Follow names and positions to a value; names of the members of a union are skipped."""
    for step in loc:
        if isinstance(step, int):
            where = dataclasses.replace(where, key=f"{where.key}[{step}]")
        elif not where.key:
            where = dataclasses.replace(where, table=elsewhere.get(step, where.table), key=step)
        elif where.inner:
            where = dataclasses.replace(where.entered(), key=step)
    return where


def field_types(cls: type[Any]) -> dict[str, Any]:
    """Return the annotations of all fields of a class of options, by name."""
    hints = get_type_hints(cls, include_extras=True)
    return {item.name: hints[item.name] for item in dataclasses.fields(cls)}


def _types(annotation: object) -> Iterator[type[Any]]:
    """All classes that an annotation is made of."""
    if isinstance(annotation, type):
        yield annotation
    for argument in get_args(annotation):
        yield from _types(argument)


def _fault(where: Where, items: list[ErrorDetails]) -> str:
    """One fault in words: the rule, the value, the place and the remedy."""
    kind, value = items[0]["type"], items[0]["input"]
    cause = items[0].get("ctx", {}).get("error")
    if isinstance(cause, LasemError):
        return f"{where.entered() if where.inner else where}: {cause}"
    if kind in ("missing", "missing_argument"):
        return f"{where.key} is missing in {where}; add it"
    if kind == "unexpected_keyword_argument":
        known = field_types(where.owner)
        return f"{where.key} is not an option of {where}; {nearest(where.key, known) if known else 'it has none'}"
    rules = dict(map(_rule, items))
    if "a number" in rules:
        rules.pop("a whole number", None)
    words, remedies = " or ".join(rules), list(rules.values())
    remedy = "leave out the quotes" if "number" in words and _is_number(value) else remedies[0]
    return f"{where.key} must be {words} (got {brief(repr(value))} in {where}); {remedy}"


def _rule(item: ErrorDetails) -> tuple[str, str]:
    """What a value must be, and what to do."""
    kind = item["type"]
    limits = {key: f"{it:g}" if isinstance(it, float) else it for key, it in item.get("ctx", {}).items()}
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", limits["expected"])
        return limits["expected"], nearest(str(item["input"]), known) if known else "choose one of these"
    if kind not in RULES:
        return RULES.get(kind.split("_")[0], (f"valid: {item['msg']}", "choose another value"))
    return RULES[kind][0].format(**limits), RULES[kind][1].format(**limits)


def _is_number(value: object) -> bool:
    """Whether text reads like a number."""
    pattern = r"\s*[-+]?[\d.]+(e[-+]?\d+)?\s*"
    return isinstance(value, str) and re.fullmatch(pattern, value, flags=re.IGNORECASE) is not None


RULES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "int": ("a whole number", "write a whole number"),
        "float": ("a number", "write a number"),
        "bool": ("true or false", "write true or false, without quotes"),
        "string": ("text", "put it in quotes, in a shell inside others: 'key=\"value\"'"),
        "tuple": ("a list", "put it in brackets"),
        "dataclass": ("a table", "give it keys of its own"),
        "greater_than": ("above {gt}", "set it to more than {gt}"),
        "greater_than_equal": ("at least {ge}", "set it to {ge} or more"),
        "less_than": ("below {lt}", "set it to less than {lt}"),
        "less_than_equal": ("at most {le}", "set it to {le} or less"),
        "finite_number": ("a finite number", "write a finite number"),
        "too_short": ("a list of at least {min_length}", "add to it"),
        "too_long": ("a list of at most {max_length}", "shorten it"),
        "rule": ("{rule}", "{remedy}"),
    }
)
"""What a value must be and what to do, under pydantic's kind of error or the beginning of its name."""
