"""Task and TaskStream: labeled images as tensors, tasks in order of arrival."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lasem.errors import DataError


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Attributes:
        images: (N, C, H, W), floating point.
        labels: (N,), int64, 0 to the task's number of classes - 1.

    Raises:
        DataError: Shapes, types or lengths do not fit, or there is no image.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or not self.images.is_floating_point():
            raise DataError(
                "images must be a floating-point tensor (N, C, H, W)"
                f" - got {self.images.dtype} of shape {tuple(self.images.shape)}"
                " - convert them, e.g. images.float() / 255"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"labels must be int64 of shape ({len(self.images)},), one per image"
                f" - got {self.labels.dtype} of shape {tuple(self.labels.shape)}"
                " - give one label per image, e.g. labels.long()"
            )
        if not len(self.images):
            raise DataError("a split needs at least one image - got none - give more images or a larger share")

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        """The same split on another device."""
        return Split(images=self.images.to(device), labels=self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Task:
    """One classification problem.

    Attributes:
        name: What a reader should see, such as "apple / bed / crab".
        classes: Number of classes; labels are 0 to classes - 1.
        identity: The same number for every visit of the same task; None where no task comes twice.
    """

    name: str
    classes: int
    train: Split
    valid: Split
    test: Split
    identity: int | None = None

    def __post_init__(self) -> None:
        for name, split in self.splits.items():
            low, high = int(split.labels.min()), int(split.labels.max())
            if low < 0 or high >= self.classes:
                raise DataError(
                    f"labels of a task with {self.classes} classes run from 0 to {self.classes - 1}"
                    f" - got {low} to {high} in split '{name}' of task '{self.name}' - renumber the labels"
                )
            if split.images.shape[1:] != self.train.images.shape[1:]:
                raise DataError(
                    f"images of a task share one shape - got {tuple(split.images.shape[1:])} in split '{name}' and"
                    f" {tuple(self.train.images.shape[1:])} in 'train' of task '{self.name}' - resize them"
                )

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def to(self, device: torch.device) -> "Task":
        """The same task on another device."""
        return Task(
            name=self.name,
            classes=self.classes,
            train=self.train.to(device),
            valid=self.valid.to(device),
            test=self.test.to(device),
            identity=self.identity,
        )


@dataclass(frozen=True)
class Outline:
    """What is known of a stream before its data is read.

    Attributes:
        shape: Of an image: (channels, height, width).
        classes: Number of classes per task, in order.
        images: Number of images per task and split (train, valid, test); approximate where a source's counts are.
        identities: Per task, the number that its every visit shares.
    """

    shape: tuple[int, int, int]
    classes: tuple[int, ...]
    images: Mapping[str, int]
    identities: tuple[int, ...]

    @property
    def num_tasks(self) -> int:
        """Number of tasks in the stream, revisits included."""
        return len(self.classes)


@dataclass(frozen=True, eq=False)
class TaskStream(Sequence[Task]):
    """Tasks in order of arrival, each built when it is asked for.

    Attributes:
        builders: Per position, a function that builds the task; equal calls give equal tensors.
        outline: Shapes and sizes; `outline.images` is exact once a stream exists.
        train_images: Number of training images at each position.
        choices: What the seeds chose (classes, indices of images, noise, channel orders), per task; JSON types only.
        fingerprint: Hash of the selected pixels, labels and choices.
        knowledge: Values that the shared knowledge takes before the second task, by parameter name;
            only a synthetic stream with planted sharing has them.
        planted: Per task, the configuration planted by a synthetic stream.
    """

    builders: Sequence[Callable[[], Task]]
    outline: Outline
    train_images: Sequence[int]
    choices: Sequence[Mapping[str, object]] = ()
    fingerprint: str = ""
    knowledge: Mapping[str, Tensor] = field(default_factory=dict)
    planted: Sequence[Sequence[int]] = ()

    @staticmethod
    def of(tasks: Sequence[Task]) -> "TaskStream":
        """Make a stream from tasks that are already in memory.

        Raises:
            DataError: There is no task, or the tasks' images differ in shape.
        """
        if not tasks:
            raise DataError("a stream needs at least one task - got none - pass a list of Task objects")
        shapes = [tuple(task.train.images.shape[1:]) for task in tasks]
        if len(set(shapes)) > 1:
            raise DataError(f"tasks of a stream share one image shape - got {sorted(set(shapes))} - resize the images")
        channels, height, width = shapes[0]
        outline = Outline(
            shape=(channels, height, width),
            classes=tuple(task.classes for task in tasks),
            images={name: max(len(task.splits[name]) for task in tasks) for name in tasks[0].splits},
            identities=tuple(t if task.identity is None else task.identity for t, task in enumerate(tasks)),
        )
        digest = hashlib.sha256()
        for task in tasks:
            for split in task.splits.values():
                digest.update(split.images.cpu().contiguous().numpy().tobytes())
                digest.update(split.labels.cpu().numpy().tobytes())
        builders = [lambda task=task: task for task in tasks]
        return TaskStream(
            builders=builders,
            outline=outline,
            train_images=[len(task.train) for task in tasks],
            fingerprint=digest.hexdigest(),
        )

    def __len__(self) -> int:
        return len(self.builders)

    def __getitem__(self, position: int) -> Task:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.builders[position]()

    def __iter__(self) -> Iterator[Task]:
        return (build() for build in self.builders)
