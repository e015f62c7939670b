"""Any image-classification data set of the hub or of a folder, split into tasks by class, by domain, or both."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field

from lasem.benchmarks._assembly import Pixels, Scaling, Standardize, assemble
from lasem.benchmarks._benchmark import (
    CPU,
    NOT_EMPTY,
    PLACE,
    AbstractBenchmark,
    ImageSize,
    NumTasks,
    PerClass,
    PerClassOrAll,
)
from lasem.benchmarks._classes import alike, even_groups, find_classes, find_domains, random_groups
from lasem.benchmarks._decode import Decoding
from lasem.benchmarks._draw import ALL, Draw, Sizes
from lasem.benchmarks._joined import joined, plans_by_domain, require_different
from lasem.benchmarks._layout import is_layout, split_of
from lasem.benchmarks._open import locate_own, open_source
from lasem.benchmarks._plans import TaskPlan, domain_plans
from lasem.benchmarks._source import Columns, Source
from lasem.benchmarks._store import Storage
from lasem.benchmarks._stream import TaskStream
from lasem.benchmarks._transforms import Noise, TransformChoice
from lasem.errors import require
from lasem.options import Positive, must, options

Rotation = Annotated[
    int, must(lambda degrees: degrees % 90 == 0 and abs(degrees) <= 360, "a multiple of 90, at most 360", "write 90")
]
"""Angle in degrees by which a square image can be rotated without interpolation."""
Group = Annotated[tuple[str | int, ...], must(lambda group: len(group) > 1, "a list of at least 2 classes", "add one")]
"""Classes of one task, by name or id."""


@options(kw_only=True)
class Images(AbstractBenchmark):
    """Your own images: a Hugging Face data set, a folder of parquet files, or a folder with one folder per class.

    Images per class are a number (int), a share of the class's images in its split (float), or all that the other
    splits leave ("all"). Without a test split, test images also come from the training split.

    Attributes:
        source: A folder under the data root, a path to a folder, or the name of a data set on the hub; it must be set.
            A list of these makes each of them a task, or the domains in it, with the classes that it has.
        image_column: Column of images; None uses the only column of images.
        label_column: Column of labels; None uses `label`, `labels` or `fine_label`.
        domain_column: Column of domains; each domain gets tasks of its own. None uses folders of domains if there are
            any, and ignores columns.
        layout: Meaning of the levels of a folder of images, from the outermost: "split", "domain", "class" or "*",
            such as "domain/class" or "split/class/*". None infers it from the names of folders.
        domains: Domains to use, in order of arrival; None uses all, sorted by name.
        train_split: Split from which training images are drawn.
        valid_split: Split from which validation images are drawn; None uses `validation` if there is one, else the
            training split.
        test_split: Split from which test images are drawn; None uses `test` if there is one, else the training split.
        class_groups: Classes of each task, by name or id; None divides the classes at random.
        classes_per_task: Size of random groups of classes; the last may be smaller. None puts all in one task, or as
            many groups as `max_tasks` says.
        max_tasks: Largest number of base tasks; classes are divided at random into groups of nearly equal size, of at
            least two classes, the same in every domain. Every domain has one task at least. It is not used together
            with `class_groups` or `classes_per_task`.
        train_per_class: Training images per class, or a list of numbers or shares for each base task; None uses all if
            there is a test split, else 60 %.
        valid_per_class: Validation images per class; None uses all of the validation split, or 10 % without one.
        test_per_class: Test images per class; None uses all that are left.
        max_train: Largest number of training images per task, spread evenly over its classes; None uses all.
        max_valid: Largest number of validation images per task, likewise.
        size: Pixels to which images are resized: one number for square images, or [height, width]; None keeps the size
            of the images.
        channels: 3 converts all images to RGB, 1 to gray.
        pixels: Range of the pixels, or standardization per channel.
        standardize: Images whose statistics standardize pixels: the task's training images, or each split's own.
        noise: Values from which the mean and the standard deviation of a task's noise are drawn: those of the paper,
            those of its authors' release, or none.
        channel_orders: Whether every task puts the channels in a random order.
        permute_pixels: Whether every task permutes the pixels.
        rotations: Angles in degrees, multiples of 90, from which each task's rotation is drawn.
        disjoint_draws: Whether data seeds 0, 1, 2 ... draw disjoint images; needs a test split.
        images: Where decoded images lie: in "memory", on "disk" in a temporary file from which batches are read, or on
            disk only if they do not fit in memory. The results are the same.
    """

    source: str | Annotated[tuple[str, ...], NOT_EMPTY] = ""
    image_column: str | None = None
    label_column: str | None = None
    domain_column: str | None = None
    layout: (
        Annotated[str, must(is_layout, "levels such as split/domain/class", 'write for example "domain/class"')] | None
    ) = None
    domains: tuple[str, ...] | None = None
    train_split: str = "train"
    valid_split: str | None = None
    test_split: str | None = None
    class_groups: Annotated[tuple[Group, ...], NOT_EMPTY] | None = None
    classes_per_task: Annotated[int, Field(ge=2)] | None = None
    max_tasks: NumTasks | None = None
    train_per_class: PerClassOrAll | Annotated[tuple[PerClass, ...], NOT_EMPTY] | None = None
    valid_per_class: PerClassOrAll | None = None
    test_per_class: PerClassOrAll | None = None
    max_train: Positive | None = None
    max_valid: Positive | None = None
    size: ImageSize | tuple[ImageSize, ImageSize] | None = None
    channels: Literal[1, 3] = 3
    pixels: Pixels = "[0,1]"
    standardize: Standardize = "train"
    noise: Noise = "none"
    channel_orders: bool = False
    permute_pixels: bool = False
    rotations: Annotated[tuple[Rotation, ...], NOT_EMPTY] = (0,)
    disjoint_draws: bool = False
    images: Storage = "auto"

    def __post_init__(self) -> None:
        require(
            all(self.sources),
            "source must be a folder of images, or the name of a data set on the hub",
            remedy="set it, for example --set benchmark.source=DIR",
            source=self.source,
        )
        require(
            self.class_groups is None or self.classes_per_task is None,
            "class_groups and classes_per_task must not both be set",
            remedy="leave one of them out",
            class_groups=self.class_groups,
            classes_per_task=self.classes_per_task,
        )
        if len(self.sources) > 1:
            require(
                len(set(self.sources)) == len(self.sources),
                "several folders in source must differ",
                remedy="name each folder once",
                source=self.source,
            )
            require(
                self.size is not None,
                "size must be set for several folders, whose images must have one size",
                remedy="set it, for example size = 64",
                size=self.size,
            )
            require(
                self.class_groups is None and self.classes_per_task is None,
                "class_groups and classes_per_task must be left out for several folders, each with classes of its own",
                remedy="leave them out",
                class_groups=self.class_groups,
                classes_per_task=self.classes_per_task,
            )

    @property
    def sources(self) -> tuple[str, ...]:
        """The folders or data sets, one or several."""
        return (self.source,) if isinstance(self.source, str) else self.source

    def outline(self) -> None:
        """Return None, because only the data can tell shapes and sizes."""

    def stream(self, *, stream_seed: int, data_seed: int, data: Path | None, device: torch.device = CPU) -> TaskStream:
        """Read the images and construct the stream; see `AbstractBenchmark.stream`."""
        source = self._open(data)
        draw = Draw(
            source=source,
            sizes=self._sizes(source),
            stream_seed=stream_seed,
            data_seed=data_seed,
            max_test=self.max_test,
            max_train=self.max_train,
            max_valid=self.max_valid,
        )
        stream = assemble(
            self,
            draw=draw,
            plans=self._plans(source, stream_seed=stream_seed),
            scaling=Scaling(pixels=self.pixels, standardize=self.standardize),
            device=device,
            storage=self.images,
        )
        _, height, width = stream.outline.shape
        require(
            height == width or all(degrees % 180 == 0 for degrees in self.rotations),
            f"rotations must be multiples of 180 for images of {height} x {width} pixels",
            remedy="set size to one number, such as size = 64, or leave out other rotations",
            where=PLACE,
            rotations=self.rotations,
        )
        return stream

    def is_local(self, data: Path | None) -> bool:
        """Whether the images can be read without the hub; see `AbstractBenchmark.is_local`."""
        return all(isinstance(locate_own(source, data=data), Path) for source in self.sources)

    def count_tasks(self, data: Path | None) -> int:
        """Return the number of base tasks, for which images are listed and not decoded.

        Args:
            data: Data root; None if none is given.

        Raises:
            DataError: The data is missing, or not what the options say.
        """
        return len(self._plans(self._open(data), stream_seed=0))

    def count_visits(self, data: Path | None) -> int:
        """Return the number of tasks that arrive; see `AbstractBenchmark.count_visits`."""
        return len(self.positions(self.count_tasks(data)))

    def _open(self, data: Path | None) -> Source:
        columns = Columns(image=self.image_column, label=self.label_column, domain=self.domain_column)
        decoding = Decoding(size=self.size, channels=self.channels)
        names = [os.path.basename(os.path.abspath(source)) for source in self.sources]
        domains = names if len({*names}) == len(names) else self.sources
        found = [locate_own(source, data=data) for source in self.sources]
        require_different(found)
        opened = (open_source(place, columns=columns, decoding=decoding, layout=self.layout) for place in found)
        source = joined(dict(zip(domains, opened, strict=True)))
        return replace(source, about="; ".join(filter(None, (source.about, alike(source.class_names)))))

    def _sizes(self, source: Source) -> Sizes:
        valid = self._other_split(source, self.valid_split, usual="validation")
        test = self._other_split(source, self.test_split, usual="test")
        return Sizes(
            train=self.train_per_class or (ALL if test else 0.6),
            valid=self.valid_per_class or (ALL if valid else 0.1),
            test=self.test_per_class or ALL,
            train_split=self.train_split,
            valid_split=valid,
            test_split=test,
            disjoint=self.disjoint_draws,
        )

    def _other_split(self, source: Source, given: str | None, *, usual: str) -> str | None:
        """Return the split of validation or test images; None if they come from the training split."""
        found = given or next((split for split in source.rows if split_of(split) == usual), None)
        return None if found == self.train_split else found

    def _plans(self, source: Source, *, stream_seed: int) -> list[TaskPlan]:
        """Plan a task with a transform for every group of classes, in every domain if there are domains."""
        everything = tuple(range(len(source.class_names)))
        known = self.domains or source.domains(self.train_split)
        if len(self.sources) > 1:
            groups = []
        elif self.class_groups is not None:
            groups = [find_classes(source, group) for group in self.class_groups]
        elif self.max_tasks is not None and self.classes_per_task is None:
            number = max(1, min(self.max_tasks // max(1, len(known)), len(everything) // 2))
            groups = even_groups(everything, number=number, stream_seed=stream_seed)
        else:
            size = self.classes_per_task or len(everything)
            groups = random_groups(everything, size=size, stream_seed=stream_seed)
        plans = [TaskPlan(classes=classes) for classes in groups]
        if len(self.sources) > 1:
            chosen = find_domains(source, self.domains, split=self.train_split) if self.domains else None
            plans = plans_by_domain(source, chosen, split=self.train_split)
        elif known:
            plans = domain_plans(find_domains(source, known, split=self.train_split), groups)
        choice = TransformChoice(
            noise=self.noise,
            channel_orders=self.channel_orders,
            permute_pixels=self.permute_pixels,
            rotations=self.rotations,
        )
        transforms = choice.draw_all(len(plans), channels=self.channels, stream_seed=stream_seed)
        return [replace(plan, transform=transform) for plan, transform in zip(plans, transforms, strict=True)]
