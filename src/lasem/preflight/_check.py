"""Checks whether a run fits into memory and time before its first step, with settings that would fit."""

from dataclasses import replace

import torch

from lasem.benchmarks import AbstractBenchmark, Outline
from lasem.configurations import LARGEST_SPACE
from lasem.errors import RunError, SpecError
from lasem.formats import duration, memory_size
from lasem.nn import nested_partitions
from lasem.preflight._cost import EvaluatesTree, Limits, ListsCandidates, SearchCost, StepCost, search_cost
from lasem.preflight._estimate import Estimate, estimate
from lasem.runs import Spec, build_strategy, check


def check_with_suggestions(spec: Spec, limits: Limits, *, device: torch.device) -> AbstractBenchmark:
    """Check a spec; if its only fault is that it has too many candidates, suggest partitions that fit.

    Args:
        spec: One experiment.
        limits: What it may take; if hours are limited, steps are timed here.
        device: Device on which it would run.

    Returns:
        The benchmark.

    Raises:
        SpecError: Names, options or their combination are wrong.
    """
    try:
        return check(spec)
    except SpecError as error:
        coarse = _with_one_group(spec)
        outline = None if coarse is None else _outline(coarse)
        if coarse is None or outline is None:
            raise
        cost = search_cost(spec, outline, device=device)
        if cost is None:
            raise
        timed = None if limits.hours is None else estimate(coarse, outline, device=device).search
        if timed is not None:
            cost = replace(cost, seconds=timed.seconds)
        raise SpecError(refusal(spec, cost, limits)) from error


def _with_one_group(spec: Spec) -> Spec | None:
    """Return a spec with all layers in one group if it has too many candidates, and None otherwise."""
    network = spec.network.options
    try:
        strategy = build_strategy(spec)
    except SpecError:
        return None
    if not isinstance(strategy, ListsCandidates) or strategy.candidates is not None:
        return None
    groups = len(network.layers) if strategy.partition is None else strategy.partition.num_groups
    if network.branches**groups <= LARGEST_SPACE:
        return None
    return spec.changed({"search": {"partition": str(nested_partitions(network)[0])}})


def _outline(spec: Spec) -> Outline | None:
    """Return the outline of a stream if it is known without data and the spec has no fault."""
    try:
        return check(spec).outline()
    except SpecError:
        return None


def require_memory(spec: Spec, outline: Outline, *, limits: Limits, device: torch.device) -> None:
    """Refuse a search whose step does not fit into memory, before its first step.

    Only strategies that evaluate a tree of candidates are checked. What a step takes is measured on a network of its
    own, never on the run's, so a check leaves no trace in a result.

    Args:
        spec: One experiment.
        outline: Outline of its stream.
        limits: What it may take.
        device: Device on which it will run.

    Raises:
        RunError: Memory does not suffice.
    """
    if isinstance(build_strategy(spec), EvaluatesTree):
        cost = search_cost(spec, outline, device=device)
        if cost is not None and cost.faults(limits):
            raise RunError(refusal(spec, cost, limits))


def shortage(spec: Spec, found: Estimate, limits: Limits) -> str | None:
    """Return in words which limit an estimated run exceeds, and settings that would fit; None if it fits.

    Args:
        spec: One experiment.
        found: Estimate of the run.
        limits: What it may take.
    """
    if found.search is not None:
        return refusal(spec, found.search, limits) if found.search.faults(limits) else None
    seconds = found.seconds[1] + found.evaluation_seconds
    if limits.hours is None or seconds <= 3600 * limits.hours:
        return None
    return (
        f"{spec.name}: not enough time for this run: it needs about {duration(seconds)}, --max-hours is"
        f" {limits.hours:g}. Lower training.epochs, or use a faster machine"
    )


def refusal(spec: Spec, cost: SearchCost, limits: Limits) -> str:
    """Return the message for a search that does not fit: what it needs, and settings that would fit.

    Args:
        spec: One experiment.
        cost: Cost of its search.
        limits: The limits that it exceeds.
    """
    settings = _fitting_settings(cost, limits)
    remedy = "Lower training.batch_size or training.epochs, take a smaller network, or use a larger machine"
    if settings:
        listed = cost.strategy.candidates is not None
        remedy = (
            "List fewer candidates, or try one of these settings instead:" if listed else "These settings would fit:"
        )
        width = max(len(setting) for setting, _ in settings)
        remedy += "".join(f"\n  --set {setting:<{width}}  {words}" for setting, words in settings)
        if limits.hours is None:
            remedy += "\n--dry-run --max-hours HOURS lists those that also fit into a given time"
    return f"{spec.name}: {'; '.join(cost.faults(limits))}. {remedy}"


def _fitting_settings(cost: SearchCost, limits: Limits) -> list[tuple[str, str]]:
    """Return settings that fit, the finest partition first, each with its cost in words."""
    found = []
    for step in cost.fitting_partitions(limits):
        if step.partition is not None:
            found.append((f"'search.partition={step.partition.short()}'", _words(cost, step)))
    budget = cost.fitting_memory(limits)
    if budget is not None:
        found.append((f"search.memory={budget[0]}", _words(cost, budget[1])))
    return found


def _words(cost: SearchCost, step: StepCost) -> str:
    """Return the cost of a step for a message."""
    subtrees = f" in {step.subtrees:,} sub-trees" if step.subtrees > 1 else ""
    work = ", one at a time" if cost.in_turn else f", {step.work:,.0f} times the work of one network"
    time = "" if cost.seconds is None else f", {duration(cost.seconds(step))}"
    return f"{step.candidates:,} candidates{subtrees}, {memory_size(step.bytes)}{work}{time}"
