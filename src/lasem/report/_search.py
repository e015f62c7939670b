"""The data of a search, task by task: the probability of every configuration, and of every group to share."""

from collections.abc import Sequence
from typing import NamedTuple

from lasem.records import TaskHistory
from lasem.report._collect import Run
from lasem.report._curves import Line, group_names, thinned
from lasem.report._history import history
from lasem.report._series import num_candidates


class TaskSearch(NamedTuple):
    """How the search of one task went, by the epochs of the task."""

    position: int
    name: str
    size: int
    """Number of configurations, K."""
    candidates: list[Line]
    """Every configuration that a record names; None where a record, which keeps the most probable, left it out."""
    chosen: str | None
    """The one that was most probable at the end."""
    epochs: list[int]
    """(E,) of the marginals."""
    groups: list[str]
    marginals: list[list[float]]
    """(G, E): probability that a group shares, the group with the lowest layer first."""


def task_searches(run: Run) -> list[TaskSearch]:
    """The searches of a run, in order; none for a run that searches nothing by probability."""
    return [_search(run, task) for task in history(run) if any(record.prior for record in task.chosen)]


def leading(searches: Sequence[TaskSearch], most: int) -> list[str]:
    """Configurations by the highest probability that they reach in any task, highest first."""
    peaks: dict[str, float] = {}
    for search in searches:
        for line in search.candidates:
            highest = max((y for y in line.y if y is not None), default=0.0)
            peaks[line.label] = max(peaks.get(line.label, 0.0), highest)
    return sorted(peaks, key=lambda label: (-peaks[label], label))[:most]


def _search(run: Run, task: TaskHistory) -> TaskSearch:
    records = [record for record in task.chosen if record.prior]
    by_record = [dict(record.prior or ()) for record in records]
    last = by_record[-1]
    keep = thinned([max(values.values()) for values in by_record])
    epochs = [records[i].task_epoch for i in keep]
    indices = sorted({index for values in by_record for index in values})
    lines = [Line(task.candidate(index), list(epochs), [by_record[i].get(index) for i in keep]) for index in indices]
    mixed = [records[i] for i in keep if records[i].marginals]
    marginals = [list(values) for values in zip(*(record.marginals or () for record in mixed), strict=True)]
    return TaskSearch(
        position=task.position,
        name=task.name,
        size=num_candidates(task, records[-1]),
        candidates=lines,
        chosen=task.candidate(max(last, key=lambda index: last[index])),
        epochs=[record.task_epoch for record in mixed],
        groups=group_names(run, len(marginals)),
        marginals=marginals,
    )
