"""Classes of a source: found by name, and divided into groups."""

import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from lasem.benchmarks._source import Source
from lasem.errors import DataError, nearest
from lasem.seeds import numpy_generator


def folded(name: str) -> str:
    """Remove the differences between spellings of a name: case, spaces, underscores and dashes.

    >>> folded("Real-World"), folded("Paper_Clip")
    ('realworld', 'paperclip')
    """
    return "".join(letter for letter in name.casefold() if letter not in " _-")


def alike(names: Iterable[str]) -> str:
    """Say which names differ only in their spelling, since these may be meant as one; empty if there are none.

    >>> alike(["dog", "cat", "Dog"])
    "'dog' and 'Dog' are two classes"
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(unicodedata.normalize("NFKC", folded(name)), []).append(name)
    twins = [group for group in groups.values() if len(group) > 1]
    return ", ".join(
        f"{' and '.join(map(repr, group))} are {'two' if len(group) == 2 else 'different'} classes" for group in twins
    )


def find_names(wanted: Iterable[str], *, known: Sequence[str], what: str, place: str) -> list[int]:
    """Find the positions of names in a list, regardless of their spelling.

    Args:
        wanted: Names to find.
        known: Names that exist.
        what: Kind of name, for the error message.
        place: Name of the data set, for the error message.

    Raises:
        DataError: A name does not exist.
    """
    positions = {folded(name): position for position, name in enumerate(known)}
    found = []
    for name in wanted:
        if folded(name) not in positions:
            raise DataError(f"a {what} must be one of those in {place} (got '{name}'); {nearest(name, known)}")
        found.append(positions[folded(name)])
    return found


def find_classes(source: Source, wanted: Iterable[str | int]) -> tuple[int, ...]:
    """Find the class ids of classes given by name or by id.

    Raises:
        DataError: The source has no such class.
    """
    names = []
    for label in wanted:
        if isinstance(label, int) and not 0 <= label < len(source.class_names):
            raise DataError(
                f"class ids of {source.name} must be between 0 and {len(source.class_names) - 1} (got {label});"
                " choose another"
            )
        names.append(source.class_names[label] if isinstance(label, int) else label)
    return tuple(find_names(names, known=source.class_names, what="class", place=source.name))


def find_domains(source: Source, wanted: Iterable[str], *, split: str = "train") -> list[str]:
    """Find domains by name and return the spelling of the source.

    Raises:
        DataError: The source has no such domain, or none at all.
    """
    known = source.domains(split)
    if not known:
        raise DataError(
            f"domains must be left out for a source without domains (got {source.name}); name the column that has them"
            " as domain_column, give a folder of domains, or leave domains out"
        )
    return [known[position] for position in find_names(wanted, known=known, what="domain", place=source.name)]


def random_groups(classes: Sequence[int], *, size: int, stream_seed: int) -> list[tuple[int, ...]]:
    """Divide classes at random into disjoint, sorted groups; the last group has the remaining classes.

    Raises:
        DataError: The last group would have a single class.
    """
    if len(classes) < 2 or len(classes) % size == 1:
        raise DataError(
            f"a task must have at least 2 classes (got groups of {size} out of {len(classes)} classes, which leaves one"
            " class alone); choose another number of classes per task"
        )
    shuffled = numpy_generator(stream_seed, "class groups").permutation(list(classes)).tolist()
    return [tuple(sorted(shuffled[start : start + size])) for start in range(0, len(shuffled), size)]


def even_groups(classes: Sequence[int], *, number: int, stream_seed: int) -> list[tuple[int, ...]]:
    """Divide classes at random into a number of disjoint, sorted groups whose sizes differ by at most one.

    Raises:
        DataError: There are not two classes.
    """
    if len(classes) < 2:
        raise DataError(f"a task must have at least 2 classes (got {len(classes)} in all); add a class")
    shuffled = numpy_generator(stream_seed, "class groups").permutation(list(classes))
    return [tuple(sorted(group.tolist())) for group in np.array_split(shuffled, number)]


def random_classes(num_classes: int, *, number: int, generator: np.random.Generator) -> tuple[int, ...]:
    """Draw `number` different class ids below `num_classes`, in ascending order."""
    return tuple(sorted(generator.choice(num_classes, size=number, replace=False).tolist()))
