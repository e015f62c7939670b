"""The data of growth: what learners hold as tasks arrive, and the units of networks that grow."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lasem.metrics import spread
from lasem.report._collect import Run, same_spec
from lasem.report._history import history
from lasem.report._series import Band, group_labels


class GrowthCurves(NamedTuple):
    """Of one learner, over the tasks that it has learned, from 1; means over seeds."""

    label: str
    parameters: Band
    """Numbers held for all tasks."""
    units: list[Band]
    """Of every hidden layer, nearest the input first, all tasks together; empty where widths are fixed."""


def growth(runs: Sequence[Run]) -> list[GrowthCurves]:
    """One per learner whose records tell what it holds, over the tasks that all its seeds have learned."""
    groups = same_spec(runs)
    found = [_curves(label, group) for label, group in zip(group_labels(groups), groups, strict=True)]
    return [curves for curves in found if curves.parameters.x]


def _curves(label: str, group: Sequence[Run]) -> GrowthCurves:
    held = [[task.evaluation.parameters for task in history(run) if task.evaluation] for run in group]
    units = [[task.decision.units for task in history(run) if task.decision and task.evaluation] for run in group]
    known = [[value for value in row if value is not None] for row in held]
    widths = [[value for value in row if value is not None] for row in units]
    layers = min((len(value) for row in widths for value in row), default=0)
    return GrowthCurves(
        label=label,
        parameters=_band(label, known),
        units=[_band(f"layer {i + 1}", [[value[i] for value in row] for row in widths]) for i in range(layers)],
    )


def _band(label: str, rows: Sequence[Sequence[int]]) -> Band:
    """The mean over seeds, after as many tasks as all of them have learned."""
    spreads = [spread(values) for values in zip(*rows, strict=False)]
    return Band(
        label=label,
        seeds=len(rows),
        x=list(range(1, len(spreads) + 1)),
        mean=[values.mean for values in spreads],
        half_width=[None if np.isnan(values.half_width) else values.half_width for values in spreads],
    )
