"""How the search of every task went: the probability of every configuration, and of every group to share."""

from collections.abc import Sequence
from typing import NamedTuple

from lasem.formats import ranges
from lasem.records import TaskHistory
from lasem.report._curves import MOST_POINTS, Line, num_candidates, thin, thinned
from lasem.report._run import Run

MOST_TURNS = 16
"""Most candidates that are drawn where candidates take turns."""


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


class TaskTurns(NamedTuple):
    """Candidates of one task that were trained in turn."""

    position: int
    name: str
    candidates: list[Line]
    """Validation accuracy by the epochs of a turn, of the candidates that validate best, best first."""


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
    return [f"layers {','.join(ranges(group))}" for group in partition.groups]


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
    )


def _turns(task: TaskHistory, most_points: int) -> TaskTurns:
    turns: dict[int, dict[int, float]] = {}
    for record in task.epochs:
        if record.candidate is not None:
            turns.setdefault(record.candidate, {})[record.task_epoch] = record.valid_accuracy
    best = sorted(turns, key=lambda candidate: -max(turns[candidate].values()))[:MOST_TURNS]
    lines = [thin(task.candidate(index), turns[index], most_points) for index in best]
    return TaskTurns(task.position, task.name, lines)
