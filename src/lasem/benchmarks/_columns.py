"""Columns of a data set as arrays: class ids and names of domains."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lasem.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

LABEL_COLUMNS = ("label", "labels", "fine_label")
"""Names by which a column of labels is found."""


def texts(split: "Dataset", name: str, *, place: Path | str) -> np.ndarray:
    """Read a column as strings; class labels become their names: (N,), str.

    Raises:
        DataError: A value is missing.
    """
    import datasets

    feature, values = split.features[name], _values(split, name, place=place)
    if isinstance(feature, datasets.ClassLabel):
        return np.asarray([feature.names[value] for value in values], dtype=np.str_)
    return np.asarray(values).astype(np.str_)


def class_ids(
    splits: "dict[str, Dataset]", *, label: str, place: Path | str
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Read the names of the classes and, for each split, the class ids (N,), int64.

    Args:
        splits: Splits of the data set by name.
        label: Name of the column of labels.
        place: Folder or name of the data set, for error messages.

    Raises:
        DataError: A label is missing, or is neither a whole number nor a name.
    """
    import datasets

    feature = next(iter(splits.values())).features[label]
    if isinstance(feature, datasets.Value) and feature.dtype == "null":
        raise DataError(f"every image must have a label (got none in column '{label}' of {place}); label them")
    if not isinstance(feature, datasets.ClassLabel | datasets.Value):
        raise _no_labels(feature, label=label, place=place)
    values = {name: _values(split, label, place=f"split '{name}' of {place}") for name, split in splits.items()}
    if isinstance(feature, datasets.ClassLabel):
        names = tuple(str(name) for name in feature.names)
        return names, {name: np.asarray(column, dtype=np.int64) for name, column in values.items()}
    columns = {name: np.asarray(column) for name, column in values.items() if column}
    kinds = {column.dtype.kind for column in columns.values()}
    if not (kinds <= {"i", "u"} or kinds == {"U"}):
        raise _no_labels(feature, label=label, place=place)
    # Plain labels, numbers or names, are numbered in their sorted order over all splits together.
    known = np.unique(np.concatenate(list(columns.values()))) if columns else np.zeros(0, dtype=np.int64)
    ids = {name: np.searchsorted(known, columns.get(name, known[:0])).astype(np.int64) for name in values}
    return tuple(str(value) for value in known), ids


def _values(split: "Dataset", name: str, *, place: Path | str) -> list:
    """Read a column and refuse missing values."""
    values = list(split.select_columns([name])[:][name])
    if None in values:
        raise DataError(
            f"every image must have a value in column '{name}' (got none in row {values.index(None)} of {place});"
            " fill it, or leave that image out"
        )
    return values


def _no_labels(feature: object, *, label: str, place: Path | str) -> DataError:
    return DataError(
        f"labels must be whole numbers or names (got {feature} in column '{label}' of {place}); choose another column"
    )
