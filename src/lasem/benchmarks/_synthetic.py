"""Synthetic streams with planted sharing: it is known for every task which layers are worth sharing."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lasem.benchmarks._assembly import Scaling, assemble
from lasem.benchmarks._benchmark import CPU, NOT_EMPTY, AbstractBenchmark, ImageSize, NumTasks, PerTask, for_each_task
from lasem.benchmarks._draw import Draw, Sizes
from lasem.benchmarks._memory import require_memory
from lasem.benchmarks._plans import TaskPlan
from lasem.benchmarks._source import Rows, Source
from lasem.benchmarks._stream import Outline, TaskStream
from lasem.benchmarks._teacher import SHARED, TeacherLayers, fit_head, mixed_knowledge, planted_layers
from lasem.errors import DataError, require
from lasem.options import Count, NonNegative, Positive, Rate, Share, must, options
from lasem.seeds import numpy_generator

CALIBRATION_IMAGES = 1000
KernelSize = Annotated[Positive, must(lambda size: size % 2 == 1, "odd", "write for example 3")]
"""Height and width of a kernel that SAME padding can center on a pixel."""


@options(kw_only=True)
class Synthetic(AbstractBenchmark):
    """Random smooth images in [-0.5, 0.5], labeled by a ReLU network (the teacher) that shares some layers over tasks.

    In task t, layer l of the teacher has the kernels shared by the stream if bit l of the planted configuration is 1.
    Otherwise it has kernels of its own, of equal norm. The `knowledge` of the stream contains the shared kernels,
    mixed with unrelated ones according to `strength`. A task uses the images whose labels have the largest margin,
    equally many of each class.

    Attributes:
        tasks: Number of base tasks.
        classes_per_task: Number of classes per task.
        train_per_class: Training images per class, or a list for each base task.
        valid_per_class: Validation images per class.
        test_per_class: Test images per class.
        image_size: Height and width of the images.
        image_channels: Channels of the images.
        out_channels: Output channels of each of the teacher's convolutions.
        kernel_sizes: Height and width of the kernels of each convolution, odd.
        pools: Window of the max-pool after each convolution; 1 means no pool.
        planted: "random" for a random configuration per task, "same" for one random configuration of all tasks, or
            the bits of a configuration, such as "110".
        strength: Correlation s of the stream's `knowledge` with the shared kernels K. The knowledge is
            s K + sqrt(1 - s^2) U with unrelated kernels U.
        kernel_scale: Standard deviation of the kernels, in units of sqrt(2 / fan-in).
        bias_scale: Standard deviation of the biases.
        ranks: Number of directions among its input channels that each layer of the teacher reads; 0 means all. If it
            is not 0, a task's own kernels read no direction that the shared kernels read.
        smoothness: Standard deviation of the Gaussian blur that makes images from noise, in pixels; 0 means no blur.
        head_rank: Number of principal components of the teacher's features on which labels depend.
        candidates: Number of images drawn per image used. A larger number gives labels with a larger margin.
    """

    built_in: ClassVar[bool] = True

    tasks: NumTasks = 8
    classes_per_task: Annotated[int, Field(ge=2)] = 4
    train_per_class: PerTask[Positive] = 200
    valid_per_class: Positive = 10
    test_per_class: Positive = 100
    image_size: ImageSize = 8
    image_channels: Positive = 16
    out_channels: Annotated[tuple[Positive, ...], NOT_EMPTY] = (32, 32)
    kernel_sizes: tuple[KernelSize, ...] = (3, 3)
    pools: tuple[Positive, ...] = (2, 2)
    planted: str = "01"
    strength: Share = 1.0
    kernel_scale: Rate = 4.0
    bias_scale: NonNegative = 0.0
    ranks: tuple[Count, ...] = (8, 1)
    smoothness: NonNegative = 0.5
    head_rank: Positive = 4
    candidates: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 4.0

    def __post_init__(self) -> None:
        self._require_layers()
        shrink = math.prod(self.pools)
        height, rest = divmod(self.image_size, shrink)
        size = f"image_size must be a multiple of {shrink}, the product of pools"
        require(rest == 0, size, image_size=self.image_size)
        features = min(self.out_channels[-1] * height**2, CALIBRATION_IMAGES - 1)
        require(
            self.classes_per_task <= self.head_rank <= features,
            f"head_rank must be between the number of classes, {self.classes_per_task}, and of features, {features}",
            head_rank=self.head_rank,
        )

    def outline(self) -> Outline:
        """Return shapes, tasks and exact sizes; nothing is drawn."""
        classes = self.classes_per_task
        return self.arrange(
            shape=(self.image_channels, self.image_size, self.image_size),
            classes=[classes] * self.tasks,
            images={
                "train": [classes * number for number in for_each_task(self.train_per_class, self.tasks)],
                "valid": classes * self.valid_per_class,
                "test": classes * self.test_per_class,
            },
        )

    def stream(self, *, stream_seed: int, data_seed: int, data: Path | None, device: torch.device = CPU) -> TaskStream:
        """Draw teachers, images and labels; `data` is not used, because nothing is read."""
        self._require_memory()
        positions, configurations = self.positions(self.tasks), self._configurations(stream_seed)
        shared = self._layers.draw(stream_seed, *SHARED)
        pixels = {
            task: self._images(task, configuration=configurations[task], stream_seed=stream_seed, data_seed=data_seed)
            for task in sorted(set(positions))
        }
        sizes = Sizes(train=self.train_per_class, valid=self.valid_per_class, test=self.test_per_class)
        classes = np.arange(self.classes_per_task)
        stream = assemble(
            self,
            draw=Draw(
                source=self._source(pixels),
                sizes=sizes,
                stream_seed=stream_seed,
                data_seed=data_seed,
                max_test=self.max_test,
            ),
            plans=[
                TaskPlan(
                    classes=tuple((task * self.classes_per_task + classes).tolist()),
                    name=f"planted {''.join(map(str, configuration))} ({task})",
                )
                for task, configuration in enumerate(configurations)
            ],
            scaling=Scaling(pixels="[-0.5,0.5]"),
            device=device,
        )
        unrelated = self._layers.draw(stream_seed, "unrelated kernels")
        return replace(
            stream,
            knowledge=mixed_knowledge(shared, unrelated, strength=self.strength),
            planted=[configurations[position] for position in positions],
        )

    @property
    def _images_per_class(self) -> int:
        """Images drawn of a class, enough for the largest base task."""
        return max(for_each_task(self.train_per_class, self.tasks)) + self.valid_per_class + self.test_per_class

    @property
    def _layers(self) -> TeacherLayers:
        return TeacherLayers(
            in_channels=self.image_channels,
            out_channels=self.out_channels,
            kernel_sizes=self.kernel_sizes,
            pools=self.pools,
            kernel_scale=self.kernel_scale,
            bias_scale=self.bias_scale,
            ranks=self.ranks,
        )

    def _require_layers(self) -> None:
        """Refuse layers of a teacher that cannot be built."""
        depth = len(self.out_channels)
        for name in ("kernel_sizes", "pools", "ranks"):
            values = getattr(self, name)
            rule = f"{name} must have one number per layer, {depth} as out_channels"
            require(len(values) == depth, rule, **{name: values})
        # Behind a ReLU, the mean over channels is left out: one direction fewer is free.
        free = [channels - (layer > 0) for layer, channels in enumerate((self.image_channels, *self.out_channels[:-1]))]
        require(
            all(2 * rank <= directions for rank, directions in zip(self.ranks, free, strict=True)),
            f"ranks must be at most half of the directions of each layer's input, {free}, or 0 for all",
            ranks=self.ranks,
        )
        require(
            self.planted in ("random", "same") or (len(self.planted) == depth and set(self.planted) <= {"0", "1"}),
            f'planted must be "random", "same" or {depth} bits',
            planted=self.planted,
        )

    def _require_memory(self) -> None:
        """Refuse a stream that does not fit in memory with the images and features from which a task is drawn."""
        # Images are drawn as float64, which takes twice the float32 that is assumed for the largest task.
        used = self.classes_per_task * self._images_per_class
        require_memory(
            num_images=used * len(set(self.positions(self.tasks))),
            largest_task=2 * max(CALIBRATION_IMAGES, int(used * self.candidates)),
            shape=(max(self.image_channels, *self.out_channels), self.image_size, self.image_size),
            device=CPU,
        )

    def _configurations(self, stream_seed: int) -> list[tuple[int, ...]]:
        """Return a configuration for every base task, one bit per layer, 1 = shared."""
        if self.planted not in ("random", "same"):
            return [tuple(int(bit) for bit in self.planted)] * self.tasks
        rows = [0] * self.tasks if self.planted == "same" else range(self.tasks)
        depth = len(self.out_channels)
        return [tuple(numpy_generator(stream_seed, "planted", row).integers(2, size=depth).tolist()) for row in rows]

    def _images(self, task: int, *, configuration: Sequence[int], stream_seed: int, data_seed: int) -> np.ndarray:
        """Draw and label a task's images: (classes, images per class, C, H, W), uint8."""
        # The teacher belongs to the stream and the images to the data seed: trials see different images of equal tasks.
        layers = planted_layers(
            self._layers.draw(stream_seed, *SHARED),
            self._layers.draw(stream_seed, "own kernels", task),
            bits=configuration,
        )
        calibration = self._smooth(CALIBRATION_IMAGES, generator=numpy_generator(stream_seed, "calibration", task))
        head = fit_head(
            self._layers.features(_centered(calibration), layers),
            classes=self.classes_per_task,
            rank=self.head_rank,
            generator=numpy_generator(stream_seed, "head", task),
        )
        need = self._images_per_class
        number = int(need * self.classes_per_task * self.candidates)
        images = self._smooth(number, generator=numpy_generator(data_seed, "images", task))
        logits = head.logits(self._layers.features(_centered(images), layers))
        return images[self._surest(logits.numpy(), need=need, task=task)]

    def _surest(self, logits: np.ndarray, *, need: int, task: int) -> np.ndarray:
        """Return indices of the images of each class with the largest margin: (classes, need)."""
        ranked = np.sort(logits, axis=1)
        margin, labels = ranked[:, -1] - ranked[:, -2], logits.argmax(1)
        rows = [np.flatnonzero(labels == label) for label in range(self.classes_per_task)]
        have = min(len(found) for found in rows)
        if have < need:
            raise DataError(
                f"{need} of the images drawn must be of each class (got {have} of {len(logits)} for the rarest class in"
                f" task {task} of the synthetic stream); raise candidates above {self.candidates}"
            )
        return np.stack([found[np.argsort(-margin[found], kind="stable")[:need]] for found in rows])

    def _smooth(self, number: int, *, generator: np.random.Generator) -> np.ndarray:
        """Draw blurred Gaussian noise of mean 0.5 and standard deviation 0.2: (number, C, H, W), uint8."""
        size = self.image_size
        noise = generator.standard_normal((number, self.image_channels, size, size))
        frequency = np.fft.fftfreq(size) ** 2
        blur = np.exp(-2 * (np.pi * self.smoothness) ** 2 * (frequency[:, None] + frequency))
        # The variance of the images must not depend on the width of the blur.
        blur /= np.sqrt((blur**2).mean())
        images = np.fft.irfft2(np.fft.rfft2(noise) * blur[:, : size // 2 + 1], s=(size, size))
        return np.rint(255 * np.clip(0.5 + 0.2 * images, 0, 1)).astype(np.uint8)

    def _source(self, pixels: dict[int, np.ndarray]) -> Source:
        """Return the images as a source in which every task has its own classes."""
        classes, need = self.classes_per_task, next(iter(pixels.values())).shape[1]
        ids = [np.repeat(task * classes + np.arange(classes), need) for task in pixels]
        flat = np.concatenate([images.reshape(-1, *images.shape[2:]) for images in pixels.values()])
        return Source(
            name="the synthetic images",
            class_names=tuple(f"{task}.{label}" for task in range(self.tasks) for label in range(classes)),
            rows={"train": Rows(labels=np.concatenate(ids).astype(np.int64))},
            decode=lambda _, rows: flat[rows],
        )


def _centered(images: np.ndarray) -> Tensor:
    """Scale pixels as for the learner: (N, C, H, W), uint8 -> float32 in [-0.5, 0.5]."""
    return torch.from_numpy(images).float() / 255 - 0.5
