"""Statistics of the chosen configurations: the most frequent ones, and how often each layer is shared or frozen."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lasem.configurations import BRANCHES, FROZEN, SHARED, name, named, static_names
from lasem.metrics import FloatArray
from lasem.report._groups import Group, labelled, same_spec
from lasem.report._run import Run

MOST_CONFIGURATIONS = 8
"""Largest number of bars in a histogram, as in figure 8 of the paper."""


class Choice(NamedTuple):
    """A configuration that some tasks chose."""

    digits: str
    """One digit per layer, the layer nearest the input first."""
    name: str | None
    """Name of a static configuration, such as "top-2"; None for any other."""
    share: float
    """Fraction of the tasks of all seeds."""


class Choices(NamedTuple):
    """Configurations that one learner chose, over all tasks and seeds."""

    label: str
    seeds: int
    tasks: int
    """Number of tasks over all seeds."""
    most: list[Choice]
    """The most frequent configurations; among equally frequent ones, the one that shares most layers is first."""
    others: int
    """Number of chosen configurations that `most` leaves out."""
    rest: float
    """Fraction of the tasks that chose a configuration that `most` leaves out."""
    layers: list[float]
    """(L,) fraction of tasks that share each layer, the layer nearest the input first."""
    frozen: list[float]
    """(L,) fraction of tasks that take each layer frozen; empty where no run has a frozen branch."""


class SharedFractions(NamedTuple):
    """How often each layer is shared, and how often frozen, task by task, over seeds."""

    label: str
    seeds: int
    tasks: list[str]
    shared: FloatArray
    """(L, T) fraction of the seeds that share; NaN where no seed has committed the task."""
    frozen: FloatArray
    """(L, T) fraction of the seeds that take the frozen branch; without entries where no run has one."""


def configuration_name(digits: str) -> str | None:
    """Return the name of a static configuration, as presets have it; None for others.

    >>> configuration_name("0011"), configuration_name("222"), configuration_name("0110")
    ('top-2', 'frozen', None)
    """
    layers = len(digits)
    names = static_names(layers, branches=len(BRANCHES))
    known = {name(named(text, layers, branches=len(BRANCHES))): text for text in reversed(names)}
    return known.get(digits)


def choices(runs: Sequence[Run], *, most: int = MOST_CONFIGURATIONS, searched: bool = True) -> list[Choices]:
    """Count the configurations that every learner chose, and how often it shares each layer.

    Args:
        runs: Runs of any learners.
        most: Largest number of configurations to list; the others are summed.
        searched: Leave out learners whose configuration is set, not searched.
    """
    groups = [group for group in same_spec(runs) if not searched or _searched(group[0])]
    rows = [
        (label, group, [digits for run in group for digits in run.configurations if digits])
        for label, group in labelled(groups)
    ]
    return [_choices(label, group, found, most) for label, group, found in rows if found]


def shared_fractions(runs: Sequence[Run]) -> list[SharedFractions]:
    """Make the share map of every learner with configurations, the mean over its seeds."""
    maps = [_shared(label, group) for label, group in labelled(same_spec(runs))]
    return [shared for shared in maps if shared.shared.size]


def _choices(label: str, group: Group, rows: Sequence[str], most: int) -> Choices:
    ranked = sorted(Counter(rows).items(), key=lambda item: (-item[1], -item[0].count(str(SHARED)), item[0]))
    top = [Choice(digits, configuration_name(digits), count / len(rows)) for digits, count in ranked[:most]]
    rest = sum(count for _, count in ranked[most:]) / len(rows)
    depth = max(map(len, rows))

    def fractions(digit: int) -> list[float]:
        return [sum(row[layer : layer + 1] == str(digit) for row in rows) / len(rows) for layer in range(depth)]

    return Choices(
        label=label,
        seeds=len(group),
        tasks=len(rows),
        most=top,
        others=max(0, len(ranked) - most),
        rest=rest,
        layers=fractions(SHARED),
        frozen=fractions(FROZEN) if any(run.branches > FROZEN for run in group) else [],
    )


def _shared(label: str, group: Group) -> SharedFractions:
    longest = max(group, key=lambda run: len(run.configurations))
    shared = _fractions(group, SHARED, tasks=len(longest.configurations))
    offered = any(run.branches > FROZEN for run in group)
    frozen = _fractions(group, FROZEN, tasks=len(longest.configurations)) if offered else np.empty((0, 0))
    return SharedFractions(label, len(group), longest.task_names, shared, frozen)


def _fractions(group: Group, digit: int, *, tasks: int) -> FloatArray:
    """Return the fraction of the seeds whose digit is this one, (L, T); NaN where no seed has committed the task."""
    rows = [run.configurations for run in group]
    depth = max((len(digits) for row in rows for digits in row if digits), default=0)
    values = np.full((len(group), depth, tasks), np.nan)
    for r, row in enumerate(rows):
        for t, digits in enumerate(row):
            if digits:
                values[r, : len(digits), t] = [found == str(digit) for found in digits]
    known = (~np.isnan(values)).sum(0)
    return np.divide(np.nansum(values, axis=0), known, out=np.full(known.shape, np.nan), where=known > 0)


def _searched(run: Run) -> bool:
    """Return whether a run chose among several configurations. Without a spec, its records decide."""
    strategy = run.setting("learner", "strategy")
    return strategy != "fixed" if strategy else any(record.prior for task in run.tasks for record in task.epochs)
