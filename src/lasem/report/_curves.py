"""The data of the figures, as small tuples; drawing them is for others."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from lasem.metrics import FloatArray
from lasem.records import TaskHistory
from lasem.report._collect import Run, learner_names, same_spec
from lasem.report._history import committed, history, measured

MOST_POINTS = 500
"""Points of a drawn curve."""

MOST_LINES = 7
"""Candidates with a line of their own; the others are summed."""


class Line(NamedTuple):
    """A curve; a y that is None is a gap."""

    label: str
    x: list[float]
    y: list[float | None]


class Span(NamedTuple):
    """The epochs of the stream in which a task was learned."""

    name: str
    first: int
    last: int


class AccuracyCurves(NamedTuple):
    """Accuracy of each task over the epochs of the stream."""

    own: list[Line]
    """Inside the task's own training, one point per epoch."""
    later: list[Line]
    """After that task and each later one."""
    spans: list[Span]
    split: str
    """What `own` shows: "test", or "validation" where no test accuracy was measured."""


class Probabilities(NamedTuple):
    """What a search leans to, over the epochs of the stream."""

    candidates: list[Line]
    """Most probable first."""
    others: Line | None
    epochs: list[int]
    """(E,) of the marginals."""
    groups: list[str]
    """Names of the groups, the one with the lowest layer first."""
    marginals: list[list[float | None]]
    """(G, E): probability that a group shares."""
    spans: list[Span]


class ShareMap(NamedTuple):
    """Which layers each task reads from shared knowledge."""

    tasks: list[str]
    shared: list[list[int | None]]
    """(L, T): 1 = shared, 0 = the task's own, None = not known; the layer nearest the input first."""


def thin(x: Sequence[float], y: Sequence[float], most: int = MOST_POINTS) -> tuple[list[float], list[float]]:
    """Keep the points of a curve that show it: no peak is lost."""
    keep = thinned(y, most)
    return [x[i] for i in keep], [y[i] for i in keep]


def thinned(y: Sequence[float], most: int = MOST_POINTS) -> list[int]:
    """Positions of the first, the last, and the lowest and highest value of each of many equal parts, ascending."""
    if len(y) <= most:
        return list(range(len(y)))
    heights = np.asarray(y)
    parts = np.array_split(np.arange(1, len(y) - 1), max(1, (most - 2) // 2))
    extremes = {int(part[pick(heights[part])]) for part in parts for pick in (np.argmin, np.argmax)}
    return sorted({0, len(y) - 1} | extremes)


def spans(tasks: Iterable[TaskHistory]) -> list[Span]:
    """Where each task with at least one epoch lies in the stream."""
    return [Span(task.name, task.epochs[0].epoch, task.epochs[-1].epoch) for task in tasks if task.epochs]


def accuracy_curves(run: Run) -> AccuracyCurves:
    """Curves of every task: while it is learned, and after every task from then on."""
    tasks = history(run)
    tested = any(record.test_accuracy is not None for task in tasks for record in task.epochs)
    own, later = [], []
    for task in tasks:
        accuracy = {e.epoch: e.test_accuracy if tested else e.valid_accuracy for e in task.chosen}
        known = {epoch: value for epoch, value in accuracy.items() if value is not None}
        x, y = thin(list(known), list(known.values()))
        own.append(Line(task.name, x, list(y)))
        after = [late.evaluation for late in tasks[task.position :] if late.evaluation]
        later.append(Line(task.name, [e.epoch for e in after], [e.accuracy[task.position] for e in after]))
    return AccuracyCurves(own, later, spans(tasks), "test" if tested else "validation")


def probabilities(run: Run, most: int = MOST_LINES) -> Probabilities | None:
    """Candidates by their mean probability over all epochs; None for a run that searches nothing."""
    tasks = [task for task in history(run) if any(record.prior for record in task.epochs)]
    if not tasks:
        return None
    named = [_named(task) for task in tasks]
    totals: dict[str, float] = {}
    for task in named:
        for values in task.values():
            for label, probability in values.items():
                totals[label] = totals.get(label, 0.0) + probability
    ranked = sorted(totals, key=lambda label: -totals[label])
    top = ranked[: most if len(ranked) > most + 1 else most + 1]
    lines = [_probability_line(named, label, {label}) for label in top]
    rest = set(ranked[len(top) :])
    others = _probability_line(named, f"{len(rest)} others, together", rest) if rest else None
    records = [record for task in tasks for record in task.epochs if record.marginals]
    kept = [records[i] for i in np.unique(np.linspace(0, len(records) - 1, min(len(records), MOST_POINTS)).astype(int))]
    by_group = zip(*(record.marginals or [] for record in kept), strict=True)
    marginals: list[list[float | None]] = [list(values) for values in by_group]
    names = group_names(run, len(marginals))
    return Probabilities(lines, others, [record.epoch for record in kept], names, marginals, spans(tasks))


def group_names(run: Run, groups: int) -> list[str]:
    """Groups by their layers, where the spec's partition tells them: "{1,2},{3}" -> layers 1,2 and layers 3."""
    parts = re.findall(r"\{([^}]*)\}", str(run.setting("search", "partition") or ""))
    ordered = sorted(parts, key=lambda part: min(map(int, re.findall(r"\d+", part)), default=0))
    layers = [f"layers {part}" for part in ordered] or [f"layer {group + 1}" for group in range(groups)]
    return layers if len(layers) == groups else [f"group {group + 1}" for group in range(groups)]


def _named(task: TaskHistory) -> dict[int, dict[str, float]]:
    """Epoch of the stream to the candidates' probabilities by name."""
    names = {index: task.candidate(index) for index in {i for record in task.epochs for i, _ in record.prior or ()}}
    return {e.epoch: {names[index]: p for index, p in e.prior} for e in task.epochs if e.prior}


def _probability_line(tasks: Sequence[dict[int, dict[str, float]]], label: str, members: set[str]) -> Line:
    """Summed probability of some candidates, with a gap between tasks."""
    line = Line(label, [], [])
    for task in tasks:
        values = {epoch: sum(named.get(member, 0.0) for member in members) for epoch, named in task.items()}
        x, y = thin(list(values), list(values.values()), max(4, MOST_POINTS // len(tasks) - 1))
        line.x.extend([*x, x[-1]])
        line.y.extend([*y, None])
    return line


def share_map(run: Run) -> ShareMap | None:
    """Layer by layer, what every task committed; None where no task did."""
    tasks = history(run)
    rows = committed(run, tasks)
    layers = max((len(bits) for bits in rows if bits), default=0)
    if not layers:
        return None
    names = run.result.tasks if run.result and run.finished else [task.name for task in tasks]
    shared = [[int(bits[layer]) if bits else None for bits in rows] for layer in range(layers)]
    return ShareMap(names, shared)


def forgetting_curves(runs: Sequence[Run]) -> list[Line]:
    """Per spec, the forgetting ratio as tasks arrive: mean over its seeds, item k after task k."""
    lines = []
    groups = same_spec(runs)
    for group, learner in zip(groups, learner_names(groups), strict=True):
        curves = [measured(run, history(run)).forgetting_ratio.curve for run in group]
        longest = max(map(len, curves), default=0)
        if not longest:
            continue
        values = np.array(
            [[np.nan if v is None else v for v in curve + [None] * (longest - len(curve))] for curve in curves]
        )
        label = f"{learner} on {group[0].part('benchmark')}" + ("" if group[0].finished else ", unfinished")
        lines.append(Line(label, [*range(1, longest + 1)], _column_means(values)))
    return lines


def _column_means(values: FloatArray) -> list[float | None]:
    known = ~np.isnan(values)
    return [
        float(column[there].mean()) if there.any() else None for column, there in zip(values.T, known.T, strict=True)
    ]
