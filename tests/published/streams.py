"""Tasks on which learners show what they were published for, and how well a learner does on them."""

from dataclasses import replace
from functools import cache

import torch

from lasem.benchmarks import Digits, Split, Task
from lasem.learners import TakesTurns
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


FAST = ("training.optimizer=adam", "training.learning_rate=3e-3")
"""An optimizer with which few epochs suffice."""


def trained(
    preset: str,
    tasks: list[Task],
    *,
    epochs: list[int],
    settings: tuple[str, ...] = (),
    seed: int = 0,
    fast: bool = False,
):
    """Train a preset's learner on tasks, each for its own number of epochs."""
    stream = [f"benchmark.classes_per_task={tasks[0].classes}", "benchmark.train_per_class=3"]
    rates = FAST if fast else ()
    spec = resolve(preset, [*stream, f"seeds.training={seed}", f"training.epochs={epochs[0]}", *rates, *settings])
    learner = build_learner(spec, check(spec).outline(), device=torch.device("cpu"))
    for task, number in zip(tasks, epochs, strict=True):
        learn(learner, task, epochs=number)
    return learner


def learn(learner, task: Task, *, epochs: int) -> None:
    """Train a learner on a task to its end; where candidates take turns, each for so many epochs."""
    learner.begin_task(task)
    turns = learner.turns() if isinstance(learner, TakesTurns) else None
    for _ in turns or ("the task",):
        best = 0.0
        for _ in range(epochs):
            learner.train_epoch()
            best = max(best, _share_right(learner, task.valid, task)) if turns else best
        if turns:
            learner.end_turn(best)
    learner.end_task()


def accuracy(learner, task: Task, identity: int) -> float:
    """Measure the test accuracy of a task."""
    return _share_right(learner, task.test, replace(task, identity=identity))


def _share_right(learner, split: Split, task: Task) -> float:
    """Share of the images of a split that a learner answers rightly."""
    return float((learner.logits(split.images, task.identity).argmax(1) == split.labels).float().mean())


@cache
def permuted(seed: int, *, tasks: int, train: int) -> list[Task]:
    """Make tasks of all ten digits, each with its own permutation of the pixels."""
    benchmark = Digits(tasks=tasks, classes_per_task=10, train_per_class=train, changes=("permutation",))
    return list(benchmark.stream(stream_seed=seed, data_seed=seed, data=None))


@cache
def digits(seed: int, *, tasks: int) -> list[Task]:
    """Make tasks of three digits, each with its own permutation of the pixels."""
    return list(Digits(tasks=tasks, changes=("permutation",)).stream(stream_seed=seed, data_seed=seed, data=None))


def moved(learner, tasks: list[Task], *, epochs: int) -> float:
    """Let a learner that knows the first of two tasks learn the other; return how far old probabilities move."""
    images = tasks[0].test.images
    before = learner.logits(images, 0).softmax(1)
    learn(learner, tasks[1], epochs=epochs)
    return float((learner.logits(images, 0).softmax(1) - before).abs().mean())
