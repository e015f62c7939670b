"""Curves over the epochs of a task, as means over tasks and seeds: accuracy, and how decided a search is."""

from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import NamedTuple

import numpy as np

from lasem.metrics import Spread, spread
from lasem.records import EpochRecord, TaskHistory
from lasem.report._groups import group_labels, same_spec
from lasem.report._run import Run

MOST_POINTS = 400
"""Most points of a drawn curve."""


class Line(NamedTuple):
    """A curve; a y that is None is a gap."""

    label: str
    x: list[float]
    y: list[float | None]


class Band(NamedTuple):
    """A mean over seeds with its 95% interval (Student t); a half width is None where there is no interval."""

    label: str
    seeds: int
    x: list[int]
    mean: list[float]
    half_width: list[float | None]


class Curves(NamedTuple):
    """One quantity of several learners by the epochs of a task."""

    bands: list[Band]
    """One per learner: the mean over the tasks that have ended, then over seeds."""
    tasks: list[Line]
    """Each task of a single run; empty for several runs."""


Quantity = Callable[[TaskHistory], Mapping[int, float]]
"""A number per epoch of a task, from 1; epochs without one are left out."""


def mean_curves(runs: Sequence[Run], quantity: Quantity) -> Curves:
    """Average a quantity for every learner, at the epochs where all of its tasks and seeds have it.

    A task that is being learned is in no mean.
    """
    groups = same_spec(runs)
    known = [[[quantity(task) for task in run.tasks if task.evaluation] for run in group] for group in groups]
    bands = [
        band
        for label, group in zip(group_labels(groups), known, strict=True)
        if (band := _mean_over_tasks(label, [run for run in group if any(run)])).x
    ]
    single = [task for run in runs for task in run.tasks if task.evaluation] if len(runs) == 1 else []
    return Curves(bands, [line for task in single if (line := thin(task.name, quantity(task))).x])


def test_accuracy(task: TaskHistory) -> dict[int, float]:
    """Return the test accuracy in the task's own training, where it was measured."""
    return {e.task_epoch: e.test_accuracy for e in task.chosen if e.test_accuracy is not None}


def validation_accuracy(task: TaskHistory) -> dict[int, float]:
    """Return the validation accuracy in the task's own training."""
    return {e.task_epoch: e.valid_accuracy for e in task.chosen}


def entropy(task: TaskHistory) -> dict[int, float]:
    """Return the entropy of the prior over that of even odds: 1 = nothing is known, 0 = decided."""
    return {
        e.task_epoch: e.entropy / log(size)
        for e in task.chosen
        if e.entropy is not None and (size := num_candidates(task, e)) > 1
    }


def margin(task: TaskHistory) -> dict[int, float]:
    """Return the probability of the leading configuration less that of the runner-up."""
    ranked = {e.task_epoch: sorted((p for _, p in e.prior), reverse=True) for e in task.chosen if e.prior}
    return {epoch: top[0] - top[1] for epoch, top in ranked.items() if len(top) > 1}


def num_candidates(task: TaskHistory, record: EpochRecord) -> int:
    """Count the configurations that a task was searched over, K; 0 where nothing says it."""
    if task.task and task.task.candidates:
        return len(task.task.candidates)
    return 2 ** len(record.marginals) if record.marginals else len(record.prior or ())


def thin(label: str, values: Mapping[int, float], most: int = MOST_POINTS) -> Line:
    """Make a line of the points that show a curve: no peak is lost."""
    x, y = list(values), list(values.values())
    kept = thinned(y, most)
    return Line(label, [x[i] for i in kept], [y[i] for i in kept])


def thinned(y: Sequence[float], most: int = MOST_POINTS) -> list[int]:
    """Choose at most so many points: the first, the last, and the lowest and highest of many equal stretches.

    Returns:
        Their positions, ascending.
    """
    if len(y) <= most:
        return list(range(len(y)))
    heights = np.asarray(y)
    stretches = np.array_split(np.arange(1, len(y) - 1), max(1, (most - 2) // 2))
    extremes = {int(stretch[pick(heights[stretch])]) for stretch in stretches for pick in (np.argmin, np.argmax)}
    return sorted({0, len(y) - 1} | extremes)


def band(label: str, x: Sequence[int], spreads: Sequence[Spread], *, seeds: int) -> Band:
    """Make a band of one spread over seeds per x."""
    widths = [None if np.isnan(values.half_width) else values.half_width for values in spreads]
    return Band(label, seeds, list(x), [values.mean for values in spreads], widths)


def _mean_over_tasks(label: str, runs: Sequence[Sequence[Mapping[int, float]]]) -> Band:
    """The band of one learner.

    Args:
        label: Name of the learner.
        runs: Per seed and task, the quantity by epoch.
    """
    tasks = [task for run in runs for task in run]
    epochs = sorted(set(tasks[0]).intersection(*tasks[1:])) if tasks else []
    means = [[float(np.mean([task[epoch] for task in run])) for run in runs] for epoch in epochs]
    spreads = [spread(values) for values in means]
    kept = thinned([values.mean for values in spreads])
    return band(label, [epochs[i] for i in kept], [spreads[i] for i in kept], seeds=len(runs))
