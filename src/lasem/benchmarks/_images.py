"""Any image-classification data set of the hub or of a folder, split into tasks by class, by domain, or both."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field

from lasem.benchmarks._assembly import Pixels, Scaling, Standardize, assemble
from lasem.benchmarks._benchmark import CPU, NOT_EMPTY, AbstractBenchmark, ImageSize, PerClass
from lasem.benchmarks._classes import find_classes, find_domains, random_groups
from lasem.benchmarks._decode import Decoding
from lasem.benchmarks._draw import Draw, Sizes
from lasem.benchmarks._plans import TaskPlan, domain_plans
from lasem.benchmarks._source import Columns, Source, is_folder, locate, open_source
from lasem.benchmarks._stream import TaskStream
from lasem.benchmarks._transforms import Noise, TransformChoice
from lasem.errors import require
from lasem.options import must, options

Rotation = Annotated[
    int, must(lambda degrees: degrees % 90 == 0 and abs(degrees) <= 360, "a multiple of 90, at most 360", "write 90")
]
"""Angle in degrees by which a square image can be rotated without interpolation."""
Group = Annotated[tuple[str | int, ...], must(lambda group: len(group) > 1, "a list of at least 2 classes", "add one")]
"""Classes of one task, by name or id."""


@options(kw_only=True)
class Images(AbstractBenchmark):
    """Your own images: a Hugging Face data set, a folder of parquet files, or a folder with one folder per class.

    Images per class are a number (int) or a share of the class's images in its split (float). Without a test split,
    test images also come from the training split.

    Attributes:
        source: A folder under the data root, a path to a folder, or the name of a data set on the hub.
        image_column: Column of images; None uses the only column of images.
        label_column: Column of labels; None uses `label`, `labels` or `fine_label`.
        domain_column: Column of domains; each domain gets tasks of its own. None ignores domains.
        domains: Domains to use, in order of arrival; None uses all, sorted by name.
        train_split: Split from which training images are drawn.
        valid_split: Split from which validation images are drawn; None draws them from the training split.
        test_split: Split from which test images are drawn; None uses `test` if there is one, else the training split.
        class_groups: Classes of each task, by name or id; None divides the classes at random.
        classes_per_task: Size of random groups of classes; the last may be smaller. None puts all in one task.
        train_per_class: Training images per class.
        valid_per_class: Validation images per class.
        test_per_class: Test images per class; None uses all remaining images.
        size: Height and width to which images are resized, in pixels; None keeps the size of the images.
        channels: 3 converts all images to RGB; 1 accepts gray images only.
        pixels: Range of the pixels, or standardization per channel.
        standardize: Images whose statistics standardize pixels: the task's training images, or each split's own.
        noise: Values from which the mean and the standard deviation of a task's noise are drawn: those of the paper,
            those of its authors' release, or none.
        channel_orders: Whether every task puts the channels in a random order.
        permute_pixels: Whether every task permutes the pixels.
        rotations: Angles in degrees, multiples of 90, from which each task's rotation is drawn.
        disjoint_draws: Whether data seeds 0, 1, 2 ... draw disjoint images; needs a test split.
    """

    source: Annotated[str, must(bool, "a folder or the name of a data set on the hub", "name one")]
    image_column: str | None = None
    label_column: str | None = None
    domain_column: str | None = None
    domains: tuple[str, ...] | None = None
    train_split: str = "train"
    valid_split: str | None = None
    test_split: str | None = None
    class_groups: Annotated[tuple[Group, ...], NOT_EMPTY] | None = None
    classes_per_task: Annotated[int, Field(ge=2)] | None = None
    train_per_class: PerClass = 0.6
    valid_per_class: PerClass = 0.1
    test_per_class: PerClass | None = None
    size: ImageSize | None = None
    channels: Literal[1, 3] = 3
    pixels: Pixels = "[0,1]"
    standardize: Standardize = "train"
    noise: Noise = "none"
    channel_orders: bool = False
    permute_pixels: bool = False
    rotations: Annotated[tuple[Rotation, ...], NOT_EMPTY] = (0,)
    disjoint_draws: bool = False

    def __post_init__(self) -> None:
        require(
            self.class_groups is None or self.classes_per_task is None,
            "class_groups and classes_per_task must not both be set",
            remedy="leave one of them out",
            class_groups=self.class_groups,
            classes_per_task=self.classes_per_task,
        )

    def outline(self) -> None:
        """Return None, because only the data can tell shapes and sizes."""

    def stream(self, *, stream_seed: int, data_seed: int, data: Path | None, device: torch.device = CPU) -> TaskStream:
        """Read the images and construct the stream; see `AbstractBenchmark.stream`."""
        columns = Columns(image=self.image_column, label=self.label_column, domain=self.domain_column)
        decoding = Decoding(size=self.size, channels=self.channels)
        source = open_source(self._place(data), columns=columns, decoding=decoding)
        draw = Draw(
            source=source,
            sizes=self._sizes(source),
            stream_seed=stream_seed,
            data_seed=data_seed,
            max_test=self.max_test,
        )
        return assemble(
            self,
            draw=draw,
            plans=self._plans(source, stream_seed=stream_seed),
            scaling=Scaling(pixels=self.pixels, standardize=self.standardize),
            device=device,
        )

    def _place(self, data: Path | None) -> Path | str:
        path = Path(os.path.expanduser(self.source))  # unlike Path.expanduser, leaves ~nobody as it is
        if is_folder(path) and (data is None or not is_folder(data / self.source)):
            return path
        return locate(self.source, hub=self.source, data=data)

    def _sizes(self, source: Source) -> Sizes:
        # A split named "test" is used for test unless it is the one that images are trained on.
        has_test = "test" in source.rows and self.train_split != "test"
        return Sizes(
            train=self.train_per_class,
            valid=self.valid_per_class,
            test=self.test_per_class,
            train_split=self.train_split,
            valid_split=self.valid_split,
            test_split=self.test_split or ("test" if has_test else None),
            disjoint=self.disjoint_draws,
        )

    def _plans(self, source: Source, *, stream_seed: int) -> list[TaskPlan]:
        """Plan a task with a transform for every group of classes, in every domain if there are domains."""
        everything = tuple(range(len(source.class_names)))
        if self.class_groups is not None:
            groups = [find_classes(source, group) for group in self.class_groups]
        else:
            size = self.classes_per_task or len(everything)
            groups = random_groups(everything, size=size, stream_seed=stream_seed)
        plans = [TaskPlan(classes=classes) for classes in groups]
        if self.domain_column is not None:
            known = self.domains or source.domains(self.train_split)
            plans = domain_plans(find_domains(source, known, split=self.train_split), groups)
        choice = TransformChoice(
            noise=self.noise,
            channel_orders=self.channel_orders,
            permute_pixels=self.permute_pixels,
            rotations=self.rotations,
        )
        transforms = choice.draw_all(len(plans), channels=self.channels, stream_seed=stream_seed)
        return [replace(plan, transform=transform) for plan, transform in zip(plans, transforms, strict=True)]
