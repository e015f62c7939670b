"""Data sets read through Hugging Face `datasets`: parquet files and other formats of a folder, or those of the hub."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lasem.benchmarks._columns import LABEL_COLUMNS, class_ids, texts
from lasem.benchmarks._decode import Decoding, decode_images
from lasem.benchmarks._own_files import own_file, require_own_files
from lasem.benchmarks._source import Columns, Rows, Source
from lasem.errors import DataError
from lasem.extras import require_packages

if TYPE_CHECKING:
    from datasets import Dataset


def hugging_face_source(place: Path | str, *, columns: Columns, decoding: Decoding) -> Source:
    """Read labels and domains of a local folder (Path) or of a data set of the hub (str); images stay undecoded.

    Raises:
        DataError: The data set cannot be read, a column is missing, or labels are not class labels.
    """
    if not isinstance(place, Path):
        require_packages(
            "datasets", what=f"a data set of the hub, which {place} must be because no folder is called so"
        )
    else:
        require_packages("datasets", what=f"images that are no plain files, those of {place}")
        require_own_files(place)
    splits = _load(place)
    # All splits of a data set have the same columns.
    first = next(iter(splits.values()))
    found = ", ".join(first.column_names)
    image = columns.image or _image_column(first, place)
    label = columns.label or next((name for name in LABEL_COLUMNS if name in first.column_names), "label")
    for name in filter(None, (image, label, columns.domain)):
        if name not in first.column_names:
            raise DataError(
                f"{place} must have a column '{name}' (got columns {found}); name the right one in the options"
            )
    names, ids = class_ids(splits, label=label, place=place)
    rows = {
        name: Rows(labels=ids[name], domains=texts(split, columns.domain, place=place) if columns.domain else None)
        for name, split in splits.items()
    }
    return Source(
        name=str(place),
        class_names=names,
        rows=rows,
        decode=lambda split, chosen: _decode(
            splits[split], name=split, rows=chosen, image=image, decoding=decoding, place=place
        ),
    )


def _load(place: Path | str) -> "dict[str, Dataset]":
    """Load all splits of a folder or of a data set of the hub."""
    import datasets

    try:
        with _quiet():
            loaded = datasets.load_dataset(str(place))
    except Exception as error:  # the library raises its own, Arrow's, the file system's and the network's errors
        if isinstance(place, Path):
            raise DataError(
                f"{place} must be readable as an image data set (got {_brief(error)}); check that it holds parquet"
                " files or one folder of images per class"
            ) from error
        raise DataError(
            f"{place} must be a folder, or readable as an image data set of the hub (got no such folder, and"
            f" {_brief(error)}); check the name and the connection, or give --data a folder that contains the images"
        ) from error
    if not isinstance(loaded, datasets.DatasetDict):
        raise DataError(f"{place} must have named splits (got {type(loaded).__name__}); save it as train and test")
    return {str(name): split for name, split in loaded.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence progress bars and logs of `datasets` while its errors are reported here, and restore them."""
    import datasets

    shown, level = not datasets.utils.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if shown:
            datasets.enable_progress_bars()


def _brief(error: BaseException) -> str:
    """Return the kind and the first line of an error; for a general error of `datasets`, those of its cause."""
    from datasets.exceptions import DatasetGenerationError

    while isinstance(error, DatasetGenerationError) and error.__cause__ is not None:
        error = error.__cause__
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__


def _image_column(split: "Dataset", place: Path | str) -> str:
    import datasets

    found = [name for name, feature in split.features.items() if isinstance(feature, datasets.Image)]
    if len(found) != 1:
        raise DataError(
            f"{place} must have one column of images (got {len(found)} among columns {', '.join(split.column_names)});"
            " name the right one in the options, or save it with the Image feature"
        )
    return found[0]


def _decode(
    split: "Dataset", *, name: str, rows: np.ndarray, image: str, decoding: Decoding, place: Path | str
) -> np.ndarray:
    """Decode the chosen rows: (n, C, H, W), uint8."""
    import datasets

    # datasets would decode with its own settings; here Pillow decodes the bytes, in chunks to limit memory.
    raw = split.select_columns([image]).cast_column(image, datasets.Image(decode=False))
    chunks = (rows[start : start + 512] for start in range(0, len(rows), 512))
    cells = (cell for chunk in chunks for cell in raw[chunk.tolist()][image])
    if isinstance(place, Path):
        cells = (own_file(cell, place) for cell in cells)
    return decode_images(cells, places=[f"row {row}" for row in rows], split=name, decoding=decoding)
