"""PACS: photos, art paintings, cartoons and sketches of seven classes, domain by domain."""

from collections.abc import Sequence
from typing import Literal

from lasem.benchmarks._classes import random_groups
from lasem.benchmarks._domains import AbstractDomains
from lasem.benchmarks._source import Source
from lasem.options import options

NUM_CLASSES, IMAGES_PER_DOMAIN = 7, 3929  # of the largest domain, sketch


@options(kw_only=True)
class Pacs(AbstractDomains):
    """PACS with one or two tasks per domain, 128 x 128 pixels.

    Attributes:
        tasks: Number of base tasks: 4 (all seven classes of a domain) or 8 (two groups of four and three classes, the
            same groups in every domain).
    """

    folder = "pacs"
    hub = "flwrlabs/pacs"
    domains = ("photo", "art_painting", "cartoon", "sketch")
    images_per_class = IMAGES_PER_DOMAIN // NUM_CLASSES

    tasks: Literal[4, 8] = 4

    @property
    def group_sizes(self) -> Sequence[int]:
        """One group of all seven classes, or groups of four and three."""
        return [NUM_CLASSES] if self.tasks == 4 else [4, 3]

    def groups(self, source: Source, *, stream_seed: int) -> Sequence[tuple[int, ...]]:
        """Return one group of all classes, or two random groups."""
        del source
        everything = tuple(range(NUM_CLASSES))
        return [everything] if self.tasks == 4 else random_groups(everything, size=4, stream_seed=stream_seed)
