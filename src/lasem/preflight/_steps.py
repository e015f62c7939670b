"""Times of a learner's steps and answers, measured on random images."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import mean

import torch
from torch import Tensor

from lasem.benchmarks import Outline, Split, Task
from lasem.learners import AbstractLearner, TakesTurns, least_images
from lasem.search import saved_bytes

REPEATS = 20
"""Most times that something is timed; the fastest one counts."""

LEAST_REPEATS = 3
"""Fewest times that something is timed, however long it takes."""

PATIENCE = 3.0
"""Seconds after which no more than the fewest repeats are made."""


@dataclass(frozen=True)
class StepTimes:
    """Times of one learner on this machine, in seconds, and what a step stores.

    Attributes:
        step: Training on one batch, with the batch that a search holds out if it does.
        statistics: Estimating running statistics on one batch before an evaluation; about 0 without batch norm.
        call: Beginning to answer, which includes generating kernels.
        answer: Answering for one image.
        saved_bytes: Bytes that a step stores for its backward pass.
        first: What the first step took longer than the others, as compiling does.
    """

    step: float
    statistics: float
    call: float
    answer: float
    saved_bytes: int
    first: float = 0.0


def measure(learner: AbstractLearner, outline: Outline, *, device: torch.device) -> StepTimes:
    """Train a new learner on random images, and answer; for candidates that take turns, take the mean over them.

    Args:
        learner: A learner that is used for nothing else.
        outline: Outline of the stream.
        device: Device of the learner.
    """
    task = random_task(learner, outline, device=device)
    learner.begin_task(task)
    turns: list[StepTimes] = []
    candidates = learner.turns() if isinstance(learner, TakesTurns) else None
    for _ in candidates or [""]:
        turns.append(_measure_turn(learner, task.train.images))
        if isinstance(learner, TakesTurns):
            learner.end_turn(0.0)
    return StepTimes(
        step=mean(times.step for times in turns),
        statistics=mean(times.statistics for times in turns),
        call=mean(times.call for times in turns),
        answer=mean(times.answer for times in turns),
        saved_bytes=max(times.saved_bytes for times in turns),
        first=mean(times.first for times in turns),
    )


def random_task(learner: AbstractLearner, outline: Outline, *, device: torch.device) -> Task:
    """Make a task of random images, as few as the learner can train on."""
    number, classes = least_images(learner), max(outline.classes)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(number, *outline.shape, generator=generator).to(device)
    labels = torch.randint(classes, (number,), generator=generator).to(device)
    split = Split(images=images, labels=labels)
    return Task(name="random images", classes=classes, train=split, valid=split, test=split)


def _measure_turn(learner: AbstractLearner, images: Tensor) -> StepTimes:
    """Train on the open task, and answer for its images and for three times as many.

    The first step warms up: it allocates, chooses kernels and may compile. Of the repeats after it the fastest counts,
    because another process can only make a repeat slower, never faster.
    """
    first, saved = saved_bytes(lambda: _seconds(learner.train_epoch))
    thrice, number = images.repeat(3, 1, 1, 1), len(images)
    acts = [learner.train_epoch, *(partial(learner.logits, x, 0) for x in (images, images, thrice))]
    start, repeats = time.perf_counter(), []
    while len(repeats) < LEAST_REPEATS or (len(repeats) < REPEATS and time.perf_counter() - start < PATIENCE):
        repeats.append([_seconds(act) for act in acts])
    step, changed, again, more = (min(column) for column in zip(*repeats, strict=True))
    # The first answer after a step estimates running statistics, the second one finds them up to date.
    answer = max(0.0, more - again) / (2 * number)
    return StepTimes(
        step=step,
        statistics=max(0.0, changed - again) / (number // learner.training.batch_size),
        call=max(0.0, again - number * answer),
        answer=answer,
        saved_bytes=saved,
        first=max(0.0, first - step),
    )


def _seconds(act: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    act()
    if torch.cuda.is_available():
        torch.cuda.synchronize()  # a GPU works on after the call has returned
    return time.perf_counter() - start
