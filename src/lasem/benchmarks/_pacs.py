"""PACS: photos, art paintings, cartoons and sketches of seven classes, domain by domain."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from lasem.benchmarks._assembly import Scaling, assemble
from lasem.benchmarks._benchmark import CPU, AbstractBenchmark
from lasem.benchmarks._classes import find_domains, random_groups
from lasem.benchmarks._decode import Decoding
from lasem.benchmarks._draw import Draw, Sizes
from lasem.benchmarks._options import require_amount
from lasem.benchmarks._plans import domain_plans
from lasem.benchmarks._source import Columns, locate, open_source
from lasem.benchmarks._task import Outline, TaskStream

DOMAINS = ("photo", "art_painting", "cartoon", "sketch")
NUM_CLASSES, IMAGES_PER_DOMAIN = 7, 3929  # of the largest domain, sketch


@dataclass(frozen=True, kw_only=True)
class Pacs(AbstractBenchmark):
    """PACS: 128 x 128 pixels in [0, 1]; one task per domain, or two with the classes in two groups.

    Attributes:
        tasks: 4 (all seven classes of a domain) or 8 (four and three classes, the same groups in every domain).
        train_per_class: Training images per class: a number, or a share.
        valid_per_class: Validation images per class: a number, or a share; the rest is for test.
        size: Height and width that images are resized to.
    """

    tasks: Literal[4, 8] = 4
    train_per_class: int | float = 0.6
    valid_per_class: int | float = 0.1
    size: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        require_amount(train_per_class=self.train_per_class, valid_per_class=self.valid_per_class, size=self.size)

    def outline(self) -> Outline:
        """Shapes and tasks; sizes are those of the largest domain, and approximate."""
        classes = [NUM_CLASSES] * 4 if self.tasks == 4 else [4, 3] * 4
        sizes = Sizes(train=self.train_per_class, valid=self.valid_per_class)
        images = sizes.of_class(IMAGES_PER_DOMAIN // NUM_CLASSES)
        return self.arrange(
            shape=(3, self.size, self.size),
            classes=classes,
            images={split: classes[0] * number for split, number in images.items()},
        )

    def stream(self, *, stream_seed: int, data_seed: int, data: Path | None, device: torch.device = CPU) -> TaskStream:
        """Read PACS and draw the stream."""
        place = locate("pacs", hub="flwrlabs/pacs", data=data)
        source = open_source(place, columns=Columns(domain="domain"), decoding=Decoding(size=self.size))
        everything = tuple(range(NUM_CLASSES))
        groups = [everything] if self.tasks == 4 else random_groups(everything, size=4, stream_seed=stream_seed)
        sizes = Sizes(train=self.train_per_class, valid=self.valid_per_class)
        return assemble(
            self,
            draw=Draw(source=source, sizes=sizes, stream_seed=stream_seed, data_seed=data_seed, max_test=self.max_test),
            plans=domain_plans(find_domains(source, DOMAINS), groups),
            scaling=Scaling(pixels="[0,1]"),
            device=device,
        )
