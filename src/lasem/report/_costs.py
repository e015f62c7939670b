"""Costs of learning: accuracy against time and parameters, parameters against their bound, and regret."""

from collections.abc import Sequence
from typing import NamedTuple

from lasem.metrics import Spread, spread
from lasem.report._groups import Group, finished_groups, group_labels, stream_and_network, trial
from lasem.report._run import Run


class CostPoint(NamedTuple):
    """Accuracy of a learner with its training time and parameters, over seeds."""

    label: str
    peak: Spread
    """Mean peak per-task accuracy, selected by validation."""
    seconds: Spread
    parameters: Spread


class Memory(NamedTuple):
    """Numbers of parameters of a learner, means over seeds, and the bound of appendix E; None where not known."""

    label: str
    seeds: int
    shared: float
    per_task: float
    """Mean number of parameters that a task adds."""
    end: float
    """Number of parameters after the last task."""
    most: float
    """Number of parameters while the last task is learned, without the copy for a rollback."""
    bound: float | None
    bound_text: str
    missing: tuple[str, ...]
    """Presets whose runs are needed for the bound and were not found."""


class Regret(NamedTuple):
    """How much more brute force reaches than a learner, in the same trials."""

    label: str
    benchmark: str
    seeds: int
    tasks: list[float]
    """Peak accuracy of brute force less the learner's, per task, mean over the seeds in common."""
    mean: Spread
    """Mean over tasks, spread over seeds."""


def cost_points(runs: Sequence[Run]) -> list[CostPoint]:
    """Make one point per learner of finished runs."""
    groups = finished_groups(runs)
    return [
        CostPoint(
            label,
            peak=spread([run.measures.peak_accuracy.validation.mean for run in group]),
            seconds=spread([run.training_seconds for run in group]),
            parameters=spread([run.num_parameters for run in group]),
        )
        for label, group in zip(group_labels(groups), groups, strict=True)
    ]


def memory(runs: Sequence[Run]) -> list[Memory]:
    """Compare the parameters of finished learners with S + (T + 1) max(A, B), or S + T max(A, B) without a search.

    A and B are what a task adds that shares nothing and everything, S is all shared knowledge: they are read off the
    runs of single-task learning and of static sharing of all layers, on the same stream with the same network.
    """
    groups = finished_groups(runs)
    return [_memory(label, group, groups) for label, group in zip(group_labels(groups), groups, strict=True)]


def regrets(runs: Sequence[Run]) -> list[Regret]:
    """Compare every learner with brute force over the same mechanism and configurations on the same stream."""
    groups = finished_groups(runs)
    references = [group for group in groups if group[0].strategy == "brute-force"]
    rows = [
        _regret(label, group, reference)
        for label, group in zip(group_labels(groups), groups, strict=True)
        for reference in references
        if group is not reference and _alike(group, reference)
    ]
    return [row for row in rows if row.tasks]


def all_shared(group: Group, groups: Sequence[Group]) -> Group | None:
    """Find the group that shares all layers with the same mechanism, stream and network; None where there is none."""
    return next((other for other in groups if other[0].static_configuration == "all" and _alike(group, other)), None)


def _alike(group: Group, reference: Group) -> bool:
    """Whether two groups had one stream, network and mechanism; single-task learning uses no mechanism."""
    free = group[0].static_configuration == "none"
    return stream_and_network(group) == stream_and_network(reference) and (
        free or group[0].mechanism == reference[0].mechanism
    )


def _memory(label: str, group: Group, groups: Sequence[Group]) -> Memory:
    run, counts = group[0], [run.parameters for run in group if run.parameters]
    searched = run.strategy in ("em", "darts", "brute-force")
    bound, missing, text = None, (), ""
    if searched or run.static_configuration not in (None, "none"):
        same = [other for other in groups if stream_and_network(other) == stream_and_network(group)]
        alone = next((other[0] for other in same if other[0].static_configuration == "none"), None)
        whole = all_shared(group, same)
        factor = len(counts[0].per_task) + searched
        text = f"S + {factor} max(A, B)"
        missing = tuple(
            f"{run.benchmark}/{name}" for name, found in (("stl", alone), (run.mechanism, whole)) if found is None
        )
        if alone and alone.parameters and whole and whole[0].parameters:
            largest = max(*alone.parameters.per_task, *whole[0].parameters.per_task)
            bound = whole[0].parameters.shared + factor * largest
    return Memory(
        label=label,
        seeds=len(counts),
        shared=spread([c.shared for c in counts]).mean,
        per_task=spread([sum(c.per_task) / len(c.per_task) for c in counts]).mean,
        end=spread([c.shared + sum(c.per_task) for c in counts]).mean,
        most=spread([c.search + sum(c.per_task[:-1]) for c in counts]).mean,
        bound=bound,
        bound_text=text,
        missing=missing,
    )


def _regret(label: str, group: Group, reference: Group) -> Regret:
    """The differences of peak accuracies, in the trials that both have and over the tasks that all of them know."""
    theirs = {trial(run): run.measures.peak_accuracy.validation.per_task for run in reference}
    pairs = [(run.measures.peak_accuracy.validation.per_task, theirs.get(trial(run), [])) for run in group]
    gaps = [
        [best - ours for ours, best in zip(mine, other, strict=True) if ours is not None and best is not None]
        for mine, other in pairs
        if other
    ]
    whole = [row for row in gaps if row and len(row) == len(gaps[0])]
    tasks = [sum(column) / len(whole) for column in zip(*whole, strict=True)]
    return Regret(label, group[0].benchmark, len(whole), tasks, spread([sum(row) / len(row) for row in whole]))
