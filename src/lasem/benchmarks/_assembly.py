"""Assembly of planned tasks and a source to a TaskStream, which builds its tensors on demand."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lasem.benchmarks._benchmark import AbstractBenchmark, for_each_task
from lasem.benchmarks._draw import SPLITS, Chosen, Draw
from lasem.benchmarks._duplicates import duplicate_notes
from lasem.benchmarks._plans import TaskPlan
from lasem.benchmarks._scaling import PixelScaling
from lasem.benchmarks._store import PixelStore, fill_store
from lasem.benchmarks._stream import TaskStream
from lasem.benchmarks._task import Split, Task
from lasem.seeds import derive_seed, numpy_generator

Pixels: TypeAlias = Literal["[0,1]", "[-0.5,0.5]", "standardize"]
Standardize: TypeAlias = Literal["train", "each"]


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Conversion of uint8 pixels to floats.

    Attributes:
        pixels: Range of the pixels, or standardization per channel (of pixels in [0, 1]).
        standardize: Images whose mean and standard deviation standardize pixels: the training images for all splits,
            or each split's own images.
    """

    pixels: Pixels = "[0,1]"
    standardize: Standardize = "train"

    @property
    def low(self) -> float:
        """Smallest pixel value before standardization; the largest is one more."""
        return -0.5 if self.pixels == "[-0.5,0.5]" else 0.0


@dataclass(frozen=True, kw_only=True)
class Builder:
    """Function that builds one base task; equal calls give equal tensors."""

    plan: TaskPlan
    chosen: Chosen
    position: int
    draw: Draw
    scaling: Scaling
    store: PixelStore

    def __call__(self) -> Task:
        """Build the tensors of the task."""
        images = {split: self._images(split) for split in self.chosen}
        if self.scaling.pixels == "standardize":
            own = {split: PixelScaling.standardizing(pixels) for split, pixels in images.items()}
            for split, pixels in images.items():
                own["train" if self.scaling.standardize == "train" else split].standardize(pixels)
        splits = {split: Split(images=images[split], labels=self._labels(split)) for split in self.chosen}
        return Task(
            name=self.plan.title(self.draw.source),
            classes=len(self.plan.classes),
            train=splits["train"],
            valid=splits["valid"],
            test=splits["test"],
            identity=self.position,
        )

    def test_scaling(self) -> PixelScaling:
        """Return how pixels of the test images became the values of the task."""
        if self.scaling.pixels != "standardize":
            return PixelScaling(low=self.scaling.low)
        return PixelScaling.standardizing(self._images("train" if self.scaling.standardize == "train" else "test"))

    def choices(self) -> dict[str, object]:
        """Return the random choices for this task, in JSON types."""
        source, transform = self.draw.source, self.plan.transform
        return {
            "identity": self.position,
            "name": self.plan.title(source),
            "domain": self.plan.domain,
            "classes": list(self.plan.classes),
            "class_names": [source.class_names[label] for label in self.plan.classes],
            "source_splits": {split: self.draw.sizes.source_of(split) for split in self.chosen},
            "rows": {split: rows.tolist() for split, rows in self.chosen.items()},
            "rotation": transform.rotation,
            "permutation_seed": transform.permutation_seed,
            "channel_order": None if transform.channel_order is None else list(transform.channel_order),
            "inverted": transform.inverted,
            "noise_mean": transform.noise_mean,
            "noise_sd": transform.noise_sd,
            "noise_seed": self._noise_seed if transform.is_noisy else None,
        }

    def hashes(self) -> dict[str, np.ndarray]:
        """Return one number per source image, by split; see `image_hashes`."""
        source_of, store = self.draw.sizes.source_of, self.store
        return {split: store.hash_of(source_of(split), rows) for split, rows in self.chosen.items()}

    @property
    def _noise_seed(self) -> int:
        return derive_seed(self.draw.stream_seed, "noise", self.position)

    def _images(self, split: str) -> Tensor:
        """Build the images of a split before standardization: (N, C, H, W), float32."""
        transform, low = self.plan.transform, self.scaling.low
        pixels = self.store.gather(self.draw.sizes.source_of(split), self.chosen[split])
        images = transform.rearrange(pixels).to(torch.float32).div_(255).add_(low)
        if transform.is_noisy:
            transform.add_noise(images, low=low, high=low + 1, generator=numpy_generator(self._noise_seed, split))
        return images

    def _labels(self, split: str) -> Tensor:
        """Build the labels of a split, numbered within the task: (N,), int64."""
        ids = self.draw.source.split(self.draw.sizes.source_of(split)).labels[self.chosen[split]]
        # Labels follow the order of the plan, whereas searchsorted needs ascending ids.
        classes = np.asarray(self.plan.classes)
        order = np.argsort(classes)
        labels = order[np.searchsorted(classes, ids, sorter=order)]
        return torch.from_numpy(labels).to(self.store.device)


def assemble(
    benchmark: AbstractBenchmark,
    *,
    draw: Draw,
    plans: Sequence[TaskPlan],
    scaling: Scaling,
    device: torch.device,
) -> TaskStream:
    """Draw the images of planned tasks, decode them once and make the stream.

    Args:
        benchmark: Whose stream it is; decides which of the tasks arrive, and when.
        draw: Which images.
        plans: The base tasks.
        scaling: How pixels become floats.
        device: Where the images lie.

    Raises:
        DataError: Images are missing, unreadable or too many for the memory.
        SpecError: Training images per class are listed for another number of base tasks.
    """
    positions, sizes = benchmark.positions(len(plans)), draw.sizes
    for_each_task(sizes.train if sizes.each_task is None else sizes.each_task[0], len(plans))
    chosen = {
        position: draw.task(position, classes=plans[position].classes, domain=plans[position].domain)
        for position in sorted(set(positions))
    }
    store = fill_store(draw, list(chosen.values()), device=device)
    # Visits of the same base task use one builder, so that they get equal tensors.
    builders = {
        position: Builder(plan=plans[position], chosen=rows, position=position, draw=draw, scaling=scaling, store=store)
        for position, rows in chosen.items()
    }
    choices = [builders[position].choices() for position in positions]
    outline = benchmark.arrange(
        shape=store.shape,
        classes=[len(plan.classes) for plan in plans],
        images={split: max(len(rows[split]) for rows in chosen.values()) for split in SPLITS},
    )
    # Besides the pixels, two streams differ in what the seeds chose and in how pixels become floats.
    digest = hashlib.sha256(store.digest.encode())
    digest.update(json.dumps([choices, scaling.pixels, scaling.standardize], sort_keys=True).encode())
    return TaskStream(
        builders=[builders[position] for position in positions],
        outline=outline,
        train_images=[len(chosen[position]["train"]) for position in positions],
        choices=choices,
        scalings=[builders[position].test_scaling for position in positions],
        fingerprint=digest.hexdigest(),
        notes=duplicate_notes(builder.hashes() for builder in builders.values()),
        about=draw.source.about,
    )
