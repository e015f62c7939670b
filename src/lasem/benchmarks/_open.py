"""Opening a data set: a folder under the data root, any other folder, or a data set of the Hugging Face hub."""

import os
from collections.abc import Iterable
from pathlib import Path

from lasem.benchmarks._decode import Decoding
from lasem.benchmarks._folder import files, folder_source, scan
from lasem.benchmarks._hugging_face import hugging_face_source
from lasem.benchmarks._source import Columns, Source
from lasem.errors import DataError, SpecError
from lasem.text import printable


def locate(folder: str, *, hub: str | None, data: Path | None) -> Path | str:
    """Find a data set: its folder under the data root, or its name on the hub if no data root is given.

    Args:
        folder: Name of the folder under the data root.
        hub: Name on the Hugging Face hub; None if it is not there.
        data: Data root; None to use the hub.

    Raises:
        DataError: The folder is missing, or there is neither a root nor a name on the hub.
    """
    if data is not None:
        path = data / folder
        if not os.path.isdir(path):
            source = f", or leave out --data to load {hub} from the hub" if hub else ""
            raise DataError(
                f"the data root must have a folder '{folder}' (got none at {path}); put the images there{source}"
            )
        return path
    if hub is None:
        raise DataError(
            f"'{folder}' must be read from a local folder, because it is not on the hub (got no data root);"
            f" give --data a folder that contains '{folder}'"
        )
    return hub


def locate_own(source: str, *, data: Path | None) -> Path | str:
    """Find what a user calls the source of their images: any folder, one under the data root, or a name on the hub.

    Args:
        source: A path or a name.
        data: Data root; None to use the hub for what is no folder.

    Raises:
        DataError: It is a file, or a path at which there is no folder.
    """
    path = Path(os.path.expanduser(source))  # unlike Path.expanduser, leaves ~nobody as it is
    if os.path.isdir(path) and (data is None or not os.path.isdir(data / source)):  # False for what is no path
        return path
    for found in (path, *([data / source] if data else [])):
        if os.path.isfile(found):
            raise DataError(f"a source must be a folder of images (got the file {found}); name the folder that has it")
    if _is_path(source) and not (data and os.path.isdir(data / source)):
        raise DataError(
            f"a source must be a folder of images, or the name of a data set on the hub (got '{printable(source)}',"
            f" and there is no folder {printable(os.path.abspath(path))}); correct the path"
        )
    return locate(source, hub=source, data=data)


def _is_path(source: str) -> bool:
    """Whether a text can only be a path: a name on the hub is NAME or USER/NAME."""
    return source.startswith((".", "~", os.sep)) or source.endswith("/") or source.count("/") > 1 or "\\" in source


def open_source(place: Path | str, *, columns: Columns, decoding: Decoding, layout: str | None = None) -> Source:
    """Read labels and domains of a local folder (Path) or of a data set of the hub (str); images stay undecoded.

    Args:
        place: The folder, or the name on the hub.
        columns: Names of columns.
        decoding: How images are decoded.
        layout: Meaning of the levels of a folder of images, such as "domain/class"; None to infer it.

    Raises:
        DataError: The data set cannot be read, a column is missing, or labels are not class labels.
        SpecError: There is a layout for a data set that is no folder of images.
    """
    folder = scan(place) if isinstance(place, Path) else None
    if folder is not None:
        source = folder_source(folder, columns=columns, decoding=decoding, layout=layout)
    elif isinstance(place, Path) and not any(files(place)):
        raise DataError(
            f"a folder of images must have images (got none in {printable(place)}, nor other files); put them there, in"
            " a folder for each class"
        )
    elif layout is not None:
        raise SpecError(
            f'layout must be set only for a folder of image files (got "{layout}" for {place}); leave it out'
        )
    else:
        source = hugging_face_source(place, columns=columns, decoding=decoding)
    _require_printable(source.class_names, what="class", place=place)
    _require_printable(source.domains(next(iter(source.rows))), what="domain", place=place)
    return source


def _require_printable(names: Iterable[str], *, what: str, place: Path | str) -> None:
    """Refuse names that a terminal would obey or that cannot be written, since names are printed and recorded."""
    wrong = next((name for name in names if not name.isprintable()), None)
    if wrong is not None:
        raise DataError(
            f"the name of a {what} must be printable text (got '{printable(wrong)}' in {printable(place)}); rename it"
        )
