"""Tables of labels beside images: metadata.csv, metadata.jsonl or labels.csv, with one row per image."""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lasem.benchmarks._layout import FileParts, split_of
from lasem.errors import DataError, nearest

TABLE_NAMES = ("metadata.csv", "metadata.jsonl", "labels.csv", "labels.tsv")
FILE_COLUMNS = ("file_name", "filename", "file", "path", "file_path", "filepath", "image", "image_path", "id")


@dataclass(frozen=True)
class Labeled:
    """An image of a table.

    Attributes:
        file: Path of the image below the folder.
        split: Name of its split.
        values: Text of each column.
    """

    file: FileParts
    split: str
    values: dict[str, str]


def read_table(table: Path, *, files: Sequence[FileParts], place: Path, column: str | None) -> list[Labeled]:
    """Read a table, and find the image of each row.

    Args:
        table: The file.
        files: Paths of all images below the folder.
        place: The folder.
        column: Column with the paths of the images; None to find it by its name.

    Raises:
        DataError: The table cannot be read, or a row names no image of the folder, or one that is listed already.
    """
    rows = _rows(table)
    columns = list(rows[0]) if rows else []
    column = column or next((name for name in FILE_COLUMNS if name in columns), "file_name")
    if column not in columns:
        raise DataError(
            f"{table} must have a column '{column}' with paths of images (got columns {', '.join(columns) or 'none'});"
            " rename the one with paths to file_name"
        )
    found, known = [], _Index(files)
    folder = table.parent.relative_to(place).parts
    for number, values in enumerate(rows, start=1):
        file = known.find(values[column], folder)
        if file is None:
            raise DataError(
                f"{table} must list images of its folder (got '{values[column]}' in row {number});"
                f" {nearest(values[column], [path[-1] for path in files])}"
            )
        found.append(Labeled(file, _split(values, file), values))
    twice = next((file for file, times in Counter(item.file for item in found).items() if times > 1), None)
    if twice is not None:
        raise DataError(f"{table} must list an image once (got '{'/'.join(twice)}' twice); remove the other row")
    return found


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
        if table.suffix == ".jsonl":
            records = [json.loads(line) for line in text.splitlines() if line.strip()]
            return [{str(key): str(value) for key, value in record.items()} for record in records]
        delimiter = "\t" if table.suffix == ".tsv" else ","
        return list(csv.DictReader(text.splitlines(), delimiter=delimiter, restval="", strict=True))
    except (OSError, ValueError, AttributeError, csv.Error) as error:
        raise DataError(
            f"{table} must be a readable table with a line of column names (got {type(error).__name__}: {error});"
            " save it as CSV in UTF-8"
        ) from error


class _Index:
    """Images of a folder by their path, by their name, and by their name without the ending."""

    def __init__(self, files: Sequence[FileParts]) -> None:
        self._paths = set(files)
        self._names: dict[str, list[FileParts]] = {}
        for file in files:
            for name in {file[-1], Path(file[-1]).stem}:
                self._names.setdefault(name, []).append(file)

    def find(self, text: str, folder: FileParts) -> FileParts | None:
        """Find an image by a path from the table's folder or from the data set's, or by a name that only it has.

        No path leads out of the folder of the data set, because only images that were found in it are known.
        """
        path = tuple(step for step in text.replace("\\", "/").split("/") if step not in ("", "."))
        for candidate in (folder + path, path):
            if candidate in self._paths:
                return candidate
        same = self._names.get(text, [])
        return same[0] if len(same) == 1 else None


def _split(values: dict[str, str], file: FileParts) -> str:
    """Return the split of a row: what its column `split` says, or the first of its folders that is named so."""
    told = values.get("split") or next((folder for folder in file[:-1] if split_of(folder)), "train")
    return split_of(told) or told
