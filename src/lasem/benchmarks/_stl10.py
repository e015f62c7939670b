"""STL-10 with noise and channel orders, and the same stream of ten Tiny ImageNet classes that stands in for it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lasem.benchmarks._assembly import Scaling, assemble
from lasem.benchmarks._benchmark import CPU, AbstractBenchmark
from lasem.benchmarks._classes import random_classes
from lasem.benchmarks._decode import Decoding
from lasem.benchmarks._draw import Draw, Sizes
from lasem.benchmarks._options import require, require_at_least
from lasem.benchmarks._plans import TaskPlan, distinct_plans
from lasem.benchmarks._source import Columns, locate, open_source
from lasem.benchmarks._task import Outline, TaskStream
from lasem.benchmarks._transforms import Noise, TransformChoice

NUM_CLASSES = 10


@dataclass(frozen=True, kw_only=True)
class Stl10(AbstractBenchmark):
    """STL-10: tasks of random classes, pixels in [-0.5, 0.5], each with noise and channels of its own.

    Any two base tasks differ in a class, the noise or the channel order.

    Attributes:
        tasks: Number of base tasks.
        classes_per_task: Classes per task.
        train_per_class: Training images per class.
        valid_per_class: Validation images per class, from the training set.
        noise: Values that the noise's mean and spread are drawn from: the paper's, its release's, or none.
        channel_orders: Whether every task puts the channels in a random order.
        disjoint_draws: Whether data seeds 0, 1, 2 ... draw disjoint training and validation images.
        size: Height and width that images are resized to.
    """

    tasks: int = 20
    classes_per_task: int = 3
    train_per_class: int = 106
    valid_per_class: int = 19
    noise: Noise = "paper"
    channel_orders: bool = True
    disjoint_draws: bool = False
    size: int = 96

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_sizes(self)

    def outline(self) -> Outline:
        """Shapes, tasks and sizes."""
        return _outline(self, test_per_class=800)

    def stream(self, *, stream_seed: int, data_seed: int, data: Path | None, device: torch.device = CPU) -> TaskStream:
        """Read STL-10's labeled images and draw the stream."""
        place = locate("stl10", hub="tanganke/stl10", data=data)
        return _stream(self, place=place, stream_seed=stream_seed, data_seed=data_seed, device=device)


@dataclass(frozen=True, kw_only=True)
class TinyImageNet10(AbstractBenchmark):
    """Ten Tiny ImageNet classes that resemble STL-10's, resized, with STL-10's noise and channel orders.

    Read from a local folder `tiny-imagenet-10` with 300 training and 250 test images per class; not on the hub.

    Attributes:
        tasks: Number of base tasks.
        classes_per_task: Classes per task.
        train_per_class: Training images per class.
        valid_per_class: Validation images per class, from the training set.
        noise: Values that the noise's mean and spread are drawn from: the paper's, its release's, or none.
        channel_orders: Whether every task puts the channels in a random order.
        disjoint_draws: Whether data seeds 0, 1, 2 ... draw disjoint training and validation images.
        size: Height and width that images are resized to.
    """

    tasks: int = 20
    classes_per_task: int = 3
    train_per_class: int = 106
    valid_per_class: int = 19
    noise: Noise = "paper"
    channel_orders: bool = True
    disjoint_draws: bool = False
    size: int = 96

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_sizes(self)

    def outline(self) -> Outline:
        """Shapes, tasks and sizes."""
        return _outline(self, test_per_class=250)

    def stream(self, *, stream_seed: int, data_seed: int, data: Path | None, device: torch.device = CPU) -> TaskStream:
        """Read the local folder and draw the stream."""
        place = locate("tiny-imagenet-10", hub=None, data=data)
        return _stream(self, place=place, stream_seed=stream_seed, data_seed=data_seed, device=device)


def _require_sizes(options: Stl10 | TinyImageNet10) -> None:
    require_at_least(
        1,
        tasks=options.tasks,
        train_per_class=options.train_per_class,
        valid_per_class=options.valid_per_class,
        size=options.size,
    )
    number = options.classes_per_task
    require(2 <= number <= NUM_CLASSES, f"a task has 2 to {NUM_CLASSES} classes", classes_per_task=number)


def _outline(options: Stl10 | TinyImageNet10, *, test_per_class: int) -> Outline:
    per_class = {"train": options.train_per_class, "valid": options.valid_per_class, "test": test_per_class}
    return options.arrange(
        shape=(3, options.size, options.size),
        classes=[options.classes_per_task] * options.tasks,
        images={split: options.classes_per_task * number for split, number in per_class.items()},
    )


def _stream(
    options: Stl10 | TinyImageNet10, *, place: Path | str, stream_seed: int, data_seed: int, device: torch.device
) -> TaskStream:
    """Draw classes and transforms, then images."""
    transforms = TransformChoice(noise=options.noise, channel_orders=options.channel_orders)

    def plan(_: int, generator: np.random.Generator) -> TaskPlan:
        classes = random_classes(NUM_CLASSES, number=options.classes_per_task, generator=generator)
        return TaskPlan(classes=classes, transform=transforms.draw(generator, channels=3))

    sizes = Sizes(
        train=options.train_per_class,
        valid=options.valid_per_class,
        test_split="test",
        disjoint=options.disjoint_draws,
    )
    source = open_source(place, columns=Columns(), decoding=Decoding(size=options.size))
    draw = Draw(source=source, sizes=sizes, stream_seed=stream_seed, data_seed=data_seed, max_test=options.max_test)
    plans = distinct_plans(options.tasks, draw=plan, stream_seed=stream_seed)
    return assemble(options, draw=draw, plans=plans, scaling=Scaling(pixels="[-0.5,0.5]"), device=device)
