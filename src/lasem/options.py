"""Options: frozen dataclasses that are the schema of a section of a spec, their faults in words, and TOML tables.

Everything that can be configured is a class with the decorator `options`. Its fields carry their own ranges, so that
the same rule holds in Python (`EM(epsilon=2.0)`), in a TOML file and on the command line, with the same message.
"""

import dataclasses
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, cast, dataclass_transform, get_args, get_type_hints, overload

import pydantic.dataclasses
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from lasem.errors import LasemError, SpecError, nearest

Options = TypeVar("Options")
Table = dict[str, Any]
"""A TOML table as plain data."""

DEEPEST_KEY = 8
"""Most names that the key of an assignment may have; a spec needs two or three."""
STRICT = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True)


def must(holds: Callable[[Any], bool], rule: str, remedy: str = "choose another value") -> AfterValidator:
    """Make a rule for a field, to be used inside `Annotated`.

    Args:
        holds: Whether a value, already of the right type, obeys the rule.
        rule: What the value must be; completes the sentence "the value must be ...".
        remedy: What the user can do about a value that breaks the rule.
    """

    def check(value: object) -> object:
        if not holds(value):
            raise PydanticCustomError("rule", "{rule}", {"rule": rule, "remedy": remedy})
        return value

    return AfterValidator(check)


Positive = Annotated[int, Field(ge=1, lt=2**31)]
"""A whole number of at least 1."""
Count = Annotated[int, Field(ge=0, lt=2**31)]
"""A whole number of at least 0."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""A whole number that starts a random number generator."""
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A finite number of at least 0, such as the weight of a penalty."""
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A finite number above 0, such as a learning rate."""
Share = Annotated[float, Field(ge=0, le=1)]
"""A share of something, from 0 to 1, both included."""
Fraction = Annotated[float, Field(gt=0, lt=1)]
"""A share of something, strictly between 0 and 1."""
Probability = Annotated[float, Field(gt=0, le=1)]
"""A probability above 0, up to and including 1."""
Bits = Annotated[
    str, must(lambda bits: bits != "" and set(bits) <= {"0", "1"}, "one bit per group", "write for example '011'")
]
"""A configuration as text, one character per group: 0 for own, 1 for shared."""


@overload
def options(cls: type[Options], /) -> type[Options]: ...
@overload
def options(*, kw_only: bool = False) -> Callable[[type[Options]], type[Options]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, Field))
def options(cls: type[Any] | None = None, /, *, kw_only: bool = False) -> Any:
    """Make a class a frozen dataclass whose fields are checked strictly whenever an instance is made.

    Types are not converted: neither "1" nor 1.0 is an int. Two exceptions make TOML pleasant: an int is a float, and
    a list is accepted where a tuple is declared. Ranges stand in the annotations of the fields::

        @options
        class EWCOptions:
            penalty_weight: NonNegative = 400.0

    Args:
        cls: The class to decorate.
        kw_only: Whether instances are made with keyword arguments only.

    Raises:
        SpecError: Later, when an instance is made: all wrong values, with the rule that each of them breaks.
    """

    def decorate(plain: type[Any]) -> type[Any]:
        made: Any = pydantic.dataclasses.dataclass(plain, frozen=True, kw_only=kw_only, config=STRICT)
        checked = made.__init__

        @wraps(checked)
        def init(self: object, *args: object, **values: object) -> None:
            given = {name: _as_tuple(value) for name, value in values.items()}
            try:
                checked(self, *map(_as_tuple, args), **given)
            except ValidationError as error:
                raise SpecError("\n  ".join(_faults(error, made))) from None

        made.__init__ = init
        return made

    return decorate if cls is None else decorate(cls)


def _as_tuple(value: object) -> object:
    """A list, and all lists inside it, as tuples."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list | tuple) else value


def validate(cls: type[Options], table: Mapping[str, Any], *, section: str) -> Options:
    """Make options from a table of a spec.

    Args:
        cls: A class made by the decorator `options`.
        table: Values by name, as TOML has them.
        section: Name of the table in the spec, for messages; "" for the whole spec.

    Raises:
        SpecError: Names are unknown or missing, or values break a rule; one line for each of them.
    """
    try:
        return TypeAdapter(cls).validate_json(json.dumps(table), strict=True)  # only JSON has lists as tuples
    except ValidationError as error:
        raise SpecError("\n  ".join(_faults(error, cls, section))) from None
    except (TypeError, RecursionError) as error:
        raise SpecError(
            f"{_Where(cls, section)} must be made of text, numbers, true, false, lists and a few levels of tables"
            f" (got something else: {error}); put dates and times in quotes"
        ) from None


def _faults(error: ValidationError, cls: type[Any], section: str | None = None) -> list[str]:
    """Say what is wrong, one line per value; the section is None for options that were made in Python."""
    found = [(_find(item["loc"], cls, section), item) for item in error.errors()]
    return [_fault(where, [item for _, item in same]) for where, same in groupby(found, key=lambda pair: pair[0])]


@dataclasses.dataclass(frozen=True)
class _Where:
    """Where a wrong value is: the class and the name of its table, and its key with positions in lists."""

    owner: type[Any]
    table: str
    key: str = ""

    @property
    def inner(self) -> type[Any] | None:
        """The class of options that the key holds a table of, if it does."""
        annotation = field_types(self.owner).get(self.key.partition("[")[0])
        return next((kind for kind in _types(annotation) if dataclasses.is_dataclass(kind)), None)

    def entered(self) -> "_Where":
        """The table that the key holds, without a key."""
        return _Where(self.inner or self.owner, f"{self.table}.{self.key}".strip("."))

    def __str__(self) -> str:
        """Name of the table as a message has it: of a class as it is, of a section in brackets."""
        return "the spec" if not self.table else f"[{self.table}]" if self.table[0].islower() else self.table


def _find(loc: Sequence[int | str], cls: type[Any], section: str | None) -> _Where:
    """Follow names and positions to a value; names of the members of a union are skipped."""
    where = _Where(cls, cls.__name__ if section is None else section)
    for step in loc:
        if isinstance(step, int):
            where = dataclasses.replace(where, key=f"{where.key}[{step}]")
        elif not where.key:
            where = dataclasses.replace(where, key=step)
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


def _fault(where: _Where, items: list[ErrorDetails]) -> str:
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
    rules = [_rule(item) for item in items]
    words = " or ".join(dict.fromkeys(rule for rule, _ in rules))
    remedy = "leave out the quotes" if "number" in words and _is_number(value) else rules[0][1]
    return f"{where.key} must be {words} (got {value!r} in {where}); {remedy}"


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
        "string": ("text", "put it in quotes"),
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


def read_toml(path: Path) -> Table:
    """Read a TOML file.

    Raises:
        SpecError: There is no such file, or it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"a spec must be a TOML file (there is none at {path}); check the path") from None
    except OSError as error:
        raise SpecError(f"a spec must be a TOML file (got {path}: {error.strerror}); name another") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, numbers or nesting beyond Python's limits
        raise SpecError(f"a spec must be a TOML file (got {path}: {error}); correct it there") from None


def parse_assignment(text: str) -> Table:
    """Read ``section.key=value`` into nested tables; the value is TOML, or else plain text.

    >>> parse_assignment("training.epochs=20")
    {'training': {'epochs': 20}}
    >>> parse_assignment("search.commit_at={prior = 0.9}")
    {'search': {'commit_at': {'prior': 0.9}}}

    Raises:
        SpecError: There is no ``=``, or a name in the key is empty, or the key has too many names.
    """
    key, equals, value = text.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not equals or not all(names) or len(names) > DEEPEST_KEY:
        raise SpecError(f"a setting must be written section.key=value (got {text!r}); for example training.epochs=20")
    try:
        read = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):
        read = {}
    result: Any = read["value"] if read.keys() == {"value"} else value.strip()
    for name in reversed(names):
        result = {name: result}
    return cast("Table", result)


def merge(*tables: Mapping[str, Any]) -> Table:
    """Lay tables over each other, section by section; of two values for one key, the later wins."""
    merged: Table = {}
    for table in tables:
        for key, value in table.items():
            below = merged.get(key)
            merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return merged
