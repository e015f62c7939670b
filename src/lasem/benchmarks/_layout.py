"""Layout of a folder of images: which level of folders names the split, the domain and the class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from lasem.errors import DataError

FileParts: TypeAlias = tuple[str, ...]
"""Path of a file below the folder of a data set: its folders and its name."""

SPLIT_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
LEVELS = ("split", "domain", "class", "*")
UNDERSTOOD = "class/file, domain/class/file, or one of these below train/, val/ and test/"


def split_of(name: str) -> str | None:
    """Return the split that a name stands for, in any spelling; None if it is no name of a split.

    >>> split_of("Val"), split_of("training"), split_of("dog")
    ('validation', 'train', None)
    """
    return next((split for split, names in SPLIT_NAMES.items() if name.casefold() in names), None)


def is_layout(text: str) -> bool:
    """Whether a text names levels of folders, such as "split/class", with a class and no level twice."""
    levels = text.split("/")
    known = [level for level in levels if level != "*"]
    return {*levels} <= {*LEVELS} and "class" in known and len({*known}) == len(known)


@dataclass(frozen=True)
class Layout:
    """Meaning of each level of folders.

    Attributes:
        levels: "split", "domain", "class", or "*" for a level without a meaning, from the outermost level.
    """

    levels: tuple[str, ...]

    def name_of(self, level: str, file: FileParts) -> str | None:
        """Return the folder of a file on a level; None if the layout does not have the level."""
        return file[self.levels.index(level)] if level in self.levels else None

    def split(self, file: FileParts) -> str:
        """Return the split of a file; "train" if the layout has no splits."""
        name = self.name_of("split", file)
        return "train" if name is None else split_of(name) or name

    def __str__(self) -> str:
        return "/".join((*self.levels, "file"))


def find_layout(files: Sequence[FileParts], *, given: str | None, place: Path) -> Layout:
    """Find out what the levels of folders mean.

    Args:
        files: Paths of the images below the folder.
        given: Layout that the user has set, such as "domain/class"; None to infer it from the names of folders.
        place: The folder, for error messages.

    Raises:
        DataError: The images do not lie equally deep, or their folders can be understood in several ways.
    """
    levels = None if given is None else tuple(given.split("/"))
    depth = len(files[0]) - 1 if levels is None else len(levels)
    other = next((file for file in files if len(file) - 1 != depth), None)
    if other is not None and levels is not None:
        raise DataError(
            f"with layout = \"{given}\" every image must lie {depth} folders deep (got '{'/'.join(other)}' in {place});"
            " move it elsewhere, or correct the layout"
        )
    if other is not None:
        raise DataError(
            f"all images of a folder must lie equally deep (got '{'/'.join(files[0])}' and '{'/'.join(other)}' in"
            f" {place}); move one of them elsewhere, or list images and labels in a file labels.csv there"
        )
    return Layout(levels or _inferred(files, depth=depth, place=place))


def _inferred(files: Sequence[FileParts], *, depth: int, place: Path) -> tuple[str, ...]:
    names = [sorted({file[level] for file in files}) for level in range(depth)]
    levels = ["*"] * depth
    split = next((level for level in range(depth) if all(map(split_of, names[level]))), None)
    if split is not None:
        levels[split] = "split"
    # A level with a single folder, such as "images", tells images apart from nothing.
    rest = [level for level in range(depth) if level != split and len(names[level]) > 1]
    mixed = next((name for level in rest if split is None for name in names[level] if split_of(name)), None)
    if mixed is not None:
        raise _ambiguous(f"'{mixed}' beside folders that are no splits", _with(levels, {rest[-1]: "class"}), place)
    if not rest:
        raise DataError(
            f"images must lie in at least two folders, one for each class (got '{'/'.join(files[0])}' and"
            f" {len(files) - 1} more in {place}); arrange them as {UNDERSTOOD}, or list them in a file labels.csv with"
            " the columns file_name and label"
        )
    if len(rest) > 2:
        raise _ambiguous(
            f"{len(rest)} levels of folders, such as '{'/'.join(files[0])}'", _with(levels, {rest[-1]: "class"}), place
        )
    if len(rest) == 2:
        _require_domains(files, rest, levels=levels, place=place)
        levels[rest[0]] = "domain"
    levels[rest[-1]] = "class"
    return tuple(levels)


def _require_domains(files: Sequence[FileParts], rest: Sequence[int], *, levels: list[str], place: Path) -> None:
    """Refuse two levels of folders that are not clearly domains with the same classes in each."""
    outer, inner = rest
    below: dict[str, set[str]] = {}
    for file in files:
        below.setdefault(file[outer], set()).add(file[inner])
    every = set().union(*below.values())
    common = sum(sum(name in inside for inside in below.values()) > 1 for name in every)
    # Published sets have a few domains, with many classes that are the same in each.
    if len(below) < len(every) and 2 * common > len(every):
        return
    got = f"{len(below)} folders with {len(every)} different folders inside, such as '{'/'.join(files[0])}'"
    meanings = ({outer: "domain", inner: "class"}, {outer: "class", inner: "domain"}, {inner: "class"})
    raise _ambiguous(got, " or ".join(_with(levels, meaning) for meaning in meanings), place)


def _with(levels: Sequence[str], meaning: Mapping[int, str]) -> str:
    return '"' + "/".join(meaning.get(level, name) for level, name in enumerate(levels)) + '"'


def _ambiguous(got: str, choices: str, place: Path) -> DataError:
    return DataError(
        f"folders of images must have a clear meaning (got {got} in {place}); set layout to what they are, for example"
        f" {choices}"
    )
