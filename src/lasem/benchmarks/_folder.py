"""Folders of image files: one folder per class, folders of domains and splits, or a table of labels."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lasem.benchmarks._columns import LABEL_COLUMNS
from lasem.benchmarks._decode import Decoding, decode_images
from lasem.benchmarks._label_table import TABLE_NAMES, Labeled, read_table
from lasem.benchmarks._layout import FileParts, find_layout
from lasem.benchmarks._source import Columns, Rows, Source
from lasem.errors import DataError
from lasem.text import printable

IMAGES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".ico", ".jp2", ".avif"}
)


@dataclass(frozen=True)
class ImageFolder:
    """Files of a folder.

    Attributes:
        place: The folder.
        images: Paths of the images below it, sorted.
        tables: Paths of tables of labels, sorted.
        others: Paths of files whose names are of neither, sorted.
    """

    place: Path
    images: Sequence[FileParts]
    tables: Sequence[FileParts]
    others: Sequence[FileParts]


@dataclass(frozen=True)
class Item:
    """An image file with what is known about it."""

    file: FileParts
    split: str
    label: str
    domain: str | None


def scan(place: Path) -> ImageFolder | None:
    """List the images of a folder; None if it has none, or has parquet files, which hold images themselves."""
    found = sorted(files(place))
    if any(file[-1].casefold().endswith(".parquet") for file in found):
        return None
    images = [file for file in found if _is_image(file)]
    tables = [file for file in found if file[-1].casefold() in TABLE_NAMES]
    others = sorted({*found}.difference(images, tables))
    return ImageFolder(place, images, tables, others) if images else None


def files(place: Path) -> Iterator[FileParts]:
    """Yield the files of a folder, hidden ones left out; links are followed, but none in a circle."""
    seen = set()
    for root, folders, names in os.walk(place, followlinks=True):
        real = os.path.realpath(root)
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith((".", "__"))]
        if real in seen:
            continue
        seen.add(real)
        parts = Path(root).relative_to(place).parts
        yield from ((*parts, name) for name in names if not name.startswith("."))


def find_images(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """List files as they are given, and of each folder the images that a benchmark would take, sorted by name.

    Args:
        paths: A file or a folder, or several.

    Raises:
        DataError: There is no such file, or a folder has no image.
    """
    found: list[Path] = []
    for path in map(Path, [paths] if isinstance(paths, str | os.PathLike) else paths):
        if path.is_dir():
            inside = sorted(path.joinpath(*file) for file in files(path) if _is_image(file))
            if not inside:
                raise DataError(f"a folder must have an image (got none in {printable(path)}); name another folder")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"every image must exist (got {printable(path)}, which does not); check the path")
    return found


def _is_image(file: FileParts) -> bool:
    return Path(file[-1]).suffix.casefold() in IMAGES


def folder_source(folder: ImageFolder, *, columns: Columns, decoding: Decoding, layout: str | None) -> Source:
    """Read the classes, domains and splits of a folder of images; images stay undecoded.

    Args:
        folder: Files of the folder.
        columns: Names of columns of a table of labels.
        decoding: How images are decoded.
        layout: Meaning of the levels of folders; None to infer it.

    Raises:
        DataError: Folders have no clear meaning, or a table does not fit the images.
    """
    if layout is None and folder.tables:
        items, how = _listed(folder, columns)
    else:
        items, how = _arranged(folder, columns, layout)
    names = sorted({item.label for item in items}, key=_numbers_first)
    ids = {name: number for number, name in enumerate(names)}
    splits = {split: [item for item in items if item.split == split] for split in _splits(items)}
    rows = {
        split: Rows(
            labels=np.asarray([ids[item.label] for item in listed], dtype=np.int64),
            domains=None if items[0].domain is None else np.asarray([item.domain for item in listed], dtype=np.str_),
        )
        for split, listed in splits.items()
    }

    def decode(split: str, chosen: np.ndarray) -> np.ndarray:
        paths = [str(folder.place.joinpath(*splits[split][row].file)) for row in chosen]
        return decode_images(({"path": path} for path in paths), places=paths, split=split, decoding=decoding)

    about = f"{folder.place} is read as {how}: {_summary(items, names)}{_left_out(folder.others)}"
    return Source(name=str(folder.place), class_names=tuple(names), rows=rows, decode=decode, about=about)


def _arranged(folder: ImageFolder, columns: Columns, layout: str | None) -> tuple[list[Item], str]:
    """Read labels from the names of folders."""
    found = find_layout(folder.images, given=layout, place=folder.place)
    known = {"domain": "domain"} if "domain" in found.levels else {}
    for name in filter(None, (columns.label, columns.domain)):
        if name not in {"label", *known}:
            raise DataError(
                f"{folder.place} must have a column '{name}' (got folders {found}, which give the columns"
                f" {', '.join(['label', *known])}); leave the column out, set layout, or add a table metadata.csv"
            )
    items = [
        Item(file, found.split(file), found.name_of("class", file) or "", found.name_of("domain", file))
        for file in folder.images
    ]
    return items, str(found)


def _listed(folder: ImageFolder, columns: Columns) -> tuple[list[Item], str]:
    """Read labels from tables."""
    items = []
    for table in folder.tables:
        path = folder.place.joinpath(*table)
        rows = read_table(path, files=folder.images, place=folder.place, column=columns.image)
        known = list(rows[0].values) if rows else []
        label = columns.label or next((name for name in LABEL_COLUMNS if name in known), "label")
        for name in filter(None, (label, columns.domain)):
            if name not in known:
                raise DataError(
                    f"{path} must have a column '{name}' (got columns {', '.join(known) or 'none'}); set"
                    " label_column or domain_column to the right one"
                )
        items += [_item(row, label=label, domain=columns.domain, table=path) for row in rows]
    if not items:
        raise DataError(f"a table of labels must list at least one image (got none in {folder.place}); add rows")
    tables = " and ".join("/".join(table) for table in folder.tables)
    rest = len(folder.images) - len(items)
    left_out = f", {rest} image file{'s are' if rest > 1 else ' is'} not in it" if rest else ""
    return sorted(items, key=lambda item: item.file), tables + left_out


def _item(row: Labeled, *, label: str, domain: str | None, table: Path) -> Item:
    for name in filter(None, (label, domain)):
        if not row.values[name]:
            raise DataError(
                f"every image must have a value in column '{name}' (got none for '{'/'.join(row.file)}' in {table});"
                " fill it, or leave that image out"
            )
    return Item(row.file, row.split, row.values[label], row.values[domain] if domain else None)


def _splits(items: Sequence[Item]) -> list[str]:
    """Return the splits, those for training first."""
    order = ("train", "validation", "test")
    return sorted({item.split for item in items}, key=lambda name: (order.index(name) if name in order else 3, name))


def _numbers_first(name: str) -> tuple[bool, int, str]:
    """Sort numbers by their value, and before other names."""
    return (False, int(name), name) if name.isdecimal() and name.isascii() else (True, 0, name)


def _left_out(others: Sequence[FileParts]) -> str:
    """Say that files without the ending of an image are not used, so that nobody misses the images of a class."""
    if not others:
        return ""
    several = "s that end" if len(others) > 1 else " that ends"
    return f", {len(others)} file{several} like no image left out, such as {'/'.join(others[0])}"


def _summary(items: Sequence[Item], names: Sequence[str]) -> str:
    domains = sorted({item.domain for item in items if item.domain is not None})
    counts = [f"{sum(item.split == split for item in items)} {split}" for split in _splits(items)]
    told = f"{len(domains)} domains ({', '.join(domains)}), " if domains else ""
    return f"{told}{len(names)} classes, {' + '.join(counts)} images"
