"""Statistics of the chosen configurations: the most frequent ones, and how often each layer is shared."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lasem.configurations import name, named, static_names
from lasem.metrics import FloatArray
from lasem.report._groups import Group, labelled, same_spec
from lasem.report._run import Run

MOST_CONFIGURATIONS = 8
"""Largest number of bars in a histogram, as in figure 8 of the paper."""


class Choice(NamedTuple):
    """A configuration that some tasks chose."""

    bits: str
    """One character per layer, 1 = shared, the layer nearest the input first."""
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


class SharedFractions(NamedTuple):
    """How often each layer is shared, task by task, over seeds."""

    label: str
    seeds: int
    tasks: list[str]
    shared: FloatArray
    """(L, T) fraction of the seeds that share; NaN where no seed has committed the task."""


def configuration_name(bits: str) -> str | None:
    """Return the name of a static configuration, as presets have it; None for others.

    >>> configuration_name("0011"), configuration_name("0110")
    ('top-2', None)
    """
    known = {name(named(text, len(bits))): text for text in reversed(static_names(len(bits)))}
    return known.get(bits)


def choices(runs: Sequence[Run], *, most: int = MOST_CONFIGURATIONS, searched: bool = True) -> list[Choices]:
    """Count the configurations that every learner chose, and how often it shares each layer.

    Args:
        runs: Runs of any learners.
        most: Largest number of configurations to list; the others are summed.
        searched: Leave out learners whose configuration is set, not searched.
    """
    groups = [group for group in same_spec(runs) if not searched or _searched(group[0])]
    rows = [
        (label, group, [bits for run in group for bits in run.configurations if bits])
        for label, group in labelled(groups)
    ]
    return [_choices(label, len(group), found, most) for label, group, found in rows if found]


def shared_fractions(runs: Sequence[Run]) -> list[SharedFractions]:
    """Make the share map of every learner with configurations, the mean over its seeds."""
    maps = [_shared(label, group) for label, group in labelled(same_spec(runs))]
    return [shared for shared in maps if shared.shared.size]


def _choices(label: str, seeds: int, rows: Sequence[str], most: int) -> Choices:
    ranked = sorted(Counter(rows).items(), key=lambda item: (-item[1], -item[0].count("1"), item[0]))
    top = [Choice(bits, configuration_name(bits), count / len(rows)) for bits, count in ranked[:most]]
    rest = sum(count for _, count in ranked[most:]) / len(rows)
    depth = max(map(len, rows))
    layers = [sum(bits[layer : layer + 1] == "1" for bits in rows) / len(rows) for layer in range(depth)]
    return Choices(label, seeds, len(rows), top, max(0, len(ranked) - most), rest, layers)


def _shared(label: str, group: Group) -> SharedFractions:
    rows = [run.configurations for run in group]
    longest = max(group, key=lambda run: len(run.configurations))
    depth = max((len(bits) for row in rows for bits in row if bits), default=0)
    values = np.full((len(group), depth, len(longest.configurations)), np.nan)
    for r, row in enumerate(rows):
        for t, bits in enumerate(row):
            if bits:
                values[r, : len(bits), t] = [int(bit) for bit in bits]
    known = (~np.isnan(values)).sum(0)
    shared = np.divide(np.nansum(values, axis=0), known, out=np.full(known.shape, np.nan), where=known > 0)
    return SharedFractions(label, len(group), longest.task_names, shared)


def _searched(run: Run) -> bool:
    """Return whether a run chose among several configurations. Without a spec, its records decide."""
    strategy = run.setting("learner", "strategy")
    return strategy != "fixed" if strategy else any(record.prior for task in run.tasks for record in task.epochs)
