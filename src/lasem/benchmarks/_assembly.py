"""Assembly of planned tasks and a source to a TaskStream, which builds its tensors on demand."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lasem.benchmarks._benchmark import CPU, AbstractBenchmark, for_each_task
from lasem.benchmarks._draw import SPLITS, Chosen, Draw
from lasem.benchmarks._duplicates import duplicate_notes
from lasem.benchmarks._plans import TaskPlan
from lasem.benchmarks._scaling import PixelScaling
from lasem.benchmarks._scratch import scratch_array
from lasem.benchmarks._store import CHUNK, PixelStore, Storage, fill_store
from lasem.benchmarks._stored_images import StoredImages
from lasem.benchmarks._stream import TaskStream
from lasem.benchmarks._task import Split, Task
from lasem.benchmarks._transforms import NoiseStates
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
        images = self._stored() if self.store.on_disk else self._in_memory()
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
        split = self._standard("test")
        if self.store.on_disk:
            return self._stored_scalings[split]
        return PixelScaling.standardizing(self._all_images(split))

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

    def _standard(self, split: str) -> str:
        """Return the split whose mean and standard deviation standardize a split."""
        return "train" if self.scaling.standardize == "train" else split

    def _in_memory(self) -> dict[str, Tensor]:
        """Build the images of every split."""
        images = {split: self._all_images(split) for split in self.chosen}
        if self.scaling.pixels == "standardize":
            own = {split: PixelScaling.standardizing(pixels) for split, pixels in images.items()}
            for split, pixels in images.items():
                own[self._standard(split)].standardize(pixels)
        return images

    def _all_images(self, split: str) -> Tensor:
        """Build the images of a split before standardization: (N, C, H, W), float32."""
        images = self._without_noise(split, self.chosen[split])
        if self.plan.transform.is_noisy:
            self._add_noise(images, self._noise_generator(split))
        return images

    def _without_noise(self, split: str, rows: np.ndarray, *, device: torch.device | None = None) -> Tensor:
        """Build images of some rows of the source before noise and standardization: (n, C, H, W), float32."""
        pixels = self.store.gather(self.draw.sizes.source_of(split), rows, device=device)
        return self.plan.transform.rearrange(pixels).to(torch.float32).div_(255).add_(self.scaling.low)

    def _noise_generator(self, split: str) -> np.random.Generator:
        return numpy_generator(self._noise_seed, split)

    def _add_noise(self, images: Tensor, generator: np.random.Generator) -> None:
        low = self.scaling.low
        self.plan.transform.add_noise(images, low=low, high=low + 1, generator=generator)

    def _stored(self) -> dict[str, Tensor]:
        """Return images of every split that are read from disk when they are used."""
        return {
            split: StoredImages(
                self._reader(split), torch.arange(len(rows)), shape=self.store.shape, device=self.store.device
            )
            for split, rows in self.chosen.items()
        }

    def _reader(self, split: str) -> Callable[[Tensor], Tensor]:
        """Return a function from positions in a split, (n,), to their images, (n, C, H, W)."""
        if self.scaling.pixels != "standardize":
            return lambda positions: self._some_images(split, positions)
        scaling = self._stored_scalings[self._standard(split)]
        return lambda positions: scaling.standardize(self._some_images(split, positions))

    def _some_images(self, split: str, positions: Tensor, *, device: torch.device | None = None) -> Tensor:
        """Build images at some positions of a split, (n,), as `_all_images` has them: (n, C, H, W), float32."""
        images = self._without_noise(split, self.chosen[split][positions.numpy()], device=device)
        if self.plan.transform.is_noisy:
            for image, position in zip(images.split(1), positions.tolist(), strict=True):
                self._add_noise(image, self._noise_states[split].generator_at(position))
        return images

    @cached_property
    def _noise_states(self) -> Mapping[str, NoiseStates]:
        return {
            split: NoiseStates(self._noise_generator(split), number=len(rows), shape=self.store.shape)
            for split, rows in self.chosen.items()
        }

    @cached_property
    def _stored_scalings(self) -> Mapping[str, PixelScaling]:
        """Standardization by the images of each split that another one needs for it."""
        return {
            split: PixelScaling.standardizing(self._float_file(split))
            for split in {self._standard(split) for split in self.chosen}
        }

    def _float_file(self, split: str) -> Tensor:
        """Write the images of a split before standardization to a temporary file: (N, C, H, W), float32, on the CPU.

        A mean in single precision depends on the order in which torch adds numbers, which depends on the whole tensor
        and on its layout. Only a tensor like the one in memory gives the same last bits.
        """
        number = len(self.chosen[split])
        stride = self._some_images(split, torch.arange(min(2, number)), device=CPU).stride()
        axes = sorted(range(4), key=lambda axis: -stride[axis])
        shape = (number, *self.store.shape)
        images = torch.from_numpy(scratch_array([shape[axis] for axis in axes], np.float32))
        images = images.permute([axes.index(axis) for axis in range(4)])
        for positions in torch.arange(number).split(CHUNK):
            images[positions[0] : positions[-1] + 1] = self._some_images(split, positions, device=CPU)
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
    storage: Storage = "auto",
) -> TaskStream:
    """Draw the images of planned tasks, decode them once and make the stream.

    Args:
        benchmark: Whose stream it is; decides which of the tasks arrive, and when.
        draw: Which images.
        plans: The base tasks.
        scaling: How pixels become floats.
        device: Device of the images.
        storage: Whether decoded images lie in memory or on disk; the tensors are the same.

    Raises:
        DataError: Images are missing, unreadable or too many for the memory or the disk.
        SpecError: Training images per class are listed for another number of base tasks.
    """
    positions, sizes = benchmark.positions(len(plans)), draw.sizes
    for_each_task(sizes.train if sizes.each_task is None else sizes.each_task[0], len(plans))
    chosen = {
        position: draw.task(position, classes=plans[position].classes, domain=plans[position].domain)
        for position in sorted(set(positions))
    }
    store = fill_store(draw, list(chosen.values()), device=device, storage=storage)
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
        storage=store.about,
    )
