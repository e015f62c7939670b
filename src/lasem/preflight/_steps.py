"""Steps on random images, measured: what a batch takes to train on, and an image to answer for."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import mean, median

import torch
from torch import Tensor

from lasem.benchmarks import Outline, Split, Task
from lasem.learners import AbstractLearner, TakesTurns, least_images
from lasem.search import saved_bytes

MEASURED_STEPS = 3


@dataclass(frozen=True)
class Measured:
    """Seconds on this machine.

    Attributes:
        step: To train on one batch, with the batch that a search holds out where it does.
        statistics: To estimate running statistics on one batch, before an evaluation; about 0 without batch norm.
        call: To begin to answer: to read kernels.
        answer: For one image.
        saved_bytes: Values that a step keeps for its backward pass.
    """

    step: float
    statistics: float
    call: float
    answer: float
    saved_bytes: int


def measure(learner: AbstractLearner, outline: Outline, *, device: torch.device) -> Measured:
    """Train on random images, and answer; where candidates take turns, the mean over their turns."""
    task = random_task(learner, outline, device=device)
    learner.begin_task(task)
    images = task.train.images
    found: list[Measured] = []
    turns = learner.turns() if isinstance(learner, TakesTurns) else None
    for _ in turns or "1":
        found.append(_measure_turn(learner, images))
        if isinstance(learner, TakesTurns):
            learner.end_turn(0.0)
    return Measured(
        step=mean(one.step for one in found),
        statistics=mean(one.statistics for one in found),
        call=mean(one.call for one in found),
        answer=mean(one.answer for one in found),
        saved_bytes=max(one.saved_bytes for one in found),
    )


def random_task(learner: AbstractLearner, outline: Outline, *, device: torch.device) -> Task:
    """A task of random images, as few as the learner can train on."""
    number, classes = least_images(learner), max(outline.classes)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(number, *outline.shape, generator=generator).to(device)
    labels = torch.randint(classes, (number,), generator=generator).to(device)
    split = Split(images=images, labels=labels)
    return Task(name="random images", classes=classes, train=split, valid=split, test=split)


def _measure_turn(learner: AbstractLearner, images: Tensor) -> Measured:
    """Train on the open task, and answer for these images and for three times as many."""
    _, saved = saved_bytes(learner.train_epoch)
    thrice, number = images.repeat(3, 1, 1, 1), len(images)
    acts = [learner.train_epoch, *(partial(learner.logits, x, 0) for x in (images, images, thrice))]
    rows = [[_seconds(act) for act in acts] for _ in range(MEASURED_STEPS)]
    step, first, once, more = (median(column) for column in zip(*rows, strict=True))
    answer = max(0.0, more - once) / (2 * number)
    return Measured(
        step=step,
        statistics=max(0.0, first - once) / (number // learner.training.batch_size),
        call=max(0.0, once - number * answer),
        answer=answer,
        saved_bytes=saved,
    )


def _seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start
