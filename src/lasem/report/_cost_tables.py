"""The tables of time and memory."""

from collections.abc import Sequence

import numpy as np

from lasem.metrics import Spread, spread
from lasem.report._comparison import UNKNOWN, duration
from lasem.report._costs import all_shared, memory
from lasem.report._groups import Group, finished_groups, group_labels
from lasem.report._published import published_result
from lasem.report._run import Run
from lasem.report._table import Column, Table, make_table


def time_table(runs: Sequence[Run], *, deviation: bool = False) -> Table:
    """Compare the wall-clock time of finished learners (appendix D)."""
    groups = finished_groups(runs)
    training = [spread([run.training_seconds for run in group]) for group in groups]
    per_task = [_scaled(values, 1 / (group[0].num_tasks or 1)) for values, group in zip(training, groups, strict=True)]
    evaluation = [spread([run.evaluation_seconds for run in group]) for group in groups]
    paper = [published_result(group[0]) for group in groups]

    def texts(spreads: Sequence[Spread]) -> list[str]:
        return [duration(values._replace(half_width=values.deviation) if deviation else values) for values in spreads]

    columns = (
        Column("learner", "learner", group_labels(groups), words=True),
        Column("runs", "seeds", [len(group) for group in groups]),
        Column(
            "paper-seconds", "paper: training", [duration(spread([item.seconds])) if item else "" for item in paper]
        ),
        Column("seconds", "training", texts(training), training),
        Column("seconds-per-task", "per task", texts(per_task), per_task),
        Column("evaluation-seconds", "evaluation", texts(evaluation), evaluation),
        Column("relative", "of all shared", [_relative(group, groups) for group in groups]),
        Column("device", "device", [_devices(group) for group in groups], words=True),
    )
    around = "sample standard deviation" if deviation else "95% interval"
    note = (
        f"wall clock, mean ± {around} over seeds; of all shared = training time over that of the same mechanism sharing"
        f" all layers{'; the paper measured on a Core i7 with two 1080 Ti' if any(paper) else ''}"
    )
    return make_table("Time", columns, note)


def memory_table(runs: Sequence[Run], *, deviation: bool = False) -> Table:
    """Compare the parameters of finished learners (appendix E); means over seeds, which differ by choices alone."""
    rows = memory(runs)
    columns = (
        Column("learner", "learner", [row.label for row in rows], words=True),
        Column("runs", "seeds", [row.seeds for row in rows]),
        Column("shared", "shared, S", [_count(row.shared) for row in rows]),
        Column("per-task", "per task", [_count(row.per_task) for row in rows]),
        Column("end", "at the end", [_count(row.end) for row in rows]),
        Column("most", "at most", [_count(row.most) for row in rows]),
        Column("bound", "bound", [_count(row.bound) for row in rows]),
        Column("bound-is", "bound is", [row.bound_text for row in rows], words=True),
    )
    missing = sorted({name for row in rows for name in row.missing})
    lacking = f"; for a bound these runs are missing: {', '.join(missing)}" if missing else ""
    note = (
        "numbers of parameters; at most = while the last task is learned, without the copy that rolling back needs; A"
        f" and B are what a task adds that shares no layer and all layers, T is the number of tasks{lacking}"
    )
    return make_table("Memory", columns, note)


def _scaled(values: Spread, factor: float) -> Spread:
    return Spread(
        values.runs, values.mean * factor, deviation=values.deviation * factor, half_width=values.half_width * factor
    )


def _relative(group: Group, groups: Sequence[Group]) -> str:
    """Training time over that of sharing all layers."""
    reference = all_shared(group, groups)
    if reference is None:
        return UNKNOWN
    ours, theirs = (spread([run.training_seconds for run in runs]).mean for runs in (group, reference))
    return UNKNOWN if np.isnan(ours / theirs) else f"{ours / theirs:.2f}x"


def _devices(group: Group) -> str:
    return ", ".join(sorted({str(run.environment.get("device_name", UNKNOWN)) for run in group}))


def _count(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"
