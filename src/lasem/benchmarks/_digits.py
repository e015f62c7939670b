"""Handwritten digits that come with scikit-learn: real images without a download."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
import torch
from pydantic import Field

from lasem.benchmarks._assembly import Scaling, assemble
from lasem.benchmarks._benchmark import CPU, NOT_EMPTY, AbstractBenchmark, NumTasks, PerTask, for_each_task
from lasem.benchmarks._classes import random_classes
from lasem.benchmarks._draw import Draw, Sizes
from lasem.benchmarks._plans import TaskPlan, distinct_plans
from lasem.benchmarks._source import Rows, Source
from lasem.benchmarks._stream import Outline, TaskStream
from lasem.benchmarks._transforms import UNCHANGED, Transform
from lasem.errors import DataError
from lasem.extras import require_packages
from lasem.options import Share, options
from lasem.seeds import derive_seed, numpy_generator

Change: TypeAlias = Literal["none", "noise", "permutation", "inversion"]

TRAIN_POOL, VALID_POOL = 0.4, 0.1
TEST_PER_CLASS = 90  # 87 to 92, by digit


@options(kw_only=True)
class Digits(AbstractBenchmark):
    """Handwritten digits, 1797 images of 8 x 8 pixels; every task has a few digits, changed in its own way.

    Noise and inversion leave edges and strokes in place, whereas a permutation of the pixels leaves nothing that the
    filters of another task could use. Therefore the layers worth sharing differ between tasks. The images of each
    digit are first divided into 40 / 10 / 50 % for training, validation and test; every task draws from these.

    Attributes:
        tasks: Number of base tasks; any two differ in a digit or in the change.
        classes_per_task: Number of digits per task.
        train_per_class: Training images per digit, or a list for each base task; each task draws its own.
        valid_per_class: Validation images per digit; each task draws its own.
        changes: Changes of the images, one per task; each is used equally often, in random order.
        noise_sd: Standard deviation of the noise, as a fraction of the pixel range.
    """

    built_in: ClassVar[bool] = True

    tasks: NumTasks = 10
    classes_per_task: Annotated[int, Field(ge=2, le=10)] = 3
    train_per_class: PerTask[Annotated[int, Field(ge=1, le=70)]] = 30
    valid_per_class: Annotated[int, Field(ge=1, le=17)] = 10
    changes: Annotated[tuple[Change, ...], NOT_EMPTY] = ("none", "noise", "permutation", "inversion")
    noise_sd: Share = 0.25

    def outline(self) -> Outline:
        """Return shapes, tasks and sizes; the number of test images is approximate."""
        classes = self.classes_per_task
        return self.arrange(
            shape=(1, 8, 8),
            classes=[classes] * self.tasks,
            images={
                "train": [classes * number for number in for_each_task(self.train_per_class, self.tasks)],
                "valid": classes * self.valid_per_class,
                "test": classes * TEST_PER_CLASS,
            },
        )

    def stream(self, *, stream_seed: int, data_seed: int, data: Path | None, device: torch.device = CPU) -> TaskStream:
        """Construct the stream; `data` is not used, because scikit-learn ships the images."""
        sizes = Sizes(train=TRAIN_POOL, valid=VALID_POOL, each_task=(self.train_per_class, self.valid_per_class))
        draw = Draw(
            source=read_digits(),
            sizes=sizes,
            stream_seed=stream_seed,
            data_seed=data_seed,
            max_test=self.max_test,
        )
        return assemble(self, draw=draw, plans=self._plans(stream_seed), scaling=Scaling(), device=device)

    def _plans(self, stream_seed: int) -> list[TaskPlan]:
        """Draw the digits and the change of every base task."""
        changes = [self.changes[task % len(self.changes)] for task in range(self.tasks)]
        changes = numpy_generator(stream_seed, "changes").permutation(changes).tolist()

        def plan(task: int, generator: np.random.Generator) -> TaskPlan:
            classes = random_classes(10, number=self.classes_per_task, generator=generator)
            seed = derive_seed(stream_seed, "pixel permutation", task)
            name = " / ".join(map(str, classes)) + ("" if changes[task] == "none" else f", {changes[task]}")
            return TaskPlan(classes=classes, transform=self._transform(changes[task], seed=seed), name=name)

        return distinct_plans(self.tasks, draw=plan, stream_seed=stream_seed)

    def _transform(self, kind: Change, *, seed: int) -> Transform:
        return {
            "none": UNCHANGED,
            "noise": Transform(noise_sd=self.noise_sd),
            "permutation": Transform(permutation_seed=seed),
            "inversion": Transform(inverted=True),
        }[kind]


def read_digits() -> Source:
    """Read scikit-learn's digits; their gray levels 0 to 16 become 0 to 255.

    Raises:
        DataError: The file of digits is not where scikit-learn keeps it.
    """
    table = np.loadtxt(_path_of_digits(), delimiter=",")
    pixels = np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = table[:, -1].astype(np.int64)
    return Source(
        name="scikit-learn's digits",
        class_names=tuple(str(digit) for digit in range(10)),
        rows={"train": Rows(labels=labels)},
        decode=lambda _, rows: pixels[rows],
    )


def _path_of_digits() -> Path:
    # `sklearn.datasets.load_digits` reads the same file, but importing it takes two seconds, for scipy and pandas.
    require_packages("sklearn", what="the benchmark digits, whose images come with scikit-learn")
    package = find_spec("sklearn")
    folders = package.submodule_search_locations if package else None
    path = Path(folders[0] if folders else "sklearn", "datasets", "data", "digits.csv.gz")
    if not path.is_file():
        raise DataError(f"scikit-learn must be installed with its digits (got no file {path}); install it again")
    return path
