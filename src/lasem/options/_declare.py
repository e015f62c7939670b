"""The decorator that makes a class of options, the types of its fields, and reading it from a table."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, Any, TypeVar, dataclass_transform, overload

import pydantic.dataclasses
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from lasem.errors import SpecError, require
from lasem.options._faults import Where, faults
from lasem.options._toml import Table

Options = TypeVar("Options")
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
NonNegative = Annotated[float, Field(ge=0, le=1e30, allow_inf_nan=False)]
"""A number of at least 0, such as the weight of a penalty; single precision can hold its products."""
Rate = Annotated[float, Field(gt=0, le=1e30, allow_inf_nan=False)]
"""A number above 0, such as a learning rate; single precision can hold its products."""
Share = Annotated[float, Field(ge=0, le=1)]
"""A share of something, from 0 to 1, both included."""
Fraction = Annotated[float, Field(gt=0, lt=1)]
"""A share of something, strictly between 0 and 1."""
Probability = Annotated[float, Field(gt=0, le=1)]
"""A probability above 0, up to and including 1."""
CountOrShare = Annotated[
    int | float,
    must(
        lambda given: 0 <= given < 2**31 if isinstance(given, int) else 0 <= given < 1,
        "a whole number or a share from 0 to below 1",
        "write a number such as 10, or a share such as 0.05",
    ),
]
"""A number of a task's batches or epochs, or a share of them; see `count_of`."""


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
                raise SpecError("\n  ".join(faults(error, Where(made, made.__name__)))) from None

        made.__init__ = init
        return made

    return decorate if cls is None else decorate(cls)


def _as_tuple(value: object) -> object:
    """A list, and all lists inside it, as tuples."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list | tuple) else value


def validate(
    cls: type[Options], table: Mapping[str, Any], *, section: str, elsewhere: Mapping[str, str] | None = None
) -> Options:
    """Make options from a table of a spec.

    Args:
        cls: A class made by the decorator `options`.
        table: Values by name, as TOML has them.
        section: Name of the table in the spec, for messages; "" for the whole spec.
        elsewhere: Names of the tables that single options come from, if not from that section.

    Raises:
        SpecError: Names are unknown or missing, or values break a rule; one line for each of them.
    """
    where = Where(cls, section)
    try:
        return TypeAdapter(cls).validate_json(json.dumps(table), strict=True)  # only JSON has lists as tuples
    except ValidationError as error:
        raise SpecError("\n  ".join(faults(error, where, elsewhere or {}))) from None
    except (TypeError, RecursionError) as error:
        raise SpecError(
            f"{where} must be made of text, numbers, true, false, lists and a few levels of tables"
            f" (got something else: {error}); put dates and times in quotes"
        ) from None


def require_unset(given: Any, *names: str, unless: str) -> None:  # noqa: ANN401 - any class of options
    """Check that options that nothing reads have their defaults.

    Args:
        given: Options.
        names: Names of those that are not read.
        unless: What would have to be so that they were, such as "order is second".

    Raises:
        SpecError: One of them has another value.
    """
    for item in dataclasses.fields(given):
        value = getattr(given, item.name)
        require(
            item.name not in names or value == item.default,
            f"{item.name} must be left out unless {unless}, because nothing reads it",
            remedy="leave it out, or change that option",
            **{item.name: value},
        )


def count_of(given: float, whole: int) -> int:
    """Return a whole number as it is, and a share as that share of the whole, rounded.

    >>> count_of(3, 40), count_of(0.25, 40)
    (3, 10)
    """
    return given if isinstance(given, int) else round(given * whole)


def defaults(cls: type[Any]) -> Table:
    """Return the options of a class that have a default other than None, as a table of a spec has them."""
    found: Table = {}
    for item in dataclasses.fields(cls):
        made = item.default_factory is not dataclasses.MISSING
        value = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
        if made or (value is not dataclasses.MISSING and value is not None):
            found[item.name] = _plain(value)
    return found


def _plain(value: object) -> object:
    """A default as TOML has it."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str) else str(value)
