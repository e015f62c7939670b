"""Whether a run has room in memory and time: told before its first step, with what would fit instead."""

import torch

from lasem.benchmarks import AbstractBenchmark, Outline
from lasem.configurations import LARGEST_SPACE
from lasem.errors import RunError, SpecError
from lasem.nn import NETWORKS, nested_partitions
from lasem.preflight._demand import Demand, Limits, lasting
from lasem.preflight._estimate import Estimate, estimate
from lasem.preflight._needs import Need, footprint, partition_of
from lasem.runs._build import build_mechanism
from lasem.runs._check import check
from lasem.runs._memory import readable
from lasem.specs import Spec


def check_with_room(spec: Spec, limits: Limits, *, device: torch.device) -> AbstractBenchmark:
    """`check`; where nothing is wrong but that a space is too large to be listed, say which partitions fit.

    Args:
        spec: One experiment.
        limits: What it may take; hours are told from steps that are measured here.
        device: Where it would run.

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
        network = NETWORKS[spec.network.name]
        backbone = network.build(outline.shape, mechanism=build_mechanism(spec)).to(device)
        counted = footprint(spec, backbone, outline)
        paced = None if limits.hours is None else estimate(coarse, outline, device=device).demand
        demand = Demand(spec, counted.need_of(spec), counted, seconds=paced and paced.seconds)
        raise SpecError(refusal(demand, limits)) from error


def _with_one_group(spec: Spec) -> Spec | None:
    """A spec without the fault that its space is too large; None where it has no such fault."""
    searches = spec.learner.kind == "selective" and spec.learner.strategy in ("em", "brute-force")
    if not searches or spec.network.name not in NETWORKS or spec.search.candidates is not None:
        return None
    try:
        groups = partition_of(spec).num_groups
    except SpecError:
        return None
    coarse = {"partition": str(nested_partitions(NETWORKS[spec.network.name])[0])}
    changed = spec.model_copy(update={"search": spec.search.model_copy(update=coarse)})
    return changed if 2**groups > LARGEST_SPACE else None


def _outline(spec: Spec) -> Outline | None:
    """Of the stream, as far as it is known without data; None where the spec has faults."""
    try:
        return check(spec).outline()
    except SpecError:
        return None


def require_memory(spec: Spec, outline: Outline, *, limits: Limits, device: torch.device) -> None:
    """Refuse a search whose step does not fit into memory, before its first step.

    Only strategies that evaluate a tree of candidates are looked at. What a step takes is measured on a network of its
    own, never on the run's, so a check leaves no trace in a result.

    Args:
        spec: One experiment.
        outline: Of its stream.
        limits: What it may take.
        device: Where it will run.

    Raises:
        RunError: Memory does not suffice.
    """
    if spec.learner.kind == "selective" and spec.learner.strategy == "em":
        network = NETWORKS[spec.network.name]
        backbone = network.build(outline.shape, mechanism=build_mechanism(spec)).to(device)
        counted = footprint(spec, backbone, outline)
        demand = Demand(spec, counted.need_of(spec), counted)
        if demand.faults(limits):
            raise RunError(refusal(demand, limits))


def shortage(spec: Spec, found: Estimate, limits: Limits) -> str | None:
    """What an estimated run exceeds, and what would fit, in words; None where it has room.

    Args:
        spec: Of the run.
        found: Its estimate.
        limits: What it may take.
    """
    if found.demand is not None:
        return refusal(found.demand, limits) if found.demand.faults(limits) else None
    seconds = found.seconds + found.evaluation_seconds
    if limits.hours is None or seconds <= 3600 * limits.hours:
        return None
    return (
        f"{spec.name}: a run fits into --max-hours - got about {lasting(seconds)} where it is {limits.hours:g}"
        " - lower training.epochs, or use a faster machine"
    )


def refusal(demand: Demand, limits: Limits) -> str:
    """The message of a search that has no room: what it takes, and settings that would fit, the finest first."""
    lines = _fitting(demand, limits)
    remedy = "lower training.batch_size or training.epochs, take a smaller network, or a larger machine"
    if lines:
        width = max(len(setting) for setting, _ in lines)
        listed = demand.spec.search.candidates is not None
        remedy = "list fewer candidates, or instead of them set" if listed else "set"
        remedy += " one of these" + "".join(f"\n  --set {setting:<{width}}  {words}" for setting, words in lines)
        if limits.hours is None:
            remedy += "\n--dry-run --max-hours HOURS names those that fit into a time"
    got = f"{demand.need.candidates:,} candidates: {', and '.join(demand.faults(limits))}"
    return f"{demand.spec.name}: a search has room in memory and time - got {got} - {remedy}"


def _fitting(demand: Demand, limits: Limits) -> list[tuple[str, str]]:
    """Settings that fit, each with what it takes."""
    lines = [
        (f"'search.partition={need.partition.short()}'", _words(demand, need)) for need in demand.partitions(limits)
    ]
    division = demand.division(limits)
    if division is not None:
        mebibytes, need = division
        lines.append((f"search.memory={mebibytes}", _words(demand, need)))
    return lines


def _words(demand: Demand, need: Need) -> str:
    """A need for a message."""
    parts = f" in {need.parts:,} sub-trees" if need.parts > 1 else ""
    by_tree = demand.spec.learner.strategy == "em"
    steps = f", a step as {need.work:,.0f} of one network" if by_tree else " for one at a time"
    hours = "" if demand.seconds is None else f", {lasting(demand.seconds(need))}"
    return f"{need.candidates:,} candidates{parts}, {readable(need.bytes)}{steps}{hours}"
