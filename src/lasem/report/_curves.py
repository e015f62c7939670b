"""Curves over the epochs of a task: accuracy, how decided a search is, and the probability of every configuration."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import NamedTuple

import numpy as np

from lasem.formats import ranges
from lasem.metrics import Spread, spread
from lasem.records import EpochRecord, TaskHistory
from lasem.report._groups import labelled, same_spec
from lasem.report._run import Run

MOST_POINTS = 400
"""Most points of a drawn curve."""

MOST_TURNS = 16
"""Most candidates that are drawn where candidates take turns."""


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


class TaskSearch(NamedTuple):
    """How the search of one task went, by the epochs of the task."""

    position: int
    name: str
    start: int
    """Epochs of the stream before the first epoch of the task."""
    size: int
    """Number of configurations K that were searched."""
    candidates: list[Line]
    """Probabilities of every recorded configuration; None where a record has only more probable ones."""
    chosen: str | None
    """The configuration that was most probable at the end."""
    epochs: list[int]
    """(E,) epochs of the marginals."""
    groups: list[str]
    """(G,) names of the groups."""
    marginals: list[list[float]]
    """(G, E): probability that a group shares, the group with the lowest layer first."""
    branch_marginals: list[list[tuple[float, float, float]]]
    """(G, E, 3): probabilities of a group's branches (own, shared, frozen); empty where there is no frozen branch."""


class TaskTurns(NamedTuple):
    """Candidates of one task that were trained in turn."""

    position: int
    name: str
    candidates: list[Line]
    """Validation accuracy by the epochs of a turn, of the candidates that validate best, best first."""


Quantity = Callable[[TaskHistory], Mapping[int, float]]
"""A number per epoch of a task, from 1; epochs without one are left out."""


def mean_curves(runs: Sequence[Run], quantity: Quantity) -> Curves:
    """Average a quantity for every learner, at the epochs where all of its tasks and seeds have it.

    A task that is being learned is in no mean.
    """
    bands = []
    for label, group in labelled(same_spec(runs)):
        known = [[quantity(task) for task in run.tasks if task.evaluation] for run in group]
        bands.append(_mean_over_tasks(label, [tasks for tasks in known if any(tasks)]))
    single = [task for run in runs for task in run.tasks if task.evaluation] if len(runs) == 1 else []
    return Curves(
        [band for band in bands if band.x], [line for task in single if (line := thin(task.name, quantity(task))).x]
    )


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
    return record.branches ** len(record.marginals) if record.marginals else len(record.prior or ())


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


def task_searches(run: Run, most_points: int = MOST_POINTS) -> list[TaskSearch]:
    """List the searches of a run in order; none for a run that searches nothing by probability."""
    return [_search(run, task, most_points) for task in run.tasks if any(record.prior for record in task.chosen)]


def task_turns(run: Run, most_points: int = MOST_POINTS) -> list[TaskTurns]:
    """List the tasks of a run whose candidates took turns (brute force), in order."""
    return [found for task in run.tasks if (found := _turns(task, most_points)).candidates]


def leading(searches: Sequence[TaskSearch], most: int) -> list[str]:
    """Rank configurations by the highest probability that they reach in any task, highest first."""
    peaks: dict[str, float] = {}
    for search in searches:
        for line in search.candidates:
            highest = max((y for y in line.y if y is not None), default=0.0)
            peaks[line.label] = max(peaks.get(line.label, 0.0), highest)
    return sorted(peaks, key=lambda label: (-peaks[label], label))[:most]


def group_names(run: Run, groups: int) -> list[str]:
    """Name the groups by their layers where the spec's partition tells them, such as "layers 1-5"."""
    partition = run.partition
    if partition is None:
        return [f"layer {group + 1}" for group in range(groups)]
    if partition.num_groups != groups:
        return [f"group {group + 1}" for group in range(groups)]
    return [f"layer{'s' if len(group) > 1 else ''} {','.join(ranges(group))}" for group in partition.groups]


def leading_candidates(task: TaskHistory, most: int) -> list[tuple[str, float, float]]:
    """Rank the configurations of a task by their latest probability.

    Returns:
        Name, latest probability and mean probability over the task of at most so many of them.
    """
    priors = [dict(record.prior) for record in task.chosen if record.prior]
    totals: Counter[int] = Counter()
    for prior in priors:
        totals.update(prior)
    ranked = sorted(totals, key=lambda index: (-priors[-1].get(index, 0.0), -totals[index]))[:most]
    return [(task.candidate(index), priors[-1].get(index, 0.0), totals[index] / len(priors)) for index in ranked]


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


def _search(run: Run, task: TaskHistory, most_points: int) -> TaskSearch:
    records = [record for record in task.chosen if record.prior]
    by_record = [dict(record.prior or ()) for record in records]
    last = by_record[-1]
    kept = thinned([max(values.values()) for values in by_record], most_points)
    epochs = [records[i].task_epoch for i in kept]
    indices = sorted({index for values in by_record for index in values})
    lines = [Line(task.candidate(index), list(epochs), [by_record[i].get(index) for i in kept]) for index in indices]
    mixed = [records[i] for i in kept if records[i].marginals]
    marginals = [list(values) for values in zip(*(record.marginals or () for record in mixed), strict=True)]
    by_branch = [record.branch_marginals for record in mixed if record.branch_marginals]
    return TaskSearch(
        position=task.position,
        name=task.name,
        start=records[0].epoch - records[0].task_epoch,
        size=num_candidates(task, records[-1]),
        candidates=lines,
        chosen=task.candidate(max(last, key=lambda index: last[index])),
        epochs=[record.task_epoch for record in mixed],
        groups=group_names(run, len(marginals)),
        marginals=marginals,
        branch_marginals=[list(of) for of in zip(*by_branch, strict=True)] if len(by_branch) == len(mixed) else [],
    )


def _turns(task: TaskHistory, most_points: int) -> TaskTurns:
    turns: dict[int, dict[int, float]] = {}
    for record in task.epochs:
        if record.candidate is not None:
            turns.setdefault(record.candidate, {})[record.task_epoch] = record.valid_accuracy
    best = sorted(turns, key=lambda candidate: -max(turns[candidate].values()))[:MOST_TURNS]
    lines = [thin(task.candidate(index), turns[index], most_points) for index in best]
    return TaskTurns(task.position, task.name, lines)
