"""Office-Home: everyday objects as product pictures and in the real world."""

from collections.abc import Sequence

from lasem.benchmarks._classes import find_classes, random_groups
from lasem.benchmarks._domains import AbstractDomains
from lasem.benchmarks._source import Source
from lasem.options import options

NUM_CLASSES, CLASSES_PER_TASK = 65, 13
IMAGES_PER_CLASS = 68  # 4439 product and 4357 real-world images of 65 classes
INCREMENTAL = (
    "Couch", "Table", "Paper Clip", "Clipboards", "Bucket", "Notebook", "Bed", "Trash Can",
)  # fmt: skip


@options(kw_only=True)
class OfficeHome(AbstractDomains):
    """Office-Home split into ten tasks of 13 classes, 128 x 128 pixels.

    The 65 classes are divided at random into five groups. Tasks 0 to 4 classify product pictures; tasks 5 to 9
    classify real-world pictures of the same groups.
    """

    folder = "office-home"
    hub = "flwrlabs/office-home"
    domains = ("Product", "Real World")
    images_per_class = IMAGES_PER_CLASS

    @property
    def group_sizes(self) -> Sequence[int]:
        """Five groups of 13 classes each."""
        return [CLASSES_PER_TASK] * (NUM_CLASSES // CLASSES_PER_TASK)

    def groups(self, source: Source, *, stream_seed: int) -> Sequence[tuple[int, ...]]:
        """Divide all classes at random into groups."""
        return random_groups(range(len(source.class_names)), size=CLASSES_PER_TASK, stream_seed=stream_seed)


@options(kw_only=True)
class OfficeHomeIncremental(AbstractDomains):
    """Six tasks of Office-Home's product pictures; each task adds one class, from 3 to 8 classes."""

    folder = "office-home"
    hub = "flwrlabs/office-home"
    domains = ("Product",)
    images_per_class = IMAGES_PER_CLASS

    @property
    def group_sizes(self) -> Sequence[int]:
        """Six groups of 3, 4 ... 8 classes."""
        return range(3, len(INCREMENTAL) + 1)

    def groups(self, source: Source, *, stream_seed: int) -> Sequence[tuple[int, ...]]:
        """Return the first 3, 4 ... 8 of eight fixed classes; the seed changes nothing."""
        del stream_seed
        return [find_classes(source, INCREMENTAL[:number]) for number in self.group_sizes]
