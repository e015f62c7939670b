"""How parameters grow as tasks arrive, and the units of networks that grow."""

from collections.abc import Sequence
from typing import NamedTuple

from lasem.metrics import spread
from lasem.report._curves import Band, band
from lasem.report._groups import Group, group_labels, same_spec
from lasem.report._run import Run


class GrowthCurves(NamedTuple):
    """Growth of one learner by the number of tasks that it has learned, from 1; means over seeds."""

    label: str
    parameters: Band
    """Numbers of parameters for all tasks together."""
    units: list[Band]
    """Units of every hidden layer, nearest the input first; empty where widths are fixed."""


def growth(runs: Sequence[Run]) -> list[GrowthCurves]:
    """List the learners whose records count parameters, over the tasks that all their seeds have learned."""
    groups = same_spec(runs)
    found = [_curves(label, group) for label, group in zip(group_labels(groups), groups, strict=True)]
    return [curves for curves in found if curves.parameters.x]


def _curves(label: str, group: Group) -> GrowthCurves:
    ended = [[task for task in run.tasks if task.evaluation] for run in group]
    counts = [[task.evaluation.parameters for task in tasks if task.evaluation] for tasks in ended]
    units = [[task.decision.units for task in tasks if task.decision] for tasks in ended]
    known = [[count for count in row if count is not None] for row in counts]
    widths = [[layers for layers in row if layers is not None] for row in units]
    depth = min((len(layers) for row in widths for layers in row), default=0)
    return GrowthCurves(
        label=label,
        parameters=_band(label, known),
        units=[_band(f"layer {i + 1}", [[layers[i] for layers in row] for row in widths]) for i in range(depth)],
    )


def _band(label: str, seeds: Sequence[Sequence[int]]) -> Band:
    """The mean over seeds, after as many tasks as all of them have learned."""
    spreads = [spread(values) for values in zip(*seeds, strict=False)]
    return band(label, range(1, len(spreads) + 1), spreads, seeds=len(seeds))
