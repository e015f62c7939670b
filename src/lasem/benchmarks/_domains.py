"""Benchmarks whose images come in domains, such as photos and sketches; tasks arrive domain by domain."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch

from lasem.benchmarks._assembly import Scaling, assemble
from lasem.benchmarks._benchmark import CPU, AbstractBenchmark, ImageSize, PerClass, PerTask, for_each_task
from lasem.benchmarks._classes import find_domains
from lasem.benchmarks._decode import Decoding
from lasem.benchmarks._draw import Draw, Sizes, rounded
from lasem.benchmarks._open import locate, open_source
from lasem.benchmarks._plans import domain_plans
from lasem.benchmarks._source import Columns, Source
from lasem.benchmarks._store import Storage
from lasem.benchmarks._stream import Outline, TaskStream
from lasem.options import options


@options(kw_only=True)
class AbstractDomains(AbstractBenchmark):
    """Base class of benchmarks with domains: every group of classes is one task in each domain; pixels in [0, 1].

    Attributes:
        train_per_class: Training images per class, a number (int) or a share (float), or a list for each base task.
        valid_per_class: Validation images per class, a number (int) or a share (float); the rest is for test.
        size: Height and width to which images are resized, in pixels.
        images: Where decoded images lie: in "memory", on "disk" in a temporary file from which batches are read, or on
            disk only if they do not fit in memory. The results are the same.
    """

    folder: ClassVar[str]
    """Name of the folder under the data root."""
    hub: ClassVar[str]
    """Name of the data set on the Hugging Face hub."""
    domains: ClassVar[tuple[str, ...]]
    """Names of the domains in order of arrival."""
    images_per_class: ClassVar[int]
    """Approximate number of images per class in one domain."""

    train_per_class: PerTask[PerClass] = 0.6
    valid_per_class: PerClass = 0.1
    size: ImageSize = 128
    images: Storage = "auto"

    @property
    @abstractmethod
    def group_sizes(self) -> Sequence[int]:
        """Number of classes in each group."""

    @abstractmethod
    def groups(self, source: Source, *, stream_seed: int) -> Sequence[tuple[int, ...]]:
        """Return the class ids of each group, in order of arrival."""

    def outline(self) -> Outline:
        """Return shapes, tasks and approximate sizes; no data is read."""
        classes, available = [*self.group_sizes] * len(self.domains), self.images_per_class
        trained = [rounded(amount, available) for amount in for_each_task(self.train_per_class, len(classes))]
        images = {split: [number] * len(classes) for split, number in self._sizes.of_class(available).items()}
        return self.arrange(
            shape=(3, self.size, self.size),
            classes=classes,
            images={
                split: [number * size for number, size in zip(numbers, classes, strict=True)]
                for split, numbers in (images | {"train": trained}).items()
            },
        )

    def stream(self, *, stream_seed: int, data_seed: int, data: Path | None, device: torch.device = CPU) -> TaskStream:
        """Read the images and construct the stream; see `AbstractBenchmark.stream`."""
        place = locate(self.folder, hub=self.hub, data=data)
        source = open_source(place, columns=Columns(domain="domain"), decoding=Decoding(size=self.size))
        groups = self.groups(source, stream_seed=stream_seed)
        draw = Draw(
            source=source, sizes=self._sizes, stream_seed=stream_seed, data_seed=data_seed, max_test=self.max_test
        )
        plans = domain_plans(find_domains(source, self.domains), groups)
        scaling = Scaling(pixels="[0,1]")
        return assemble(self, draw=draw, plans=plans, scaling=scaling, device=device, storage=self.images)

    @property
    def _sizes(self) -> Sizes:
        return Sizes(train=self.train_per_class, valid=self.valid_per_class)
