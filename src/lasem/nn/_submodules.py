"""Submodules of a model by name: patterns are expanded, and a wrong name is told with the nearest one."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from lasem.errors import SpecError, nearest, require

StageName = str | Sequence[str]
"""A submodule, a pattern such as ``blocks.*``, or a list of these that make one stage."""


def stage_names(model: nn.Module, stages: Sequence[StageName]) -> list[list[str]]:
    """Return the names of the submodules of every stage.

    A pattern makes one stage of each submodule that it matches, and in a list it adds all of them to the list's stage.
    A star stands for any text without a dot, so ``blocks.*`` names the children of ``blocks``.

    Args:
        model: The model.
        stages: Names, patterns, and lists of them.

    Raises:
        SpecError: A name is unknown, named twice, or inside another one.
    """
    found: list[list[str]] = []
    for entry in stages:
        if isinstance(entry, str):
            found += [[name] for name in _matching(model, entry)]
        else:
            found.append([name for text in entry for name in _matching(model, text)])
    require(bool(found) and all(found), "stages must name submodules", remedy="name one or more", stages=list(stages))
    _require_apart([name for names in found for name in names])
    return found


def find_submodule(model: nn.Module, name: str) -> nn.Module:
    """Return a submodule.

    Raises:
        SpecError: There is none of that name; the message names the nearest.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    if not name or name not in modules:
        known = [other for other in modules if other and other.count(".") <= name.count(".")]
        raise SpecError(
            f"a stage must be the name of a submodule of {type(model).__name__} (got {name!r}); {nearest(name, known)}"
        )
    return modules[name]


def ancestors(names: Sequence[str]) -> set[str]:
    """Return the names of all modules that contain some of these, the model itself as "" included."""
    parts = [name.split(".") for name in names]
    return {".".join(words[:size]) for words in parts for size in range(len(words))}


def _matching(model: nn.Module, pattern: str) -> list[str]:
    """Return the names that a pattern matches, segment by segment, in the model's order."""
    if "*" not in pattern and "?" not in pattern and "[" not in pattern:
        find_submodule(model, pattern)
        return [pattern]
    segments = pattern.split(".")
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    split = [(name, name.split(".")) for name in names if name.count(".") == len(segments) - 1 and name]
    found = [name for name, words in split if all(map(fnmatchcase, words, segments))]
    if not found:
        raise SpecError(
            f"a pattern must match submodules of {type(model).__name__} (got {pattern!r});"
            f" {nearest(pattern, _numbered(names))}"
        )
    return found


def _numbered(names: Sequence[str]) -> list[str]:
    """Return patterns of submodules whose names end with a number, such as the blocks of a network."""
    parts = [name.rpartition(".") for name in names]
    return sorted({f"{parent}.*" if parent else "*" for parent, _, last in parts if last.isdigit()})


def _require_apart(names: list[str]) -> None:
    """Refuse a submodule that belongs to two stages, by its own name or by that of a module around it."""
    for number, name in enumerate(names):
        others = [other for other in names[:number] + names[number + 1 :] if f"{name}.".startswith(f"{other}.")]
        if others:
            raise SpecError(
                "a submodule must belong to one stage"
                f" (got {name!r}, which is {'named twice' if others[0] == name else f'inside {others[0]!r}'});"
                " leave one of them out"
            )
