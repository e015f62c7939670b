"""Tasks on which learners show what they were published for, and how well a learner does on them."""

from dataclasses import replace
from functools import cache

import torch

from lasem.benchmarks import Digits, Split, Task
from lasem.runs import build_learner, check, resolve

FEW = 3
"""Images per class of the second task."""


@cache
def many_then_few(seed: int, *, many: int) -> list[Task]:
    """Make two tasks of the same ten digits: one with many training images per class, then one with three."""
    benchmark = Digits(tasks=1, classes_per_task=10, train_per_class=many + FEW, changes=("none",))
    whole = benchmark.stream(stream_seed=0, data_seed=seed, data=None)[0]
    order = torch.cat([(whole.train.labels == label).nonzero().flatten() for label in range(10)]).view(10, -1)
    parts = order[:, :many].flatten(), order[:, many:].flatten()
    splits = [Split(images=whole.train.images[rows], labels=whole.train.labels[rows]) for rows in parts]
    return [replace(whole, train=split, identity=number) for number, split in enumerate(splits)]


def trained(preset: str, tasks: list[Task], *, epochs: list[int], settings: tuple[str, ...] = (), seed: int = 0):
    """Train a preset's learner on tasks, each for its own number of epochs."""
    stream = ["benchmark.classes_per_task=10", "benchmark.train_per_class=3", f"seeds.training={seed}"]
    spec = resolve(preset, [*stream, f"training.epochs={epochs[0]}", *settings])
    learner = build_learner(spec, check(spec).outline(), device=torch.device("cpu"))
    for task, number in zip(tasks, epochs, strict=True):
        learner.begin_task(task)
        for _ in range(number):
            learner.train_epoch()
        learner.end_task()
    return learner


def accuracy(learner, task: Task, identity: int) -> float:
    """Measure the test accuracy of a task."""
    return float((learner.logits(task.test.images, identity).argmax(1) == task.test.labels).float().mean())


@cache
def permuted(seed: int, *, tasks: int, train: int) -> list[Task]:
    """Make tasks of all ten digits, each with its own permutation of the pixels."""
    benchmark = Digits(tasks=tasks, classes_per_task=10, train_per_class=train, changes=("permutation",))
    return list(benchmark.stream(stream_seed=seed, data_seed=seed, data=None))
