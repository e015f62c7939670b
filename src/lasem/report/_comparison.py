"""Comparison of learners: measures, their means over seeds, and whether differences are significant."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lasem.formats import time_unit
from lasem.metrics import Spread, distinguishable, spread
from lasem.report._groups import Group, learner_names, same_spec, stream_key, trial
from lasem.report._run import Run
from lasem.report._table import Rank

UNKNOWN = "-"
"""Text for a measure that is undefined or not known yet."""

LEAST_SEEDS = 5
"""Least number of common seeds for a test of the difference from the best mean."""

RANKS = "best in bold; ≈ not distinguishable from it (paired t test over seeds, 95%), tested with 5 seeds or more"


class Measure(NamedTuple):
    """A measure by which learners are compared."""

    title: str
    meaning: str
    value: Callable[[Run], float | None]
    text: Callable[[Spread], str]
    """Formats the spread over seeds."""
    ranked: bool = True
    """Whether the highest mean is the best one; costs are not ranked."""


class ComparisonRow(NamedTuple):
    """Runs of one spec over seeds, compared with other rows of their stream."""

    runs: Group
    learner: str
    benchmark: str
    finished: bool
    tasks: str
    """Number of tasks learned, or the range of it, such as "2 to 3 of 10"."""
    spreads: Mapping[str, Spread]
    """Spreads over seeds by key of `MEASURES`."""
    ranks: Mapping[str, Rank]


class TaskRow(NamedTuple):
    """Measures of one task of one run; None where undefined or not known yet."""

    position: int
    name: str
    configuration: str | None
    """One digit per layer, 1 = shared, the layer nearest the input first."""
    peak_validation: float | None
    peak_test: float | None
    end: float | None
    """Accuracy at the end of the task's own training; None while the task is learned."""
    now: float | None
    """Accuracy after the latest task of the stream."""
    forgetting_ratio: float | None
    epochs_to_98_percent: int | None


def with_interval(values: Spread, *, scale: float = 1.0, digits: int = 1, sign: str = "") -> str:
    """Write a mean ± half the width of its interval; the mean alone where there is no interval.

    >>> with_interval(Spread(3, 0.5, 0.01, 0.0248), scale=100)
    '50.0 ± 2.5'
    """
    if values.runs == 0:
        return UNKNOWN
    mean = f"{values.mean * scale:{sign}z.{digits}f}"
    return mean if np.isnan(values.half_width) else f"{mean} ± {values.half_width * scale:.{digits}f}"


def percent(value: float | None) -> str:
    """Write an accuracy in percent: 0.5 -> "50.0"."""
    return UNKNOWN if value is None else f"{100 * value:.1f}"


def _percents(values: Spread) -> str:
    return with_interval(values, scale=100)


def _points(values: Spread) -> str:
    return with_interval(values, scale=100, sign="+")


def _ratio(values: Spread) -> str:
    return with_interval(values, digits=3)


def duration(values: Spread) -> str:
    """Write seconds in the unit that suits their mean: "75.2 s", "12.5 ± 0.3 min", "3.1 h"."""
    unit, scale = time_unit(values.mean)
    return f"{with_interval(values, scale=1 / scale)} {unit}" if values.runs else UNKNOWN


def _count(values: Spread) -> str:
    return f"{values.mean:,.0f}" if values.runs else UNKNOWN


MEASURES: dict[str, Measure] = {
    "peak": Measure(
        "peak, %",
        "best test accuracy inside a task's own training, the epoch selected by validation; mean over tasks",
        lambda run: run.measures.peak_accuracy.validation.mean,
        _percents,
    ),
    "peak-test": Measure(
        "peak (test), %",
        "the same, the epoch selected by test accuracy: optimistic, for comparison with the literature",
        lambda run: run.measures.peak_accuracy.test.mean,
        _percents,
    ),
    "final": Measure(
        "final, %",
        "test accuracy of all tasks once the stream has ended; mean over tasks",
        lambda run: run.measures.final_accuracy,
        _percents,
    ),
    "forgetting-ratio": Measure(
        "forgetting ratio",
        "final accuracy over the accuracy at the end of (or peak in) a task's own training; below 1 = forgetting",
        lambda run: run.measures.forgetting_ratio.mean,
        _ratio,
    ),
    "backward-transfer": Measure(
        "backward transfer, points",
        "final accuracy less the accuracy at the end of a task's own training; mean over earlier tasks",
        lambda run: run.measures.backward_transfer,
        _points,
    ),
    "seconds": Measure(
        "training time", "wall clock, without evaluation", lambda run: run.training_seconds, duration, ranked=False
    ),
    "parameters": Measure(
        "parameters", "at the end: shared ones, and those of all tasks", lambda run: run.num_parameters, _count, False
    ),
}
"""Measures by key, in the order of the columns."""


def comparison_rows(runs: Sequence[Run]) -> list[ComparisonRow]:
    """Compare runs: one row per spec, over its seeds; unfinished runs have rows of their own, and no rank."""
    groups = same_spec(runs)
    values = [{key: [measure.value(run) for run in group] for key, measure in MEASURES.items()} for group in groups]
    return [
        ComparisonRow(
            runs=group,
            learner=name,
            benchmark=group[0].benchmark,
            finished=group[0].finished,
            tasks=_tasks(group),
            spreads={key: spread(values[number][key]) for key in MEASURES},
            ranks={key: _rank(key, number, groups, values) for key in MEASURES},
        )
        for number, (group, name) in enumerate(zip(groups, learner_names(groups), strict=True))
    ]


def _tasks(group: Group) -> str:
    """Return how many tasks were learned, of how many."""
    learned = [run.num_learned for run in group]
    planned = {run.num_tasks for run in group} - {None, *learned}
    return " to ".join(map(str, sorted({min(learned), max(learned)}))) + "".join(f" of {n}" for n in planned)


def _rank(key: str, row: int, groups: Sequence[Group], values: Sequence[Mapping[str, Sequence[float | None]]]) -> Rank:
    """Return the rank of a row's mean among the finished rows of its stream."""
    rivals = [i for i, group in enumerate(groups) if group[0].finished and stream_key(group) == stream_key(groups[row])]
    means = {i: mean for i in rivals if not np.isnan(mean := spread(values[i][key]).mean)}
    if not MEASURES[key].ranked or row not in means or len(means) < 2:
        return ""
    best = max(means, key=lambda i: means[i])
    if means[row] == means[best]:
        return "best"
    mine, theirs = (dict(zip(map(trial, groups[i]), values[i][key], strict=True)) for i in (row, best))
    pairs = [(mine[seeds], theirs[seeds]) for seeds in mine if seeds in theirs]
    differences = [one - other for one, other in pairs if one is not None and other is not None]
    return "level" if len(differences) >= LEAST_SEEDS and not distinguishable(differences) else ""


def task_rows(run: Run) -> list[TaskRow]:
    """Measure every task that a run has begun."""
    found = run.measures
    ends = [row[i] for i, row in enumerate(found.accuracy)]
    last = max((t for t, end in enumerate(ends) if end is not None), default=0)
    return [
        TaskRow(
            position=t,
            name=name,
            configuration=bits,
            peak_validation=found.peak_accuracy.validation.per_task[t],
            peak_test=found.peak_accuracy.test.per_task[t],
            end=ends[t],
            now=found.accuracy[last][t],
            forgetting_ratio=found.forgetting_ratio.per_task[t],
            epochs_to_98_percent=found.epochs_to_98_percent[t],
        )
        for t, (name, bits) in enumerate(zip(run.task_names, run.configurations, strict=True))
    ]
