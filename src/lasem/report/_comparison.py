"""Comparison of learners: measures, their means over seeds, significance, and what a reader should be warned of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
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


STAND_INS: Mapping[str, str] = MappingProxyType({"pacs": "Office-Home", "tiny-imagenet-10": "STL-10"})
"""Data sets that cannot be downloaded, by name of the benchmark that replaces them."""


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


class Warned(NamedTuple):
    """A warning and the runs that it concerns."""

    text: str
    runs: tuple[Run, ...]


class TaskRow(NamedTuple):
    """Measures of one task of one run; None where undefined or not known yet."""

    position: int
    name: str
    configuration: str | None
    """One digit per layer, the layer nearest the input first."""
    peak_validation: float | None
    peak_test: float | None
    end: float | None
    """Accuracy at the end of the task's own training; None while the task is learned."""
    now: float | None
    """Accuracy after the latest task of the stream."""
    forgetting_ratio: float | None
    epochs_to_98_percent: int | None

    @property
    def texts(self) -> list[str]:
        """The cells of the row: accuracies in percent, with words for what is not known."""
        return [
            str(self.position), self.name, self.configuration or UNKNOWN, percent(self.peak_validation),
            percent(self.peak_test), "learning" if self.end is None else percent(self.end), percent(self.now),
            UNKNOWN if self.forgetting_ratio is None else f"{self.forgetting_ratio:.3f}",
            str(self.epochs_to_98_percent or UNKNOWN),
        ]  # fmt: skip


def with_interval(values: Spread, *, scale: float = 1.0, digits: int = 1, sign: str = "") -> str:
    """Write a mean ± half the width of its interval; the mean alone where there is no interval.

    >>> with_interval(Spread(3, 0.5, 0.01, 0.0248), scale=100)
    '50.0 ± 2.5'
    """
    if values.runs == 0:
        return UNKNOWN
    mean = f"{values.mean * scale:{sign}z.{digits}f}"
    return mean if np.isnan(values.half_width) else f"{mean} ± {values.half_width * scale:.{digits}f}"


AROUND: Mapping[bool, str] = MappingProxyType({False: "95% interval", True: "sample standard deviation"})
"""What stands behind ±, by whether the standard deviation is asked for."""


def spread_shown(values: Spread, *, deviation: bool) -> Spread:
    """Put what is printed behind ± in place of the half width: the standard deviation where it is asked for."""
    return values._replace(half_width=values.deviation) if deviation else values


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
        "values stored",
        "at the end: parameters of all tasks, and what is stored besides, such as Fisher information",
        lambda run: run.num_stored,
        _count,
        False,
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
            configuration=digits,
            peak_validation=found.peak_accuracy.validation.per_task[t],
            peak_test=found.peak_accuracy.test.per_task[t],
            end=ends[t],
            now=found.accuracy[last][t],
            forgetting_ratio=found.forgetting_ratio.per_task[t],
            epochs_to_98_percent=found.epochs_to_98_percent[t],
        )
        for t, (name, digits) in enumerate(zip(run.task_names, run.configurations, strict=True))
    ]


def warnings(rows: Sequence[ComparisonRow]) -> list[Warned]:
    """Collect the warnings for some rows, most general first; identical warnings of several runs are merged."""
    found: dict[str, dict[str, Run]] = {}
    for text, runs in (*_of_rows(rows), *_of_runs([run for row in rows for run in row.runs])):
        found.setdefault(text, {}).update({run.folder: run for run in runs})
    return [Warned(text, tuple(runs.values())) for text, runs in found.items()]


def _of_rows(rows: Sequence[ComparisonRow]) -> Iterator[tuple[str, Sequence[Run]]]:
    for benchmark in dict.fromkeys(row.benchmark for row in rows):
        here = [row for row in rows if row.benchmark == benchmark]
        runs = [run for row in here for run in row.runs]
        if benchmark in STAND_INS:
            yield f"{benchmark} stands in for {STAND_INS[benchmark]}: these are not results on it", runs
        devices = {str(run.environment["device_name"]) for run in runs if "device_name" in run.environment}
        if len(devices) > 1:
            yield f"{benchmark}: times come from {len(devices)} devices ({', '.join(sorted(devices))})", ()
        yield from _missing_seeds(here)


def _missing_seeds(rows: Sequence[ComparisonRow]) -> Iterator[tuple[str, Sequence[Run]]]:
    """Finished rows that lack a seed which another row of their benchmark has."""
    finished = [row for row in rows if row.finished]
    seeds = {run.seed for row in finished for run in row.runs} - {None}
    for row in finished:
        missing = sorted(seed for seed in seeds - {run.seed for run in row.runs} if seed is not None)
        if missing:
            number = f"{len(row.runs)} of {len(seeds)} seeds"
            yield f"{row.learner} on {row.benchmark}: {number}; missing {', '.join(map(str, missing))}", row.runs


def _of_runs(runs: Sequence[Run]) -> Iterator[tuple[str, Sequence[Run]]]:
    """The warnings of each run, without its folder in front, so that equal ones are merged."""
    for run in runs:
        for warning in run.warnings:
            yield warning.removeprefix(run.folder).lstrip(":/\\ "), [run]
