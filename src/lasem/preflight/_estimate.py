"""What a run would take: parameters, steps, time and memory.

Time comes from a few measured steps on random images, and what a search keeps in memory from counting. Where its steps
would take long or do not fit, those of one network are measured instead, and multiplied by its work.
"""

from dataclasses import dataclass, replace

import torch

from lasem.benchmarks import Outline
from lasem.learners import (
    AbstractLearner,
    BruteForce,
    ParameterCounts,
    SelectiveTransfer,
    parameter_counts,
    trainings,
)
from lasem.nn import NETWORKS
from lasem.preflight._available import available_memory
from lasem.preflight._demand import Demand
from lasem.preflight._needs import Need, footprint
from lasem.preflight._steps import MEASURED_STEPS, Measured, measure, random_task
from lasem.runs._arithmetic import arithmetic
from lasem.runs._build import build_learner
from lasem.runs._environment import suited_threads, torch_threads
from lasem.search import EM
from lasem.specs import Spec

LONGEST = 10.0
"""Seconds that the steps of a search may take to be measured themselves."""

ONE_NETWORK = {"strategy": "fixed", "configuration": "all"}
"""Of a learner, instead of its search."""


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
        activation_bytes: Values that one step keeps for its backward pass; for EM counted, with what goes with them.
        model_bytes: Parameters with gradients, optimizer state and the roll-back copy.
        demand: What its search takes, and would take over other partitions; None where no candidates are counted.
        by_counting: Whether `seconds` are those of one network's steps times the work of the search.
    """

    candidates: int
    parameters: ParameterCounts
    steps_per_task: int
    steps: int
    seconds: float
    evaluation_seconds: float
    activation_bytes: int
    model_bytes: int
    demand: Demand | None = None
    by_counting: bool = False


def estimate(spec: Spec, outline: Outline, *, device: torch.device) -> Estimate:
    """Train a few steps on random images of the stream's shape, and extrapolate."""
    learner = build_learner(spec, outline, device=device)
    candidates = len(learner.space) if isinstance(learner, SelectiveTransfer | BruteForce) else 1
    visits = trainings(learner, outline.identities)
    threads = suited_threads(NETWORKS[spec.network.name].multiply_adds(outline.shape))
    with torch_threads(threads), arithmetic(spec.training.precision, device):
        taken = _take(spec, learner, outline, device=device)
    counts, measured, demand = taken.counts, taken.measured, taken.demand
    steps = outline.images["train"] // spec.training.batch_size * spec.training.epochs
    m_steps = spec.search.m_steps if spec.learner.strategy == "em" else 1
    return Estimate(
        candidates=candidates,
        parameters=counts,
        steps_per_task=steps * m_steps * max(visits),
        steps=steps * m_steps * sum(visits),
        seconds=measured.step * steps * sum(visits),
        evaluation_seconds=_evaluation(spec, outline, measured=measured, trainings=sum(visits)),
        activation_bytes=measured.saved_bytes,
        model_bytes=4 * (3 * counts.search + counts.rollback),
        demand=demand,
        by_counting=taken.by_counting,
    )


@dataclass(frozen=True)
class Taken:
    """What was found by taking steps, and by counting.

    Attributes:
        measured: Seconds and bytes of a step.
        counts: Parameters while the first task is learned.
        demand: See `Estimate`.
        by_counting: See `Estimate`.
    """

    measured: Measured
    counts: ParameterCounts
    demand: Demand | None = None
    by_counting: bool = False


def _take(spec: Spec, learner: AbstractLearner, outline: Outline, *, device: torch.device) -> Taken:
    """Measure steps of a learner, or what their time follows from."""
    if isinstance(learner, BruteForce):
        counted = footprint(spec, learner.backbone, outline)
        need = counted.need_of(spec)
        two = build_learner(_ends(spec, learner), outline, device=device)
        measured, visits = measure(two, outline, device=device), learner.trainings(outline.identities)

        def in_turn(other: Need) -> float:
            number = sum(other.candidates if one > 1 else 1 for one in visits)
            return _total(spec, outline, measured, trainings=number)

        return Taken(measured, parameter_counts(two), Demand(spec, need, counted, in_turn))
    if isinstance(learner, SelectiveTransfer) and isinstance(learner.strategy, EM):
        return _take_search(spec, learner, outline, device=device)
    measured = measure(learner, outline, device=device)
    return Taken(measured, parameter_counts(learner))


def _take_search(spec: Spec, learner: SelectiveTransfer, outline: Outline, *, device: torch.device) -> Taken:
    """Measure steps of one network, and those of the search where they are soon done and fit."""
    counted = footprint(spec, learner.backbone, outline)
    need = counted.need_of(spec)
    fixed = spec.model_copy(update={"learner": spec.learner.model_copy(update=ONE_NETWORK)})
    one = measure(build_learner(fixed, outline, device=device), outline, device=device)
    available = available_memory(device)
    soon = (1 + MEASURED_STEPS) * need.work * one.step <= LONGEST
    taken = soon and (available is None or need.bytes <= available) and not _too_small(spec, need)
    if taken:
        measured = measure(learner, outline, device=device)
    else:
        learner.begin_task(random_task(learner, outline, device=device))
        measured = replace(one, step=need.work * one.step)
    slope = max(0.0, measured.step - one.step) / (need.work - 1) if need.work > 1 else 0.0

    def by_work(other: Need) -> float:
        step = one.step + slope * (other.work - 1)
        return _total(spec, outline, replace(measured, step=step), trainings=len(outline.identities))

    measured = replace(measured, saved_bytes=need.activation_bytes)
    return Taken(measured, learner.parameter_counts(), Demand(spec, need, counted, by_work), by_counting=not taken)


def _too_small(spec: Spec, need: Need) -> bool:
    """Whether `search.memory` holds not even one candidate."""
    return spec.search.memory is not None and need.part_bytes > spec.search.memory * 2**20


def _total(spec: Spec, outline: Outline, measured: Measured, *, trainings: int) -> float:
    """Seconds of training and evaluation, over the whole stream."""
    steps = outline.images["train"] // spec.training.batch_size * spec.training.epochs
    return measured.step * steps * trainings + _evaluation(spec, outline, measured=measured, trainings=trainings)


def _ends(spec: Spec, learner: BruteForce) -> Spec:
    """The same with two candidates, the first and the last: those that share least and most, where all are listed."""
    names = learner.space.names()
    return spec.model_copy(update={"search": spec.search.model_copy(update={"candidates": [names[0], names[-1]]})})


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
