"""Estimates of what a run takes: parameters, steps, time and memory.

The steps of a new learner are timed on random images. If a search's steps would take long or do not fit into memory,
those of one network are timed instead and multiplied by the search's work.
"""

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch

from lasem.benchmarks import Outline
from lasem.learners import (
    AbstractLearner,
    ParameterCounts,
    ProgressiveNetworks,
    SelectiveTransfer,
    TakesTurns,
    parameter_counts,
)
from lasem.learners import trainings as times_trained
from lasem.memory import available_memory
from lasem.options import Table
from lasem.preflight._cost import EvaluatesTree, SearchCost, StepCost, search_cost
from lasem.preflight._shares import Shares, searched_shares
from lasem.preflight._steps import LEAST_REPEATS, StepTimes, measure, random_task
from lasem.runs import Spec, arithmetic, build_learner, build_strategy, suited_threads, torch_threads
from lasem.search import DrawnEM

LONGEST = 10.0
"""Longest that the steps of a search may take, in seconds, to be timed themselves."""

SHORTCUTS = ("search.epsilon", "search.stop_when_certain", "search.commit_at", "search.commit_groups")
"""Options that leave work out, by an amount that only the run can tell."""


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to take on this machine.

    Attributes:
        candidates: Number of configurations to choose from.
        parameters: Parameter counts while the first task is learned.
        steps_per_task: Most optimizer steps of one task.
        steps: Optimizer steps of the whole stream.
        seconds: Shortest and longest time of training; see `reasons`.
        evaluation_seconds: Time of validation after every epoch, of the tests that are due, and of testing all earlier
            tasks after each. Neither tests that happen because validation has improved are foreseen, nor tests that are
            saved because a task answers as before.
        activation_bytes: Bytes that one step stores for its backward pass; counted for a search in a tree.
        model_bytes: Bytes of parameters, gradients, optimizer state and the copy for the roll-back, and of the features
            or activations that are kept of a task's images; see `lasem.search.Front`, and `ProgressiveNetworks`.
        search: Cost of the search over this and other partitions; None if there is none that can be counted.
        counted: Whether the time of a search's step was not measured, but one network's multiplied by its work.
        reasons: Sentences that say what is uncertain about `seconds`.
    """

    candidates: int
    parameters: ParameterCounts
    steps_per_task: int
    steps: int
    seconds: tuple[float, float]
    evaluation_seconds: float
    activation_bytes: int
    model_bytes: int
    search: SearchCost | None = None
    counted: bool = False
    reasons: tuple[str, ...] = ()


def estimate(
    spec: Spec, outline: Outline, *, device: torch.device, threads: int = 0, capture: bool = False
) -> Estimate:
    """Train new learners for a few steps on random images of the stream's shape, and extrapolate.

    Args:
        spec: One experiment.
        outline: Outline of its stream.
        device: Device on which it will run.
        threads: CPU threads of the run; 0 takes as many as a new run would.
        capture: Whether the run compiles its steps.

    Raises:
        SpecError: The learner's steps cannot be captured.
    """
    learner = build_learner(spec, outline, device=device, capture=capture)
    network, strategy = spec.network.options, build_strategy(spec)
    candidates = strategy.space(len(network.layers), branches=network.branches).names()
    run = _Run(spec, outline, device, capture, tuple(times_trained(learner, outline.identities)))
    suited = suited_threads(spec.network.options.multiply_adds(outline.shape))
    with torch_threads(threads or suited), arithmetic(spec.training.precision, device):
        search = search_cost(spec, outline, device=device)
        if isinstance(strategy, EvaluatesTree) and search is not None:
            found = _estimate_tree(run, strategy, search)
        elif isinstance(learner, TakesTurns) and search is not None:
            found = _estimate_turns(run, candidates, search)
        elif isinstance(strategy, DrawnEM):
            found = _estimate_drawn(run, strategy)
        else:
            times = measure(learner, outline, device=device)
            training = run.steps(sum(run.trainings)) * times.step
            found = _Found(times, learner, (training, training))
    m_steps = strategy.m_steps if isinstance(strategy, EvaluatesTree) else 1
    counts = parameter_counts(found.learner)
    compiling, reasons = run.compiling(found.times)
    return Estimate(
        candidates=strategy.num_configurations(len(network.layers), branches=network.branches),
        parameters=counts,
        steps_per_task=run.steps_of_a_search * m_steps * max(run.trainings),
        steps=run.steps(sum(run.trainings), m_steps=m_steps),
        seconds=(found.seconds[0], found.seconds[1] + compiling),
        evaluation_seconds=run.evaluation(found.times, sum(run.trainings)),
        activation_bytes=search.step().activation_bytes if search and not search.in_turn else found.times.saved_bytes,
        model_bytes=4 * (3 * counts.search + counts.rollback) + _kept_bytes(run, found.learner),
        search=found.search,
        counted=found.counted,
        reasons=(*found.reasons, *reasons),
    )


def _kept_bytes(run: "_Run", learner: AbstractLearner) -> int:
    """Return the bytes of the features that a learner, which has a task open, keeps of a task's images at most."""
    if isinstance(learner, ProgressiveNetworks):
        return learner.kept_bytes(run.outline.images["train"], older=run.searched - 1)
    if not isinstance(learner, SelectiveTransfer):
        return 0
    images = run.outline.images
    number = images["train"] + (images["valid"] if learner.strategy.held_out == "valid" else 0)
    limit = run.spec.training.front_bytes
    return min(limit, number * learner.front.bytes_per_image) if learner.front else 0


@dataclass(frozen=True)
class _Found:
    """What an estimate is made of: times, and the learner that was measured, with a task open."""

    times: StepTimes
    learner: AbstractLearner
    seconds: tuple[float, float]
    search: SearchCost | None = None
    counted: bool = False
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Run:
    """The run to estimate, and how its length follows from the time of a step."""

    spec: Spec
    outline: Outline
    device: torch.device
    capture: bool
    trainings: tuple[int, ...]

    @property
    def searched(self) -> int:
        """Visits that search; a task that comes back trains the configuration that it has committed."""
        return len(set(self.outline.identities))

    @property
    def again(self) -> int:
        """Visits of tasks that come back."""
        return len(self.outline.identities) - self.searched

    @property
    def shares(self) -> Shares:
        """Share of the epochs of a task that search."""
        return searched_shares(build_strategy(self.spec), epochs=self.spec.training.epochs)

    def batches(self, *, searching: bool = False) -> int:
        """Return the number of batches of an epoch, of which a search may hold out half of the images."""
        images = self.outline.images["train"]
        half = searching and build_strategy(self.spec).held_out == "half"
        return (images - images // 2 * half) // self.spec.training.batch_size

    @property
    def steps_of_a_search(self) -> int:
        """Most steps of one training of a task that is searched, over all its epochs."""
        share, epochs = self.shares.least, self.spec.training.epochs
        return round(epochs * (share * self.batches(searching=True) + (1 - share) * self.batches()))

    def steps(self, trainings: int, *, m_steps: int = 1) -> int:
        """Return the most steps of the whole stream.

        Args:
            trainings: Number of trainings, those of tasks that come back among them.
            m_steps: Optimizer steps per batch of a search.
        """
        plain = self.spec.training.epochs * self.batches()
        return self.steps_of_a_search * m_steps * (trainings - self.again) + plain * self.again

    def measure(self, changes: Table, *, without: Collection[str] = ()) -> tuple[StepTimes, AbstractLearner]:
        """Time a new learner of the spec with other options; see `Spec.changed`."""
        spec = self.spec.changed(changes, without=without)
        learner = build_learner(spec, self.outline, device=self.device, capture=self.capture)
        return measure(learner, self.outline, device=self.device), learner

    def evaluation(self, times: StepTimes, trainings: int) -> float:
        """Return the seconds that evaluations take, over the whole stream."""
        epochs, images = self.spec.training.epochs * trainings, self.outline.images
        options = self.spec.evaluation
        every = options.every or max(1, self.spec.training.epochs // 20)
        tests = epochs // every if options.while_training else 0
        visits = len(self.outline.identities)
        again = visits * (visits + 1) // 2
        answers = epochs * images["valid"] + (tests + again) * images["test"]
        calls = epochs + tests + again
        return times.call * calls + times.answer * answers + times.statistics * self.batches() * epochs

    def training(self, full: float, one: float, share: float) -> float:
        """Return the seconds of training if a share of each search's steps evaluates all candidates.

        Args:
            full: Seconds of a step that evaluates all candidates.
            one: Seconds of a step of one network.
            share: Share of the epochs of a task.
        """
        one = min(one, full)  # a busy machine may have slowed down the one that was timed first
        search = share * self.batches(searching=True) * full + (1 - share) * self.batches() * one
        return self.spec.training.epochs * (self.searched * search + self.again * self.batches() * one)

    def compiling(self, times: StepTimes) -> tuple[float, list[str]]:
        """Return the most seconds that compiling takes, and why it may take less."""
        if not self.capture:
            return 0.0, []
        seconds = self.searched * times.first
        return seconds, [f"compiling takes up to {times.first:.2g} s per task, and less what was compiled before"]


def _estimate_turns(run: _Run, candidates: Sequence[str], search: SearchCost) -> _Found:
    """Estimate candidates that train in turn from a few of them, such as all own, all shared and all frozen layers."""
    last, branches = len(candidates) - 1, run.spec.network.options.branches
    few = dict.fromkeys(candidates[number * last // (branches - 1)] for number in range(branches))
    times, learner = run.measure({"search": {"candidates": [*few]}})

    def seconds(step: StepCost) -> float:
        trainings = sum(step.candidates if number > 1 else 1 for number in run.trainings)
        return run.steps(trainings) * times.step + run.evaluation(times, trainings)

    training = run.steps(sum(run.trainings)) * times.step
    search = replace(search, seconds=seconds)
    return _Found(times, learner, (training, training), search)


def _estimate_tree(run: _Run, strategy: EvaluatesTree, search: SearchCost) -> _Found:
    """Estimate a search in a tree from steps of one network, and from its own if they are soon done and fit."""
    step = search.step()
    one, _ = run.measure({"learner": {"strategy": "fixed", "configuration": "all"}})
    soon = (1 + LEAST_REPEATS) * step.work * one.step <= LONGEST
    fits = step.bytes <= available_memory(run.device)
    timed = soon and fits and search.within_budget(step)
    if timed:
        times, learner = run.measure({}, without=SHORTCUTS)
    else:
        learner = build_learner(run.spec, run.outline, device=run.device)
        learner.begin_task(random_task(learner, run.outline, device=run.device))
        times = replace(one, step=step.work * one.step)
    # A step of another partition lies on the line through the two that are known, over their multiply-adds.
    slope = max(0.0, times.step - one.step) / (step.work - 1) if step.work > 1 else 0.0
    shares = run.shares

    def seconds(other: StepCost) -> float:
        full = one.step + slope * (other.work - 1)
        return run.training(full, one.step, shares.most) + run.evaluation(times, len(run.trainings))

    return _Found(
        times=times,
        learner=learner,
        seconds=(run.training(times.step, one.step, shares.least), run.training(times.step, one.step, shares.most)),
        search=replace(search, seconds=seconds),
        counted=not timed,
        reasons=shares.reasons,
    )


def _estimate_drawn(run: _Run, strategy: DrawnEM) -> _Found:
    """Estimate lists drawn anew from steps with and without an E-step, and of one network."""
    one, _ = run.measure({"learner": {"strategy": "fixed", "configuration": "all"}})
    times, learner = run.measure({"search": {"expect_every": 1}}, without=SHORTCUTS)
    if strategy.expect_every > 1:
        plain, _ = run.measure({"search": {"expect_every": sys.maxsize}}, without=SHORTCUTS)
        times = replace(times, step=plain.step + max(0.0, times.step - plain.step) / strategy.expect_every)
    least, most = (run.training(times.step, one.step, share) for share in (run.shares.least, run.shares.most))
    return _Found(times, learner, (least, most), reasons=run.shares.reasons)
