"""Source: labeled images read through Hugging Face `datasets`, decoded only where they are needed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lasem.benchmarks._columns import class_ids, texts
from lasem.benchmarks._decode import Decoding, decode_images
from lasem.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

LABEL_COLUMNS = ("label", "labels", "fine_label")


@dataclass(frozen=True, eq=False)
class Rows:
    """Labels and domains of one split, known without decoding an image.

    Attributes:
        labels: Class ids of the source, (N,), int64.
        domains: Names of domains, (N,), str; None if the source has no domains.
    """

    labels: np.ndarray
    domains: np.ndarray | None = None

    def where(self, label: int, domain: str | None) -> np.ndarray:
        """Return the rows of one class, and of one domain unless it is None: (n,), int64, ascending."""
        hit = self.labels == label
        if domain is not None and self.domains is not None:
            hit = hit & (self.domains == domain)
        return np.flatnonzero(hit)


@dataclass(frozen=True, eq=False)
class Source:
    """Labeled images that are not yet decoded.

    Attributes:
        name: Name of the data set in error messages.
        class_names: Name of each class id.
        rows: Labels and domains by split.
        decode: Function from the name of a split and row numbers (n,) to pixels (n, C, H, W), uint8.
    """

    name: str
    class_names: tuple[str, ...]
    rows: Mapping[str, Rows]
    decode: Callable[[str, np.ndarray], np.ndarray]

    def split(self, name: str) -> Rows:
        """Return labels and domains of a split.

        Raises:
            DataError: There is no such split, it is empty, or it has labels without a class.
        """
        if name not in self.rows:
            known = ", ".join(self.rows)
            raise DataError(f"a split must be one of {known}, those of {self.name} (got '{name}'); choose one of them")
        labels = self.rows[name].labels
        if not len(labels):
            raise DataError(f"a split must have at least one image (got none in '{name}' of {self.name}); add images")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= len(self.class_names):
            raise DataError(
                f"labels of {len(self.class_names)} classes must be from 0 to {len(self.class_names) - 1} (got {low} to"
                f" {high} in split '{name}' of {self.name}); correct them, or use a split whose labels are known"
            )
        return self.rows[name]

    def domains(self, split: str) -> tuple[str, ...]:
        """Return the sorted names of the domains in a split."""
        found = self.split(split).domains
        return () if found is None else tuple(str(name) for name in np.unique(found))


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a data set; None is found by type (images) or by name (labels).

    Attributes:
        image: Column of images.
        label: Column of labels.
        domain: Column of domains; None if the data set is used without domains.
    """

    image: str | None = None
    label: str | None = None
    domain: str | None = None


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
        if not is_folder(path):
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


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; False for text that cannot be a path."""
    try:
        return path.is_dir()
    except OSError:
        return False


def open_source(place: Path | str, *, columns: Columns, decoding: Decoding) -> Source:
    """Read labels and domains of a local folder (Path) or of a data set of the hub (str); images stay undecoded.

    Raises:
        DataError: The data set cannot be read, a column is missing, or labels are not class labels.
    """
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
        decode=lambda split, chosen: _decode(splits[split], name=split, rows=chosen, image=image, decoding=decoding),
    )


def _load(place: Path | str) -> "dict[str, Dataset]":
    """Load all splits of a folder or of a data set of the hub."""
    import datasets

    try:
        with _quiet():
            loaded = datasets.load_dataset(str(place))
    except Exception as error:  # the library raises its own, Arrow's, the file system's and the network's errors
        remedy = (
            "check that it holds parquet files or one folder of images per class"
            if isinstance(place, Path)
            else "check the name and the connection, or give --data a folder that contains the images"
        )
        raise DataError(f"{place} must be readable as an image data set (got {_brief(error)}); {remedy}") from error
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


def _decode(split: "Dataset", *, name: str, rows: np.ndarray, image: str, decoding: Decoding) -> np.ndarray:
    """Decode the chosen rows: (n, C, H, W), uint8."""
    import datasets

    # datasets would decode with its own settings; here Pillow decodes the bytes, in chunks to limit memory.
    raw = split.select_columns([image]).cast_column(image, datasets.Image(decode=False))
    chunks = (rows[start : start + 512] for start in range(0, len(rows), 512))
    cells = (cell for chunk in chunks for cell in raw[chunk.tolist()][image])
    return decode_images(cells, rows=rows, split=name, decoding=decoding)
