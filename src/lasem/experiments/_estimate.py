"""What a run would take: parameters, steps, time and memory, from a few measured steps on random images."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import mean, median

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from lasem.benchmarks import Outline, Split, Task
from lasem.experiments._arithmetic import arithmetic
from lasem.experiments._build import build_learner
from lasem.experiments._environment import suited_threads, torch_threads
from lasem.learners import AbstractLearner, BruteForce, ParameterCounts, SelectiveTransfer
from lasem.nn import NETWORKS
from lasem.specs import Spec

MEASURED_STEPS = 3


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        candidates: Configurations to choose from.
        parameters: While the first task is learned.
        steps_per_task: Most optimizer steps of one task.
        steps: Of the whole stream.
        seconds: Training alone, on this machine.
        evaluation_seconds: Validation after every epoch, tests where they are due, all tasks so far after each. Tests
            because validation has improved are not foreseen.
        activation_bytes: Values that one step keeps for its backward pass.
        model_bytes: Parameters with gradients, optimizer state and the roll-back copy.
    """

    candidates: int
    parameters: ParameterCounts
    steps_per_task: int
    steps: int
    seconds: float
    evaluation_seconds: float
    activation_bytes: int
    model_bytes: int


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


def estimate(spec: Spec, outline: Outline, *, device: torch.device) -> Estimate:
    """Train a few steps on random images of the stream's shape, and extrapolate."""
    learner = build_learner(spec, outline, device=device)
    candidates = len(learner.space) if isinstance(learner, SelectiveTransfer | BruteForce) else 1
    trainings = learner.trainings(outline.identities)
    if isinstance(learner, BruteForce):
        spec = _ends(spec, learner)
        learner = build_learner(spec, outline, device=device)
    threads = suited_threads(NETWORKS[spec.network.name].multiply_adds(outline.shape))
    with torch_threads(threads), arithmetic(spec.training.precision, device):
        measured = _measure(learner, outline, device=device)
    counts = learner.parameter_counts()
    batches = outline.images["train"] // spec.training.batch_size
    steps = batches * spec.training.epochs
    m_steps = spec.search.m_steps if spec.learner.strategy == "em" else 1
    return Estimate(
        candidates=candidates,
        parameters=counts,
        steps_per_task=steps * m_steps * max(trainings),
        steps=steps * m_steps * sum(trainings),
        seconds=measured.step * steps * sum(trainings),
        evaluation_seconds=_evaluation(spec, outline, measured=measured, trainings=sum(trainings)),
        activation_bytes=measured.saved_bytes,
        model_bytes=4 * (3 * counts.search + counts.rollback),
    )


def _ends(spec: Spec, learner: BruteForce) -> Spec:
    """The same with two candidates, the first and the last: those that share least and most, where all are listed."""
    names = learner.space.names()
    return spec.model_copy(update={"search": spec.search.model_copy(update={"candidates": [names[0], names[-1]]})})


def _measure(learner: AbstractLearner, outline: Outline, *, device: torch.device) -> Measured:
    """Train on random images, and answer; where candidates take turns, the mean over their turns."""
    number, classes = learner.least_images, max(outline.classes)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(number, *outline.shape, generator=generator).to(device)
    labels = torch.randint(classes, (number,), generator=generator).to(device)
    split = Split(images=images, labels=labels)
    learner.begin_task(Task(name="random images", classes=classes, train=split, valid=split, test=split))
    found: list[Measured] = []
    for _ in learner.turns() or "1":
        found.append(_measure_turn(learner, images))
        learner.end_turn(0.0)
    return Measured(
        step=mean(one.step for one in found),
        statistics=mean(one.statistics for one in found),
        call=mean(one.call for one in found),
        answer=mean(one.answer for one in found),
        saved_bytes=max(one.saved_bytes for one in found),
    )


def _measure_turn(learner: AbstractLearner, images: Tensor) -> Measured:
    """Train on the open task, and answer for these images and for three times as many."""
    saved = _saved_bytes(learner.train_epoch)
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


def _evaluation(spec: Spec, outline: Outline, *, measured: Measured, trainings: int) -> float:
    """Seconds that evaluations take, over the whole stream."""
    epochs, images = spec.training.epochs * trainings, outline.images
    tests = epochs // (spec.evaluation.every or max(1, spec.training.epochs // 20))
    visits = len(outline.identities)
    again = visits * (visits + 1) // 2
    answers = epochs * images["valid"] + (tests + again) * images["test"]
    calls = epochs + tests + again
    batches = images["train"] // spec.training.batch_size
    return measured.call * calls + measured.answer * answers + measured.statistics * batches * epochs


def _seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _saved_bytes(act: Callable[[], object]) -> int:
    """Size of what autograd keeps for the backward pass."""
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        act()
    return sum(saved.values())
