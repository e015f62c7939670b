"""Tables of a spec: TOML files, assignments on the command line, and laying one table over another."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from lasem.errors import SpecError
from lasem.files import read_small, require_shallow

Table = dict[str, Any]
"""A TOML table as plain data."""

DEEPEST_KEY = 8
"""Most names that the key of an assignment may have; a spec needs two or three."""


def read_toml(path: Path, *, what: str = "a spec") -> Table:
    """Read a TOML file.

    Args:
        path: The file.
        what: What the file is expected to be, for messages.

    Raises:
        SpecError: There is no such file, or it is not TOML.
    """
    try:
        table = tomllib.loads(read_small(path).decode())
        require_shallow(table)
        return table
    except FileNotFoundError:
        raise SpecError(f"{what} must be a TOML file (there is none at {path}); check the path") from None
    except OSError as error:
        raise SpecError(f"{what} must be a TOML file (got {path}: {error.strerror}); name another") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, numbers or nesting beyond Python's limits
        raise SpecError(f"{what} must be a TOML file (got {path}: {error}); correct it there") from None


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
        require_shallow(read)
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
