"""Source: labeled images of a data set, decoded only where they are needed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lasem.errors import DataError


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
        about: How a folder of images was understood, in one sentence; empty for other data.
    """

    name: str
    class_names: tuple[str, ...]
    rows: Mapping[str, Rows]
    decode: Callable[[str, np.ndarray], np.ndarray]
    about: str = ""

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
