"""Choice of the rows of a source that become the training, validation and test images of a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, TypeAlias

import numpy as np

from lasem.benchmarks._classes import alike, folded
from lasem.benchmarks._source import Source
from lasem.errors import DataError, SpecError
from lasem.seeds import numpy_generator

Amount: TypeAlias = int | float | Literal["all"]
Amounts: TypeAlias = Amount | tuple[int | float, ...]
Chosen: TypeAlias = Mapping[str, np.ndarray]

ALL = "all"
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Numbers of images of a class per split: an int is a number, a float a share of the class's images in its split.

    A share is rounded to the nearest whole number, halves up, and is at least 1. "all" means all images of a class that
    the other splits leave.

    Attributes:
        train: Training images per class, or one amount for each base task. The images of a task with fewer are the
            first of those with more.
        valid: Validation images per class.
        test: Test images per class.
        train_split: Split of the source for training images.
        valid_split: Split of the source for validation images; None takes other images of `train_split`.
        test_split: Split of the source for test images; None takes other images of `train_split`.
        each_task: Numbers of (training, validation) images per class that every task draws anew from those of the
            class, where the first may be one number for each base task; None gives every task all of them.
        disjoint: Whether the images of data seeds 0, 1, 2 ... are disjoint; otherwise they are independent draws.
    """

    train: Amounts
    valid: Amount
    test: Amount = ALL
    train_split: str = "train"
    valid_split: str | None = None
    test_split: str | None = None
    each_task: tuple[int | tuple[int, ...], int] | None = None
    disjoint: bool = False

    def source_of(self, split: str) -> str:
        """Return the split of the source from which a split of the task is drawn."""
        return {"train": None, "valid": self.valid_split, "test": self.test_split}[split] or self.train_split

    def of_class(self, available: int) -> dict[str, int]:
        """Return the numbers of images that a class gives to each split from the split for training.

        Raises:
            SpecError: Several splits are to take all that the others leave.
        """
        amounts: dict[str, Amounts] = {"train": self.train, "valid": self.valid, "test": self.test}
        here = [split for split in SPLITS if self.source_of(split) == self.train_split]
        rest = [split for split in here if takes_all(amounts[split])]
        if len(rest) > 1:
            got = ", ".join(f"{split}_per_class = {amounts[split]!r}" for split in rest)
            raise SpecError(
                f"only one split must take all images of a class that the others leave (got {got}); give the others a"
                " number or a share"
            )
        numbers = {split: most(amounts[split], available) for split in here if split not in rest}
        left = max(1, available - sum(numbers.values()))
        return {split: numbers.get(split, left) if split in here else 0 for split in SPLITS}

    def least(self, available: int) -> int:
        """Return how many images a class needs that has too few: with shares, more than its present ones ask for."""
        need = sum(self.of_class(available).values())
        return next((number for number in range(need, 2 * need) if sum(self.of_class(number).values()) <= number), need)


def most(amounts: Amounts, available: int) -> int:
    """Convert the largest of several amounts to a number of images; see `rounded`."""
    return max(rounded(amount, available) for amount in (amounts if isinstance(amounts, tuple) else (amounts,)))


def takes_all(amount: Amounts) -> bool:
    """Whether an amount is everything that other splits leave: "all", or the share 1.0 (and not the number 1)."""
    return amount == ALL or (isinstance(amount, float) and amount == 1)


def rounded(amount: Amount, available: int) -> int:
    """Convert an amount, a number or a share of the images available, to a number of images.

    >>> rounded(0.6, 99), rounded(0.1, 25), rounded(0.1, 3), rounded(17, 100), rounded("all", 100)
    (59, 3, 1, 17, 100)
    """
    if takes_all(amount):
        return max(1, available)
    if isinstance(amount, int):
        return amount
    # As a binary float, 0.145 * 100 is below 14.5. Decimals round the number that the user wrote.
    return max(1, int((Decimal(repr(amount)) * available).quantize(Decimal(1), rounding=ROUND_HALF_UP)))


def evened(available: Sequence[int], total: int | None) -> list[int]:
    """Distribute at most `total` over classes, as evenly as the numbers available allow.

    >>> evened([100, 2, 100], 11)
    [5, 2, 4]
    """
    if total is None or total >= sum(available):
        return list(available)
    shares = [0] * len(available)
    # The scarcest classes come first, so that what they cannot give is left for the others.
    scarcest_first = sorted(range(len(available)), key=lambda k: (available[k], -k))
    for done, k in enumerate(scarcest_first):
        shares[k] = min(available[k], total // (len(available) - done))
        total -= shares[k]
    return shares


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Random choice of the images of one stream; it follows from the seeds, the source and the sizes.

    Attributes:
        source: Source of the images.
        sizes: Numbers of images per class.
        stream_seed: Seed of the order of images if draws are disjoint.
        data_seed: Seed of the choice of images.
        max_test: Largest number of test images per task, spread evenly over its classes; None for all.
        max_train: Largest number of training images per task, likewise.
        max_valid: Largest number of validation images per task, likewise.
    """

    source: Source
    sizes: Sizes
    stream_seed: int
    data_seed: int
    max_test: int | None = None
    max_train: int | None = None
    max_valid: int | None = None

    def task(self, position: int, *, classes: Sequence[int], domain: str | None) -> Chosen:
        """Return the rows of a task by split, each (n,), int64, in random order.

        A class has the same rows in every task, so that no image is for training in one task and for test in another;
        a task with fewer training images has some of them.

        Args:
            position: Position of the task among the base tasks.
            classes: Class ids of the source.
            domain: Domain of the images; None if the source has no domains.

        Raises:
            DataError: A class has too few images.
        """
        # The task only cuts the pools of class and domain short: this keeps test images out of all training.
        pools = [self.pools(label, domain, position=position) for label in classes]
        chosen = {split: [pool[split] for pool in pools] for split in SPLITS}
        for split, numbers in zip(("train", "valid"), self.sizes.each_task or (), strict=False):
            number = numbers[position] if isinstance(numbers, tuple) else numbers
            chosen[split] = [
                numpy_generator(self.data_seed, "task", split, position, label).permutation(rows)[:number]
                for label, rows in zip(classes, chosen[split], strict=True)
            ]
        for split, limit in zip(SPLITS, (self.max_train, self.max_valid, self.max_test), strict=True):
            numbers = evened([len(rows) for rows in chosen[split]], limit)
            chosen[split] = [rows[:number] for rows, number in zip(chosen[split], numbers, strict=True)]
        return {
            split: numpy_generator(self.data_seed, "arrange", split, position).permutation(np.concatenate(rows))
            for split, rows in chosen.items()
        }

    def pools(self, label: int, domain: str | None, *, position: int) -> Chosen:
        """Return disjoint training, validation and test rows of a class for a task, each in random order.

        Args:
            label: Class id of the source.
            domain: Domain of the images; None if the source has no domains.
            position: Position of the task among the base tasks, on which only the number of training rows depends.

        Raises:
            DataError: The class has too few images.
        """
        sizes, main = self.sizes, self._shuffled(self.sizes.train_split, label, domain)
        train, valid, test = sizes.of_class(len(main)).values()
        need = train + valid + test
        # Disjoint draws are consecutive pieces of one order, which must therefore not depend on the data seed.
        start = self.data_seed * need if sizes.disjoint else 0
        if len(main) < start + need:
            need = start + need if sizes.disjoint else sizes.least(len(main))
            raise self._too_few(label, domain, split=sizes.train_split, have=len(main), need=need)
        trained, validated, tested = np.split(main[start : start + need], [train, train + valid])
        if sizes.valid_split:
            validated = self._outside(sizes.valid_split, sizes.valid, label=label, domain=domain)
        if sizes.test_split:
            tested = self._outside(sizes.test_split, sizes.test, label=label, domain=domain)
        if isinstance(sizes.train, tuple):
            trained = trained[: rounded(sizes.train[position], len(main))]
        return {"train": trained, "valid": validated, "test": tested}

    def _outside(self, split: str, amount: Amount, *, label: int, domain: str | None) -> np.ndarray:
        """Return rows of a class from a split that training images do not come from."""
        rows = self._shuffled(split, label, domain)
        need = rounded(amount, len(rows))
        if len(rows) < need:
            raise self._too_few(label, domain, split=split, have=len(rows), need=need)
        return rows[:need]

    def _shuffled(self, split: str, label: int, domain: str | None) -> np.ndarray:
        seed = self.stream_seed if self.sizes.disjoint else self.data_seed
        rows = self.source.split(split).where(label, domain)
        return numpy_generator(seed, "images", split, domain or "", label).permutation(rows)

    def _too_few(self, label: int, domain: str | None, *, split: str, have: int, need: int) -> DataError:
        where = f"split '{split}'" + (f", domain '{domain}'" if domain else "") + f" of {self.source.name}"
        after = f" for {self.data_seed + 1} disjoint draws" if self.sizes.disjoint else ""
        name = self.source.class_names[label]
        remedy = "add images, or ask for fewer per class"
        if domain and not have:
            remedy = "add images, or give each domain as a folder of its own in source, with the classes that it has"
        twins = alike(other for other in self.source.class_names if folded(other) == folded(name))
        remedy += f"; {twins}" if twins else ""
        several = "s" if need > 1 else ""
        return DataError(
            f"class '{name}' must have at least {need} image{several}{after} (got {have} in {where}); {remedy}"
        )
