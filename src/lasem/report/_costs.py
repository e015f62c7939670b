"""Costs of learning: time, parameters against their bound, accuracy against both, and regret."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lasem.metrics import Spread, spread
from lasem.report._comparison import AROUND, UNKNOWN, duration, spread_shown
from lasem.report._groups import Group, differing_settings, finished_groups, labelled, stream_and_network, trial
from lasem.report._published import published_result
from lasem.report._run import Run
from lasem.report._table import Column, Table, make_table


class CostPoint(NamedTuple):
    """Accuracy of a learner with its training time and the number of values that it stores, over seeds."""

    label: str
    peak: Spread
    """Mean peak per-task accuracy, selected by validation."""
    seconds: Spread
    stored: Spread


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
    return [
        CostPoint(
            label,
            peak=spread([run.measures.peak_accuracy.validation.mean for run in group]),
            seconds=spread([run.training_seconds for run in group]),
            stored=spread([run.num_stored for run in group]),
        )
        for label, group in labelled(finished_groups(runs))
    ]


def memory(runs: Sequence[Run]) -> list[Memory]:
    """Compare the parameters of finished learners with S + (T + 1) max(A, B), or S + T max(A, B) without a search.

    A and B are what a task adds that shares nothing and everything, S is all shared knowledge: they are read off the
    runs of single-task learning and of static sharing of all layers, on the same stream with the same network.
    """
    groups = finished_groups(runs)
    return [_memory(label, group, groups) for label, group in labelled(groups)]


def regrets(runs: Sequence[Run]) -> list[Regret]:
    """Compare every learner with brute force over the same mechanism and configurations on the same stream."""
    groups = finished_groups(runs)
    references = [group for group in groups if group[0].strategy == "brute-force"]
    rows = [
        _regret(label, group, reference)
        for label, group in labelled(groups)
        for reference in references
        if group is not reference and _alike(group, reference)
    ]
    return [row for row in rows if row.tasks]


def time_table(runs: Sequence[Run], *, deviation: bool = False) -> Table:
    """Compare the wall-clock time of finished learners (appendix D)."""
    groups = finished_groups(runs)
    training = [spread([run.training_seconds for run in group]) for group in groups]
    per_task = [_scaled(values, 1 / (group[0].num_tasks or 1)) for values, group in zip(training, groups, strict=True)]
    evaluation = [spread([run.evaluation_seconds for run in group]) for group in groups]
    paper = [published_result(group[0]) for group in groups]

    def texts(spreads: Sequence[Spread]) -> list[str]:
        return [duration(spread_shown(values, deviation=deviation)) for values in spreads]

    columns = (
        Column("learner", "learner", [label for label, _ in labelled(groups)], words=True),
        Column("runs", "seeds", [len(group) for group in groups]),
        Column(
            "paper-seconds", "paper: training", [duration(spread([item.seconds])) if item else "" for item in paper]
        ),
        Column("seconds", "training", texts(training), training),
        Column("seconds-per-task", "per task", texts(per_task), per_task),
        Column("evaluation-seconds", "evaluation", texts(evaluation), evaluation),
        Column("relative", "of all shared", [_relative(group, groups) for group in groups]),
        Column("device", "device", [_devices(group) for group in groups], words=True),
    )
    note = (
        f"wall clock, mean ± {AROUND[deviation]} over seeds; of all shared = training time over that of the same"
        f" mechanism sharing all layers{'; the paper measured on a Core i7 with two 1080 Ti' if any(paper) else ''}"
    )
    return make_table("Time", columns, note, settings=differing_settings([group[0] for group in groups]))


def memory_table(runs: Sequence[Run], *, deviation: bool = False) -> Table:
    """Compare the parameters of finished learners (appendix E); means over seeds, which differ by choices alone."""
    rows = memory(runs)
    columns = (
        Column("learner", "learner", [row.label for row in rows], words=True),
        Column("runs", "seeds", [row.seeds for row in rows]),
        Column("shared", "shared, S", [_count(row.shared) for row in rows]),
        Column("per-task", "per task", [_count(row.per_task) for row in rows]),
        Column("end", "at the end", [_count(row.end) for row in rows]),
        Column("most", "at most", [_count(row.most) for row in rows]),
        Column("bound", "bound", [_count(row.bound) for row in rows]),
        Column("bound-is", "bound is", [row.bound_text for row in rows], words=True),
    )
    missing = sorted({name for row in rows for name in row.missing})
    lacking = f"; for a bound these runs are missing: {', '.join(missing)}" if missing else ""
    note = (
        "numbers of parameters; at most = while the last task is learned, without the copy that rolling back needs; A"
        f" and B are what a task adds that shares no layer and all layers, T is the number of tasks{lacking}"
    )
    return make_table("Memory", columns, note)


def all_shared(group: Group, groups: Sequence[Group]) -> Group | None:
    """Find the group that shares all layers with the same mechanism, stream and network; None where there is none."""
    return next((other for other in groups if other[0].static_configuration == "all" and _alike(group, other)), None)


def _alike(group: Group, reference: Group) -> bool:
    """Whether two groups had one stream, network and mechanism; single-task learning uses no mechanism."""
    free = group[0].static_configuration in ("none", "frozen")
    return stream_and_network(group) == stream_and_network(reference) and (
        free or group[0].mechanism == reference[0].mechanism
    )


def _memory(label: str, group: Group, groups: Sequence[Group]) -> Memory:
    run, counts = group[0], [run.parameters for run in group if run.parameters]
    searched = run.searches
    bound, missing, text = None, (), ""
    if run.shares:
        same = [other for other in groups if stream_and_network(other) == stream_and_network(group)]
        alone = next((other[0] for other in same if other[0].static_configuration == "none"), None)
        whole = all_shared(group, same)
        factor = len(counts[0].per_task) + searched
        text = f"S + {factor} max(A, B)"
        missing = tuple(
            f"{run.benchmark}/{name}" for name, found in (("stl", alone), (run.mechanism, whole)) if found is None
        )
        if alone and alone.parameters and whole and whole[0].parameters:
            largest = max(0, *alone.parameters.per_task, *whole[0].parameters.per_task)
            # a network with a frozen branch stores the initial values besides the shared knowledge
            stored = max(whole[0].parameters.shared, *(c.shared for c in counts))
            bound = stored + factor * largest
    return Memory(
        label=label,
        seeds=len(counts),
        shared=spread([c.shared for c in counts]).mean,
        per_task=spread([sum(c.per_task) / max(1, len(c.per_task)) for c in counts]).mean,
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


def _scaled(values: Spread, factor: float) -> Spread:
    return Spread(
        values.runs, values.mean * factor, deviation=values.deviation * factor, half_width=values.half_width * factor
    )


def _relative(group: Group, groups: Sequence[Group]) -> str:
    """Training time over that of sharing all layers."""
    reference = all_shared(group, groups)
    if reference is None:
        return UNKNOWN
    ours, theirs = (spread([run.training_seconds for run in runs]).mean for runs in (group, reference))
    return UNKNOWN if np.isnan(ours / theirs) else f"{ours / theirs:.2f}x"


def _devices(group: Group) -> str:
    return ", ".join(sorted({str(run.environment.get("device_name", UNKNOWN)) for run in group}))


def _count(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"
