"""Curves over the epochs of a task, as means over tasks and seeds: learning, and how decided a search is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import log
from typing import NamedTuple

import numpy as np

from lasem.metrics import spread
from lasem.records import EpochRecord, TaskHistory
from lasem.report._collect import Run, learner_names, same_spec
from lasem.report._curves import Line, thinned
from lasem.report._history import history


class Band(NamedTuple):
    """A mean over seeds by the epochs of a task, with its 95% interval (Student t); None where there is none."""

    label: str
    seeds: int
    x: list[int]
    mean: list[float]
    half_width: list[float | None]


class Series(NamedTuple):
    """One quantity of several learners."""

    bands: list[Band]
    """Mean over the tasks that have ended, then over seeds."""
    tasks: list[Line]
    """Of a single run, its tasks; else empty."""


Quantity = Callable[[TaskHistory], Mapping[int, float]]
"""A number per epoch of a task, from 1; epochs without one are left out."""


def series(runs: Sequence[Run], quantity: Quantity) -> Series:
    """Take a quantity of every learner, at the epochs where all of its tasks and seeds have it."""
    groups = same_spec(runs)
    known = [[[quantity(task) for task in _ended(run)] for run in group] for group in groups]
    bands = [
        band
        for name, group in zip(group_labels(groups), known, strict=True)
        if (band := _band(name, [run for run in group if any(run)])).x
    ]
    single = runs[0] if len(runs) == 1 else None
    tasks = [Line(task.name, *_thin(quantity(task))) for task in _ended(single)] if single else []
    return Series(bands, [line for line in tasks if line.x])


def group_labels(groups: Sequence[Sequence[Run]]) -> list[str]:
    """Name of each group's learner, with its benchmark where there are several, and a star where it is unfinished."""
    several = len({group[0].part("benchmark") for group in groups}) > 1
    return [
        name + (f", {group[0].part('benchmark')}" if several else "") + ("" if group[0].finished else "*")
        for group, name in zip(groups, learner_names(groups), strict=True)
    ]


def test_accuracy(task: TaskHistory) -> dict[int, float]:
    """Test accuracy in the task's own training, where it was measured."""
    return {e.task_epoch: e.test_accuracy for e in task.chosen if e.test_accuracy is not None}


def validation_accuracy(task: TaskHistory) -> dict[int, float]:
    """Validation accuracy in the task's own training."""
    return {e.task_epoch: e.valid_accuracy for e in task.chosen}


def entropy(task: TaskHistory) -> dict[int, float]:
    """Entropy of the prior over that of even odds: 1 = nothing is known, 0 = decided."""
    return {
        e.task_epoch: e.entropy / log(size)
        for e in task.chosen
        if e.entropy is not None and (size := num_candidates(task, e)) > 1
    }


def margin(task: TaskHistory) -> dict[int, float]:
    """Probability of the leading configuration less that of the runner-up."""
    ranked = {e.task_epoch: sorted((p for _, p in e.prior), reverse=True) for e in task.chosen if e.prior}
    return {epoch: top[0] - top[1] for epoch, top in ranked.items() if len(top) > 1}


def num_candidates(task: TaskHistory, record: EpochRecord) -> int:
    """How many configurations a task was searched over, K; 0 where nothing says it."""
    if task.task and task.task.candidates:
        return len(task.task.candidates)
    return 2 ** len(record.marginals) if record.marginals else len(record.prior or ())


def _ended(run: Run) -> Iterator[TaskHistory]:
    """Tasks whose training has ended; a curve that still grows is in no mean."""
    return (task for task in history(run) if task.evaluation)


def _band(label: str, runs: Sequence[Sequence[Mapping[int, float]]]) -> Band:
    curves = [task for run in runs for task in run]
    epochs = sorted(set(curves[0]).intersection(*curves[1:])) if curves else []
    means = [[float(np.mean([task[epoch] for task in run])) for run in runs] for epoch in epochs]
    spreads = [spread(values) for values in means]
    keep = thinned([values.mean for values in spreads])
    widths = [spreads[i].half_width for i in keep]
    return Band(
        label=label,
        seeds=len(runs),
        x=[epochs[i] for i in keep],
        mean=[spreads[i].mean for i in keep],
        half_width=[None if np.isnan(width) else width for width in widths],
    )


def _thin(values: Mapping[int, float]) -> tuple[list[float], list[float | None]]:
    x, y = list(values), list(values.values())
    keep = thinned(y)
    return [x[i] for i in keep], [y[i] for i in keep]
