"""AbstractBenchmark: a named, reproducible constructor of a task stream, and types of its options."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias, TypeVar

import torch
from pydantic import Field

from lasem.benchmarks._stream import Outline, TaskStream
from lasem.errors import require
from lasem.options import Count, Positive, must, options

T = TypeVar("T")

CPU = torch.device("cpu")
PLACE = "[benchmark]"
"""Section of a spec that holds the options of a benchmark, for error messages."""

ImageSize: TypeAlias = Annotated[int, Field(ge=1, le=4096)]
"""Height and width of square images, in pixels."""
NumTasks: TypeAlias = Annotated[int, Field(ge=1, le=10_000)]
"""Number of base tasks; a stream of more could not be planned in reasonable time."""
NOT_EMPTY = must(bool, "a list of at least 1", "add to it")
"""Rule for a tuple; unlike a length in `Field`, it says nothing where an entry is wrong already."""
PerClass: TypeAlias = Annotated[
    int | float,
    must(
        lambda amount: amount >= 1 if isinstance(amount, int) else 0 < amount < 1,
        "a whole number of at least 1 or a share between 0 and 1",
        "write a number of images such as 20, or a share such as 0.6",
    ),
]
"""Images per class: a number (int), or a share of the class's images (float)."""
PerClassOrAll: TypeAlias = Annotated[
    int | float | Literal["all"],
    must(
        lambda amount: amount == "all" or (amount >= 1 if isinstance(amount, int) else 0 < amount <= 1),
        "a whole number of at least 1 or a share above 0, at most 1.0",
        'write a number of images such as 20, a share such as 0.6, or "all"',
    ),
]
"""Images per class as above, or "all" (1.0 is the same) for all images that the other splits leave."""

PerTask: TypeAlias = T | tuple[T, ...]
"""One value for all base tasks, or a list with one value for each."""


def for_each_task(train_per_class: PerTask[T], num_tasks: int) -> tuple[T, ...]:
    """Return the training images per class of every base task.

    Args:
        train_per_class: One value for all base tasks, or one value for each.
        num_tasks: Number of base tasks.

    Raises:
        SpecError: The list has another length.
    """
    if not isinstance(train_per_class, tuple):
        return (train_per_class,) * num_tasks
    require(
        len(train_per_class) == num_tasks,
        f"train_per_class must be one value, or a list of {num_tasks}, one for each base task",
        remedy="lengthen or shorten the list; first_tasks and order choose among the base tasks",
        where=PLACE,
        train_per_class=list(train_per_class),
    )
    return train_per_class


@options(kw_only=True)
class AbstractBenchmark(ABC):
    """Options of a task stream; a subclass constructs the stream and its outline from them.

    A stream is a pure function of the options and two seeds. Every benchmark has the options below. They leave the
    base tasks unchanged and decide which of them arrive, and when.

    Attributes:
        max_test: Largest number of test images per task, spread evenly over its classes; None uses all images.
        first_tasks: Number of tasks after which the stream ends, revisits counted; None uses all tasks.
        order: Positions of base tasks in order of arrival, such as (0, 1, 0, 1, 2) for revisits; None visits each
            base task once.

    Raises:
        SpecError: An option is impossible.
    """

    built_in: ClassVar[bool] = False
    """Whether the images come with lasem, so that no data folder is needed."""

    max_test: Positive | None = None
    first_tasks: Positive | None = None
    order: Annotated[tuple[Count, ...], NOT_EMPTY] | None = None

    def is_local(self, data: Path | None) -> bool:
        """Whether all images can be read without the Hugging Face hub.

        Args:
            data: Data root; None if none is given.
        """
        return self.built_in or data is not None

    @abstractmethod
    def outline(self) -> Outline | None:
        """Return shapes, tasks and sizes before any data is read, or None if only the data can tell."""

    @abstractmethod
    def stream(self, *, stream_seed: int, data_seed: int, data: Path | None, device: torch.device = CPU) -> TaskStream:
        """Read the data and construct the task stream.

        Args:
            stream_seed: Seed of the tasks: class groups, noise, channel orders and permutations.
            data_seed: Seed of the choice of images for each task.
            data: Folder with one folder per data set; None loads data sets from the Hugging Face hub.
            device: Device of the source images and of the tasks' tensors.

        Raises:
            DataError: The data is missing, unreadable or not enough.
            SpecError: The options do not fit the data, for example `order` contains a task that does not exist.
        """

    def count_visits(self, data: Path | None) -> int | None:
        """Return the number of tasks that arrive, revisits counted; None if only `stream` can tell.

        Args:
            data: Data root; None if none is given.

        Raises:
            DataError: The data is missing, or not what the options say.
            SpecError: `order` or `first_tasks` asks for more tasks than there are.
        """
        del data
        outline = self.outline()
        return None if outline is None else outline.num_tasks

    def positions(self, num_tasks: int) -> tuple[int, ...]:
        """Return the positions of base tasks in order of arrival, after `order` and `first_tasks`.

        Args:
            num_tasks: Number of base tasks.

        Raises:
            SpecError: `order` or `first_tasks` asks for more tasks than there are.
        """
        order = tuple(range(num_tasks)) if self.order is None else self.order
        require(
            max(order) < num_tasks,
            f"order must list base tasks of this stream, 0 to {num_tasks - 1}",
            remedy="remove the others",
            where=PLACE,
            order=order,
        )
        require(
            self.first_tasks is None or self.first_tasks <= len(order),
            f"first_tasks must be at most {len(order)}, the number of tasks in this stream",
            remedy="lower it",
            where=PLACE,
            first_tasks=self.first_tasks,
        )
        return order[: self.first_tasks]

    def arrange(
        self, *, shape: tuple[int, int, int], classes: Sequence[int], images: Mapping[str, int | Sequence[int]]
    ) -> Outline:
        """Make the outline of the stream from its base tasks.

        Args:
            shape: Shape of an image, (channels, height, width).
            classes: Number of classes per base task.
            images: Number of images per split of a task, or a list of those of each base task, before `max_test`.
        """
        positions = self.positions(len(classes))
        most = {
            split: number if isinstance(number, int) else max(number[position] for position in positions)
            for split, number in images.items()
        }
        test = most["test"] if self.max_test is None else min(most["test"], self.max_test)
        return Outline(
            shape=shape,
            classes=tuple(classes[position] for position in positions),
            images={**most, "test": test},
            identities=positions,
        )
