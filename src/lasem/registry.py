"""Registries: what can be named in a spec, built in or added from outside.

An installed package adds an entry by an entry point in one of the groups ``lasem.learners``, ``lasem.strategies``,
``lasem.mechanisms``, ``lasem.networks`` and ``lasem.benchmarks``. A module that is not installed calls
`Registry.register` when it is imported, and is named with ``--plugin MODULE`` or in a spec's ``plugins = [...]``.
"""

import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, cast

from lasem.errors import SpecError, nearest

Entry = TypeVar("Entry")


class Importable(NamedTuple):
    """An entry that is imported when it is looked up, with what a list of names says about it.

    Attributes:
        target: Where it is, as an entry point has it: "package.module:name".
        summary: One line about it, so that a list need not import it; "" if lists do not name it.
    """

    target: str
    summary: str = ""


class UnknownNameError(SpecError, KeyError):
    """A registry has no entry of a name."""

    def __str__(self) -> str:
        """The message, which a KeyError would put in quotes."""
        return str(self.args[0])


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Entries by name; nothing is imported before its name is looked up.

    Args:
        kind: What an entry is, in one word, for messages.
        group: Group of the entry points that add to this registry.
        base: Class that an entry must be an instance or a subclass of, or where it is; None accepts everything.
        builtin: Entries that come with lasem; an `Importable` or its target is imported on the first look-up.
    """

    def __init__(
        self,
        kind: str,
        *,
        group: str,
        builtin: Mapping[str, Entry | Importable | str],
        base: type[Any] | str | None = None,
    ) -> None:
        self.kind = kind
        self.group = group
        self._base = base
        self._entries = {
            name: entry.target if isinstance(entry, Importable) else entry for name, entry in builtin.items()
        }
        self._summaries = {name: entry.summary for name, entry in builtin.items() if isinstance(entry, Importable)}

    def summary(self, name: str) -> str:
        """Return one line about an entry: the one declared with it, its attribute ``summary``, or its first line.

        Raises:
            SpecError: There is no such entry, or it cannot be imported.
        """
        if self._summaries.get(name):
            return self._summaries[name]
        entry = self[name]
        return getattr(entry, "summary", None) or (entry.__doc__ or "").strip().partition("\n")[0]

    @cached_property
    def base(self) -> type[Any] | None:
        """Class that an entry must be an instance or a subclass of; None accepts everything."""
        return EntryPoint("base", self._base, self.group).load() if isinstance(self._base, str) else self._base

    def register(self, name: str, entry: Entry) -> None:
        """Add an entry.

        Raises:
            SpecError: The name is taken by another entry, or the entry is of the wrong class.
        """
        if self._entries.get(name, entry) is not entry:
            raise SpecError(
                f"the name of a {self.kind} must be new (got {name!r}, which is taken); choose another name"
            )
        self._entries[name] = self._fitting(name, entry)

    @cached_property
    def _points(self) -> dict[str, list[EntryPoint]]:
        """Entry points of installed packages by name; built-in entries are never replaced."""
        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group):
            found.setdefault(point.name, []).append(point)
        return found

    def __getitem__(self, name: str) -> Entry:
        """Return the entry of a name.

        Raises:
            UnknownNameError: There is none; `get` returns its default then.
            SpecError: It cannot be imported, or several packages add it.
        """
        if name not in self:
            raise UnknownNameError(f"unknown {self.kind} {name!r}; {nearest(name, self)}")
        entry = self._entries.get(name)
        if entry is None:
            self._entries[name] = entry = self._load(name, self._only(name))
        elif isinstance(entry, str):
            self._entries[name] = entry = self._load(name, EntryPoint(name, entry, self.group))
        return entry

    def _only(self, name: str) -> EntryPoint:
        """Return the entry point of a name.

        Raises:
            SpecError: Several installed packages have one.
        """
        targets = sorted({point.value for point in self._points[name]})
        if len(targets) > 1:
            raise SpecError(
                f"the {self.kind} {name!r} must be added by one package (got {', '.join(targets)}); uninstall one"
            )
        return self._points[name][0]

    def _load(self, name: str, point: EntryPoint) -> Entry:
        """Import an entry."""
        try:
            entry = point.load()
        except Exception as error:
            raise SpecError(
                f"the {self.kind} {name!r} must be importable from {point.value!r}"
                f" (got {type(error).__name__}: {error}); correct or uninstall the package that adds it"
            ) from error
        return self._fitting(name, entry)

    def _fitting(self, name: str, entry: object) -> Entry:
        """The entry itself, if it is of the right class."""
        fits = self.base is None or isinstance(entry, self.base)
        if not fits and not (isinstance(entry, type) and issubclass(entry, cast("type", self.base))):
            wanted = cast("type", self.base).__name__
            raise SpecError(
                f"the {self.kind} {name!r} must be of class {wanted} (got {entry!r}); derive it from {wanted}"
            )
        return cast("Entry", entry)

    def __contains__(self, name: object) -> bool:
        """Whether there is an entry of that name; entry points are looked for only if it is not built in."""
        return name in self._entries or name in self._points

    def __iter__(self) -> Iterator[str]:
        """Names in the order of the built-in entries, then those that were added."""
        return iter({**self._entries, **self._points})

    def __len__(self) -> int:
        """Number of entries."""
        return len({**self._entries, **self._points})


def load_plugins(modules: Iterable[str]) -> None:
    """Import modules that add to registries, from the current folder too, as ``python -m`` does.

    Raises:
        SpecError: A module cannot be imported; the message names it and the cause.
    """
    for module in modules:
        if str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))
        try:
            importlib.import_module(module)
        except Exception as error:
            raise SpecError(
                f"a plugin must be a module that can be imported (got {module!r}, which raises"
                f" {type(error).__name__}: {error}); install it, or correct it"
            ) from error
