"""What keeps a local data set to its own folder: it reads no other folder and no network, whatever its files say."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from lasem.errors import DataError
from lasem.text import printable

CARDS = ("README.md", ".huggingface.yaml")
"""Files in which Hugging Face `datasets` looks up which files belong to a data set."""
FILE_KEYS = ("data_files", "data_dir", "path")


def require_own_files(place: Path) -> None:
    """Refuse a folder whose README.md says that the data set has files elsewhere.

    Args:
        place: The folder.

    Raises:
        DataError: A file is named by a URL, or by a path that leads out of the folder.
    """
    for name in CARDS:
        for pattern in _named_files(place / name):
            if _leads_out(pattern):
                raise DataError(
                    f"{place / name} must name files of its own folder only (got '{printable(pattern)}'); copy the"
                    " files into the folder and name them there, or remove data_files"
                )


def own_file(cell: Mapping[str, object] | None, place: Path) -> Mapping[str, object] | None:
    """Return an image without bytes with the full path of its file, which starts at the folder.

    Args:
        cell: ``bytes`` and ``path`` of an image.
        place: The folder.

    Raises:
        DataError: The path leads out of the folder.
    """
    path = (cell or {}).get("path")
    if not isinstance(path, str) or isinstance((cell or {}).get("bytes"), bytes):
        return cell
    full = os.path.normpath(os.path.join(os.path.abspath(place), path))
    if not Path(full).is_relative_to(os.path.abspath(place)):
        raise DataError(
            f"the images of a local data set must lie in its folder (got '{printable(path)}' in {place});"
            " copy them there"
        )
    return {"path": full}


def _leads_out(pattern: str) -> bool:
    return "://" in pattern or "::" in pattern or os.path.isabs(pattern) or ".." in re.split(r"[/\\]", pattern)


def _named_files(card: Path) -> Iterator[str]:
    """Yield the paths that a card gives in its YAML; none if there is no card or it cannot be read."""
    import yaml

    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return
    if card.suffix == ".md":
        head = re.match(r"\s*---\s*\n(.*?)\n---\s*(\n|$)", text, flags=re.DOTALL)
        text = head[1] if head else ""
    try:
        yield from _texts(yaml.safe_load(text), inside=False)
    except yaml.YAMLError:
        return


def _texts(value: object, *, inside: bool) -> Iterator[str]:
    """Yield every text below a key that names files."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, inside=inside or key in FILE_KEYS)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, inside=inside)
    elif inside and isinstance(value, str):
        yield value
