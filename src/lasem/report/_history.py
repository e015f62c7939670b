"""The tasks of a run and its measures, as far as the run has come."""

from collections.abc import Sequence

from lasem.records import Measures, TaskHistory, measures_of
from lasem.report._collect import Run


def history(run: Run) -> list[TaskHistory]:
    """Return the tasks that a run has begun, by position."""
    return run.history.tasks


def measured(run: Run, tasks: Sequence[TaskHistory]) -> Measures:
    """Return the run's result, or the same measures of what it did so far, which its records tell better."""
    if run.result is not None and (run.finished or not tasks):
        return run.result
    return measures_of(run.history, reference="peak" if run.setting("evaluation", "reference") == "peak" else "end")


def committed(run: Run, tasks: Sequence[TaskHistory]) -> list[str | None]:
    """Return the configuration of every task, one bit per layer, first layer first; None without one."""
    if run.result is not None and (run.finished or not tasks):
        bits = run.result.configurations or [None] * len(run.result.tasks)
    else:
        bits = run.history.configurations
    return [None if row is None else "".join(map(str, row)) for row in bits]
