"""TaskStream: tasks in order of arrival, and their outline, which is known before any data is read."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from lasem.benchmarks._duplicates import duplicate_notes, image_hashes
from lasem.benchmarks._scaling import PixelScaling
from lasem.benchmarks._task import Task
from lasem.errors import DataError
from lasem.formats import extent
from lasem.text import html_table

SHOWN = 40
"""Number of tasks that a notebook shows."""


@dataclass(frozen=True)
class Outline:
    """Shapes and sizes of a task stream, known before its data is read.

    Attributes:
        shape: Shape of an image, (channels, height, width).
        classes: Number of classes of each task, in order of arrival.
        images: Number of images per task for each split (train, valid, test); approximate if the source's counts are.
        identities: Identity of each task: a number that all visits of the same task have in common.
    """

    shape: tuple[int, int, int]
    classes: tuple[int, ...]
    images: Mapping[str, int]
    identities: tuple[int, ...]

    @property
    def num_tasks(self) -> int:
        """Number of tasks in the stream, revisits included."""
        return len(self.classes)


@dataclass(frozen=True, eq=False, repr=False)
class TaskStream(Sequence[Task]):
    """Tasks in order of arrival; the tensors of a task are built when it is accessed.

    Attributes:
        builders: Function for each position that builds the task; equal calls give equal tensors.
        outline: Shapes and sizes; `outline.images` is exact once a stream exists.
        train_images: Number of training images at each position.
        choices: Random choices for each task (classes, rows of images, noise, channel orders), in JSON types.
        scalings: Function for each position that returns how pixels became the values of its test images; empty where
            nothing tells.
        fingerprint: Hash of the selected pixels, labels and choices.
        knowledge: Values of the shared knowledge before the second task, by parameter name; only a synthetic stream
            with planted sharing has them.
        planted: Configuration planted in each task; only for a synthetic stream.
        notes: Warnings about the data for readers of the results, such as duplicate images.
        about: How a folder of images was understood, in one sentence; empty for other data.
        storage: Where images lie that do not fit in memory, in one sentence; empty for images in memory.
    """

    builders: Sequence[Callable[[], Task]]
    outline: Outline
    train_images: Sequence[int]
    choices: Sequence[Mapping[str, object]] = ()
    scalings: Sequence[Callable[[], PixelScaling]] = ()
    fingerprint: str = ""
    knowledge: Mapping[str, Tensor] = field(default_factory=dict)
    planted: Sequence[Sequence[int]] = ()
    notes: Sequence[str] = ()
    about: str = ""
    storage: str = ""

    @staticmethod
    def of(tasks: Sequence[Task]) -> "TaskStream":
        """Make a stream from tasks that are already in memory; tasks without an identity get their position.

        Raises:
            DataError: There is no task, or shapes or identities of the tasks do not fit together.
        """
        if not isinstance(tasks, Sequence) or not all(isinstance(task, Task) for task in tasks):
            raise _no_tasks(tasks)
        if not tasks:
            raise DataError("a stream must have at least one task (got none); pass a list of Task objects")
        _check_visits(tasks)
        shapes = [tuple(task.train.images.shape[1:]) for task in tasks]
        if len(set(shapes)) > 1:
            raise DataError(
                f"tasks of a stream must have one image shape (got {sorted(set(shapes))}); resize the images"
            )
        # every task of a stream has an identity, so that a learner can name tasks by it
        tasks = [task if task.identity is not None else replace(task, identity=t) for t, task in enumerate(tasks)]
        channels, height, width = shapes[0]
        outline = Outline(
            shape=(channels, height, width),
            classes=tuple(task.classes for task in tasks),
            images={name: max(len(task.splits[name]) for task in tasks) for name in tasks[0].splits},
            identities=tuple(t if task.identity is None else task.identity for t, task in enumerate(tasks)),
        )
        # The fingerprint tells a resumed run whether its data has changed.
        digest, hashes = hashlib.sha256(), []
        for task in tasks:
            pixels = {name: _bytes(split.images) for name, split in task.splits.items()}
            hashes.append({name: image_hashes(images) for name, images in pixels.items()})
            for name, split in task.splits.items():
                digest.update(pixels[name].tobytes())
                digest.update(split.labels.cpu().numpy().tobytes())
        builders = [lambda task=task: task for task in tasks]
        return TaskStream(
            builders=builders,
            outline=outline,
            train_images=[len(task.train) for task in tasks],
            fingerprint=digest.hexdigest(),
            notes=duplicate_notes(hashes),
        )

    def __len__(self) -> int:
        return len(self.builders)

    def __getitem__(self, position: int) -> Task:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.builders[position]()

    def __iter__(self) -> Iterator[Task]:
        return (build() for build in self.builders)

    def __repr__(self) -> str:
        outline, shape = self.outline, " x ".join(map(str, self.outline.shape))
        sizes = " / ".join(f"{number} {name}" for name, number in outline.images.items())
        return f"TaskStream({len(self)} tasks of {extent(outline.classes)} classes, up to {sizes} images of {shape})"

    def _repr_html_(self) -> str:
        """Return a table of the tasks, which a notebook shows; a long stream ends with an ellipsis."""
        heads = ("task", "name", "classes", "training images")
        rows = [
            (position, self._name(position), self.outline.classes[position], self.train_images[position])
            for position in range(min(len(self), SHOWN))
        ]
        rows += [("…",) * len(heads)] if len(self) > SHOWN else []
        return html_table(repr(self), heads, rows)

    def _name(self, position: int) -> object:
        """Return the name of a task, without building its tensors where the choices have it."""
        return (self.choices[position] if self.choices else {}).get("name") or self[position].name


def _no_tasks(tasks: object) -> DataError:
    """Tell a single task from a list of something else, such as torch Datasets."""
    if not isinstance(tasks, Sequence):
        return DataError(
            f"a stream must be made from a list of Task objects (got {type(tasks).__name__}); pass [task, ...]"
        )
    other = next(type(task).__name__ for task in tasks if not isinstance(task, Task))
    return DataError(
        f"a stream must be made from a list of Task objects (got {other} in the list); make a Task of three splits, for"
        " example Task(name, classes, train=Split.of(dataset), ...)"
    )


def _check_visits(tasks: Sequence[Task]) -> None:
    """Refuse identities that only some tasks have, and visits of one task with different classes."""
    identities = [task.identity for task in tasks]
    if None in identities and len(set(identities)) > 1:
        raise DataError(
            f"either all tasks of a stream must have an identity or none (got {identities}); number all of them"
        )
    classes: dict[int | None, int] = {}
    for task in tasks:
        known = classes.setdefault(task.identity, task.classes)
        if task.identity is not None and known != task.classes:
            raise DataError(
                f"visits of one task must have the same classes (got {known} and {task.classes} of identity"
                f" {task.identity}); give different tasks different identities"
            )


def _bytes(images: Tensor) -> np.ndarray:
    """View values as bytes: (N, C, H, W) -> (N, C, H, bytes), uint8."""
    return images.detach().cpu().contiguous().view(torch.uint8).numpy()
