"""What tables and figures compare of a run: its measures, its time, the parameters that it held."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from lasem.metrics import Measures
from lasem.records import Parameters, Result
from lasem.report._collect import Run
from lasem.report._history import history, measured


class Facts(NamedTuple):
    """What the columns of the tables read of one run."""

    measures: Measures
    seconds: float | None
    """Training time, without evaluation."""
    parameters: int | None
    """Held at the end, shared and of all tasks."""
    evaluation_seconds: float | None = None
    counts: Parameters | None = None
    """None while a run is not finished."""


def facts(run: Run) -> Facts:
    """Read them, of a finished run from its result, else from its records."""
    tasks = history(run)
    found = measured(run, tasks)
    if isinstance(found, Result):
        counts, seconds = found.parameters, found.seconds
        held = counts.shared + sum(counts.per_task)
        return Facts(found, seconds.training, held, seconds.evaluation, counts)
    records = [record for task in tasks for record in task.epochs]
    training = sum(record.training_seconds for record in records) if records else None
    tested = sum(record.evaluation_seconds for record in records) if records else None
    return Facts(found, training, None, tested)


def num_learned(measures: Measures) -> int:
    """Number of tasks whose training has ended."""
    return sum(row[i] is not None for i, row in enumerate(measures.accuracy))


def stream_key(group: Sequence[Run]) -> tuple[object, ...]:
    """What a group of runs was trained on: rows are compared on equal streams."""
    return json.dumps(group[0].spec.get("benchmark"), sort_keys=True, default=str), group[0].setting("seeds", "stream")


def seeds(run: Run) -> tuple[object, ...]:
    """What pairs a run with one of another learner."""
    return run.setting("seeds", "data"), run.seed
