"""Office-Home: everyday objects as product pictures and in the real world."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lasem.benchmarks._assembly import Scaling, assemble
from lasem.benchmarks._benchmark import CPU, AbstractBenchmark
from lasem.benchmarks._classes import find_classes, find_domains, random_groups
from lasem.benchmarks._decode import Decoding
from lasem.benchmarks._draw import Draw, Sizes
from lasem.benchmarks._options import require_amount
from lasem.benchmarks._plans import TaskPlan, domain_plans
from lasem.benchmarks._source import Columns, Source, locate, open_source
from lasem.benchmarks._task import Outline, TaskStream

DOMAINS = ("Product", "Real World")
NUM_CLASSES, CLASSES_PER_TASK = 65, 13
IMAGES_PER_CLASS = 68  # 4439 product and 4357 real-world images of 65 classes
INCREMENTAL = (
    "Couch", "Table", "Paper Clip", "Clipboards", "Bucket", "Notebook", "Bed", "Trash Can",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OfficeHome(AbstractBenchmark):
    """Office-Home: ten tasks of 13 classes, 128 x 128 pixels in [0, 1].

    The 65 classes are in five random groups; tasks 0 to 4 are product pictures, 5 to 9 the same groups in the real
    world.

    Attributes:
        train_per_class: Training images per class: a number, or a share.
        valid_per_class: Validation images per class: a number, or a share; the rest is for test.
        size: Height and width that images are resized to.
    """

    train_per_class: int | float = 0.6
    valid_per_class: int | float = 0.1
    size: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        require_amount(train_per_class=self.train_per_class, valid_per_class=self.valid_per_class, size=self.size)

    def outline(self) -> Outline:
        """Shapes and tasks; sizes are averages, and approximate."""
        return _outline(self, classes=[CLASSES_PER_TASK] * 10)

    def stream(self, *, stream_seed: int, data_seed: int, data: Path | None, device: torch.device = CPU) -> TaskStream:
        """Read Office-Home and draw the stream."""
        source = _open(self.size, data=data)
        groups = random_groups(range(len(source.class_names)), size=CLASSES_PER_TASK, stream_seed=stream_seed)
        plans = domain_plans(find_domains(source, DOMAINS), groups)
        return _stream(self, source=source, plans=plans, seeds=(stream_seed, data_seed), device=device)


@dataclass(frozen=True, kw_only=True)
class OfficeHomeIncremental(AbstractBenchmark):
    """Office-Home, incremental: six tasks of the first 3, 4 ... 8 of eight classes, product pictures.

    Attributes:
        train_per_class: Training images per class: a number, or a share.
        valid_per_class: Validation images per class: a number, or a share; the rest is for test.
        size: Height and width that images are resized to.
    """

    train_per_class: int | float = 0.6
    valid_per_class: int | float = 0.1
    size: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        require_amount(train_per_class=self.train_per_class, valid_per_class=self.valid_per_class, size=self.size)

    def outline(self) -> Outline:
        """Shapes and tasks; sizes are averages, and approximate."""
        return _outline(self, classes=list(range(3, 9)))

    def stream(self, *, stream_seed: int, data_seed: int, data: Path | None, device: torch.device = CPU) -> TaskStream:
        """Read Office-Home and draw the stream."""
        source = _open(self.size, data=data)
        groups = [find_classes(source, INCREMENTAL[:number]) for number in range(3, 9)]
        plans = domain_plans(find_domains(source, DOMAINS[:1]), groups)
        return _stream(self, source=source, plans=plans, seeds=(stream_seed, data_seed), device=device)


def _outline(options: OfficeHome | OfficeHomeIncremental, *, classes: Sequence[int]) -> Outline:
    sizes = Sizes(train=options.train_per_class, valid=options.valid_per_class)
    images = {split: max(classes) * number for split, number in sizes.of_class(IMAGES_PER_CLASS).items()}
    return options.arrange(shape=(3, options.size, options.size), classes=classes, images=images)


def _open(size: int, *, data: Path | None) -> Source:
    place = locate("office-home", hub="flwrlabs/office-home", data=data)
    return open_source(place, columns=Columns(domain="domain"), decoding=Decoding(size=size))


def _stream(
    options: OfficeHome | OfficeHomeIncremental,
    *,
    source: Source,
    plans: Sequence[TaskPlan],
    seeds: tuple[int, int],
    device: torch.device,
) -> TaskStream:
    sizes = Sizes(train=options.train_per_class, valid=options.valid_per_class)
    draw = Draw(source=source, sizes=sizes, stream_seed=seeds[0], data_seed=seeds[1], max_test=options.max_test)
    return assemble(options, draw=draw, plans=plans, scaling=Scaling(pixels="[0,1]"), device=device)
