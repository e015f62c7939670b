"""CIFAR-100 split into 10, 20 or 40 tasks of ten classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from lasem.benchmarks._assembly import Scaling, Standardize, assemble
from lasem.benchmarks._benchmark import CPU, AbstractBenchmark, PerTask, for_each_task
from lasem.benchmarks._classes import find_classes, random_groups
from lasem.benchmarks._decode import Decoding
from lasem.benchmarks._draw import Draw, Sizes
from lasem.benchmarks._open import locate, open_source
from lasem.benchmarks._plans import TaskPlan
from lasem.benchmarks._source import Columns
from lasem.benchmarks._stream import Outline, TaskStream
from lasem.options import Positive, options

# The twenty superclasses in the two groups of ten that the ten tasks are made of; fine classes by ascending id.
SUPERCLASSES: tuple[dict[str, tuple[str, str, str, str, str]], ...] = (
    {
        "aquatic mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
        "fish": ("aquarium fish", "flatfish", "ray", "shark", "trout"),
        "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
        "food containers": ("bottle", "bowl", "can", "cup", "plate"),
        "fruit and vegetables": ("apple", "mushroom", "orange", "pear", "sweet pepper"),
        "household furniture": ("bed", "chair", "couch", "table", "wardrobe"),
        "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
        "large carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
        "large man-made outdoor things": ("bridge", "castle", "house", "road", "skyscraper"),
        "vehicles 1": ("bicycle", "bus", "motorcycle", "pickup truck", "train"),
    },
    {
        "household electrical devices": ("clock", "keyboard", "lamp", "telephone", "television"),
        "large natural outdoor scenes": ("cloud", "forest", "mountain", "plain", "sea"),
        "large omnivores and herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
        "medium mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
        "non-insect invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
        "people": ("baby", "boy", "girl", "man", "woman"),
        "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
        "small mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
        "trees": ("maple tree", "oak tree", "palm tree", "pine tree", "willow tree"),
        "vehicles 2": ("lawn mower", "rocket", "streetcar", "tank", "tractor"),
    },
)
CYCLE = (0, 5, 1, 6, 2, 7, 3, 8, 9, 4)
CLASSES, TEST_PER_CLASS = 10, 100


@options(kw_only=True)
class Cifar100(AbstractBenchmark):
    """CIFAR-100 split into tasks of ten classes with a few training images per class.

    Attributes:
        tasks: Number of base tasks. The 10 tasks are disjoint; 20 or 40 use each class in two or four different tasks.
        split: How classes are divided: by superclass (each task has one class of ten superclasses), or at random.
        train_per_class: Training images per class, or a list for each base task.
        valid_per_class: Validation images per class, from the training set.
        standardize: Images whose mean and standard deviation standardize pixels: the task's training images for all
            splits ("train"), or each split's own images ("each").
        disjoint_draws: Whether data seeds 0, 1, 2 ... draw disjoint training and validation images.
    """

    tasks: Literal[10, 20, 40] = 10
    split: Literal["superclass", "random"] = "superclass"
    train_per_class: PerTask[Positive] = 17
    valid_per_class: Positive = 3
    standardize: Standardize = "train"
    disjoint_draws: bool = False

    def outline(self) -> Outline:
        """Return shapes, tasks and exact sizes; no data is read."""
        return self.arrange(
            shape=(3, 32, 32),
            classes=[CLASSES] * self.tasks,
            images={
                "train": [CLASSES * number for number in for_each_task(self.train_per_class, self.tasks)],
                "valid": CLASSES * self.valid_per_class,
                "test": CLASSES * TEST_PER_CLASS,
            },
        )

    def stream(self, *, stream_seed: int, data_seed: int, data: Path | None, device: torch.device = CPU) -> TaskStream:
        """Read CIFAR-100 and construct the stream; see `AbstractBenchmark.stream`."""
        place = locate("cifar100", hub="uoft-cs/cifar100", data=data)
        source = open_source(place, columns=Columns(label="fine_label"), decoding=Decoding(size=32))
        if self.split == "random":
            base = random_groups(range(100), size=CLASSES, stream_seed=stream_seed)
        else:
            base = [find_classes(source, names) for names in superclass_tasks()]
        sizes = Sizes(
            train=self.train_per_class,
            valid=self.valid_per_class,
            test_split="test",
            disjoint=self.disjoint_draws,
        )
        return assemble(
            self,
            draw=Draw(source=source, sizes=sizes, stream_seed=stream_seed, data_seed=data_seed, max_test=self.max_test),
            plans=[TaskPlan(classes=classes) for classes in reuse_classes(base, num_tasks=self.tasks)],
            scaling=Scaling(pixels="standardize", standardize=self.standardize),
            device=device,
        )


def superclass_tasks() -> list[tuple[str, ...]]:
    """Return the class names of ten disjoint base tasks.

    Task j, from 0 to 4, has the j-th class of each superclass of the first group; task 5 + j of the second group.
    """
    return [tuple(fine[rank] for fine in group.values()) for group in SUPERCLASSES for rank in range(5)]


def reuse_classes(base: Sequence[tuple[int, ...]], *, num_tasks: int) -> list[tuple[int, ...]]:
    """Make 10, 20 or 40 distinct tasks from ten disjoint base tasks; each class appears equally often.

    The rule is that of the authors' release. Twenty tasks are the base tasks in a cycle, and after each base task one
    task with every other class of it and of the next. Forty tasks add tasks that combine two halves, where each half
    appears in two tasks.

    Args:
        base: Class ids of ten base tasks, ten each.
        num_tasks: Number of tasks to make: 10, 20 or 40.
    """
    if num_tasks == 10:
        return list(base)
    mixed: list[tuple[int, ...]] = []
    for here, there in zip(CYCLE, (*CYCLE[1:], CYCLE[0]), strict=True):
        mixed += [base[here], (*base[here][0::2], *base[there][1::2])]
    if num_tasks == 20:
        return mixed
    # Halves of ten base tasks: "lower" takes early classes of a pair of tasks, "upper" late ones.
    lower, upper = [], []
    for a, b in zip(base[:5], base[5:], strict=True):
        for odd in (0, 1):
            lower.append((a[odd], b[odd], a[2 + odd], b[2 + odd], a[4 + odd]))
            upper.append((b[4 + odd], a[6 + odd], b[6 + odd], a[8 + odd], b[8 + odd]))
    for k in range(10):
        mixed += [lower[k] + upper[k], lower[(k + 1) % 10] + upper[k]]
    return mixed
