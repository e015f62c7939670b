"""A benchmark: the class of an image is its bright corner, and every task has a noise level of its own."""

from pathlib import Path
from typing import ClassVar

import torch

from lasem.benchmarks import AbstractBenchmark, Outline, Split, Task, TaskStream
from lasem.options import Positive, options
from lasem.seeds import derive_seed

IMAGES = {"train": 40, "valid": 20, "test": 40}
CORNERS = 4


@options(kw_only=True)
class Corners(AbstractBenchmark):
    """A stream of tasks that need no data on disk.

    Attributes:
        tasks: Number of base tasks.
    """

    built_in: ClassVar[bool] = True
    tasks: Positive = 3

    def outline(self) -> Outline:
        """Return shapes and sizes, which are known without the images."""
        return self.arrange(shape=(1, 8, 8), classes=[CORNERS] * self.tasks, images=IMAGES)

    def stream(
        self, *, stream_seed: int, data_seed: int, data: Path | None, device: torch.device = torch.device("cpu")
    ) -> TaskStream:
        """Draw the images; they follow from the seeds alone."""
        noise = torch.rand(self.tasks, generator=torch.Generator().manual_seed(stream_seed)).tolist()
        return TaskStream.of(
            [self._task(base, noise[base], data_seed).to(device) for base in self.positions(self.tasks)]
        )

    def _task(self, base: int, noise: float, data_seed: int) -> Task:
        source = torch.Generator().manual_seed(derive_seed(data_seed, "corners", base))

        def split(number: int) -> Split:
            labels = torch.arange(number) % CORNERS
            images = noise * torch.rand(number, 1, 8, 8, generator=source)
            for image, label in zip(images, labels.tolist(), strict=True):
                row, column = 4 * (label // 2), 4 * (label % 2)
                image[:, row : row + 4, column : column + 4] += 0.5
            return Split(images=images, labels=labels)

        splits = {name: split(number) for name, number in IMAGES.items()}
        return Task(name=f"corners {base}", classes=CORNERS, identity=base, **splits)
