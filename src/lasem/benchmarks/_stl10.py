"""STL-10 with noise and channel orders, and a substitute for it made from ten classes of Tiny ImageNet."""

from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field

from lasem.benchmarks._assembly import Scaling, assemble
from lasem.benchmarks._benchmark import CPU, AbstractBenchmark, ImageSize, NumTasks, PerTask, for_each_task
from lasem.benchmarks._classes import random_classes
from lasem.benchmarks._decode import Decoding
from lasem.benchmarks._draw import Draw, Sizes
from lasem.benchmarks._open import locate, open_source
from lasem.benchmarks._plans import TaskPlan, distinct_plans
from lasem.benchmarks._source import Columns
from lasem.benchmarks._stream import Outline, TaskStream
from lasem.benchmarks._transforms import Noise, TransformChoice
from lasem.options import Positive, options

NUM_CLASSES = 10


@options(kw_only=True)
class AbstractNoisyImages(AbstractBenchmark):
    """Base class of benchmarks whose tasks draw classes out of ten, Gaussian noise and a channel order.

    Pixels are in [-0.5, 0.5]. Any two base tasks differ in a class, in the noise or in the channel order.

    Attributes:
        tasks: Number of base tasks.
        classes_per_task: Number of classes per task.
        train_per_class: Training images per class, or a list for each base task.
        valid_per_class: Validation images per class, from the training set.
        noise: Values from which the mean and the standard deviation of a task's noise are drawn: those of the paper,
            those of its authors' release, or none.
        channel_orders: Whether every task puts the channels in a random order.
        disjoint_draws: Whether data seeds 0, 1, 2 ... draw disjoint training and validation images.
        size: Height and width to which images are resized, in pixels.
    """

    folder: ClassVar[str]
    """Name of the folder under the data root."""
    hub: ClassVar[str | None]
    """Name of the data set on the Hugging Face hub; None if it is not there."""
    test_images: ClassVar[int]
    """Number of test images per class."""

    tasks: NumTasks = 20
    classes_per_task: Annotated[int, Field(ge=2, le=NUM_CLASSES)] = 3
    train_per_class: PerTask[Positive] = 106
    valid_per_class: Positive = 19
    noise: Noise = "paper"
    channel_orders: bool = True
    disjoint_draws: bool = False
    size: ImageSize = 96

    def outline(self) -> Outline:
        """Return shapes, tasks and exact sizes; no data is read."""
        classes = self.classes_per_task
        return self.arrange(
            shape=(3, self.size, self.size),
            classes=[classes] * self.tasks,
            images={
                "train": [classes * number for number in for_each_task(self.train_per_class, self.tasks)],
                "valid": classes * self.valid_per_class,
                "test": classes * self.test_images,
            },
        )

    def stream(self, *, stream_seed: int, data_seed: int, data: Path | None, device: torch.device = CPU) -> TaskStream:
        """Read the images and construct the stream; see `AbstractBenchmark.stream`."""
        transforms = TransformChoice(noise=self.noise, channel_orders=self.channel_orders)

        def plan(_: int, generator: np.random.Generator) -> TaskPlan:
            classes = random_classes(NUM_CLASSES, number=self.classes_per_task, generator=generator)
            return TaskPlan(classes=classes, transform=transforms.draw(generator, channels=3))

        sizes = Sizes(
            train=self.train_per_class,
            valid=self.valid_per_class,
            test_split="test",
            disjoint=self.disjoint_draws,
        )
        place = locate(self.folder, hub=self.hub, data=data)
        source = open_source(place, columns=Columns(), decoding=Decoding(size=self.size))
        draw = Draw(source=source, sizes=sizes, stream_seed=stream_seed, data_seed=data_seed, max_test=self.max_test)
        plans = distinct_plans(self.tasks, draw=plan, stream_seed=stream_seed)
        return assemble(self, draw=draw, plans=plans, scaling=Scaling(pixels="[-0.5,0.5]"), device=device)


@options(kw_only=True)
class Stl10(AbstractNoisyImages):
    """STL-10, which has 500 training and 800 test images per class."""

    folder = "stl10"
    hub = "tanganke/stl10"
    test_images = 800


@options(kw_only=True)
class TinyImageNet10(AbstractNoisyImages):
    """Ten classes of Tiny ImageNet similar to those of STL-10, resized, with the same noise and channel orders.

    The images are read from a local folder `tiny-imagenet-10` with 300 training and 250 test images per class. The
    data set is not on the hub.
    """

    folder = "tiny-imagenet-10"
    hub = None
    test_images = 250
