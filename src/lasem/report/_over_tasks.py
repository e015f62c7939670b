"""What changes as tasks arrive: the accuracy of earlier tasks, forgetting, and the size of what is stored."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lasem.metrics import FloatArray, spread
from lasem.report._curves import Band, band
from lasem.report._groups import Group, finished_groups, labelled, same_spec, stream_key
from lasem.report._run import Run


class AccuracyMatrix(NamedTuple):
    """Accuracy matrix of one learner, mean over seeds."""

    label: str
    seeds: int
    accuracy: FloatArray
    """(T, T): test accuracy of task j (column) after task i (row); NaN where it was not measured."""


class ForgettingPanel(NamedTuple):
    """Learners with one mechanism on one stream, or all learners of a stream where there is only one mechanism."""

    title: str
    bands: list[Band]
    """Forgetting ratio of every learner."""
    roles: list[str]
    """For every band "all" or "static" where a static configuration of the paper's figure is drawn, else ""."""


class GrowthCurves(NamedTuple):
    """Growth of one learner by the number of tasks that it has learned, from 1; means over seeds."""

    label: str
    parameters: Band
    """Numbers of parameters for all tasks together."""
    units: list[Band]
    """Units of every hidden layer, nearest the input first; empty where widths are fixed."""


def accuracy_matrices(runs: Sequence[Run]) -> list[AccuracyMatrix]:
    """Average the matrix of every learner; of unfinished runs over the tasks that all of them have begun."""
    matrices = []
    for label, group in labelled(same_spec(runs)):
        found = [np.array(run.measures.accuracy, dtype=float) for run in group]  # None becomes NaN
        tasks = min(map(len, found))
        if tasks:
            matrices.append(AccuracyMatrix(label, len(group), np.mean([m[:tasks, :tasks] for m in found], axis=0)))
    return matrices


def forgetting_bands(runs: Sequence[Run]) -> list[Band]:
    """Average the forgetting ratio over the seeds of every learner, after every task but the first."""
    return [curve for label, group in labelled(same_spec(runs)) if (curve := _ratios(label, group)).x]


def forgetting_panels(runs: Sequence[Run]) -> list[ForgettingPanel]:
    """Make a panel per stream, network and mechanism of finished runs, with a line per learner (figure 9).

    Of several static configurations of a mechanism, the one with the best peak accuracy is drawn.
    """
    streams: dict[tuple[object, ...], list[tuple[str, Group]]] = {}
    for label, group in labelled(finished_groups(runs)):
        streams.setdefault((*stream_key(group), group[0].network), []).append((label, group))
    panels = []
    for found in streams.values():
        mechanisms = dict.fromkeys(_mechanism(group) for _, group in found)
        if len([name for name in mechanisms if name]) < 2:
            mechanisms = dict.fromkeys(["".join(name for name in mechanisms if name)])
            panels += [_panel(name, found) for name in mechanisms]
        else:
            panels += [_panel(name, [item for item in found if _mechanism(item[1]) == name]) for name in mechanisms]
    return [panel for panel in panels if panel.bands]


def growth(runs: Sequence[Run]) -> list[GrowthCurves]:
    """List the learners whose records count parameters, over the tasks that all their seeds have learned."""
    return [curves for label, group in labelled(same_spec(runs)) if (curves := _growth(label, group)).parameters.x]


def _mechanism(group: Group) -> str:
    """Name of the mechanism with which a group shares layers; empty where it shares none."""
    return group[0].mechanism if group[0].shares else ""


def _role(group: Group) -> str:
    run = group[0]
    if run.strategy in ("em", "drawn-em"):
        return "searched"
    return "" if run.searches or not run.shares else "all" if run.static_configuration == "all" else "static"


def _panel(mechanism: str, found: Sequence[tuple[str, Group]]) -> ForgettingPanel:
    """The panel of some groups. All layers, best static ones and LASEM are called so where no other line could be."""
    roles = {role: [group for _, group in found if _role(group) == role] for role in ("all", "static", "searched")}
    best = max(roles["static"], key=_peak, default=None)
    names = {"all": "all layers", "searched": "LASEM"}
    if best:
        names["static"] = f"best static ({best[0].static_configuration})"
    bands, drawn = [], []
    for label, group in sorted(found, key=lambda item: ("all", "static", "searched", "").index(_role(item[1]))):
        role = _role(group)
        if role == "static" and group is not best:
            continue
        single = role == "static" or len(roles.get(role, ())) == 1
        if (curve := _ratios(names[role] if role in names and single else label, group)).x:
            bands.append(curve)
            drawn.append(role if single and role != "searched" else "")
    benchmark = found[0][1][0].benchmark
    return ForgettingPanel(f"{mechanism or 'learners'} on {benchmark}", bands, drawn)


def _peak(group: Group) -> float:
    """Mean peak accuracy, by which static configurations are ranked; -1 where it is not known."""
    mean = spread([run.measures.peak_accuracy.validation.mean for run in group]).mean
    return -1.0 if np.isnan(mean) else mean


def _ratios(label: str, group: Group) -> Band:
    """The mean over seeds after every task that has a ratio."""
    curves = [run.measures.forgetting_ratio.curve for run in group]
    spreads = {k: spread(values) for k, values in enumerate(zip(*curves, strict=False), start=1)}
    known = {k: values for k, values in spreads.items() if values.runs}
    return band(label, list(known), list(known.values()), seeds=len(group))


def _growth(label: str, group: Group) -> GrowthCurves:
    ended = [[task for task in run.tasks if task.evaluation] for run in group]
    counts = [[task.evaluation.parameters for task in tasks if task.evaluation] for tasks in ended]
    units = [[task.decision.units for task in tasks if task.decision] for tasks in ended]
    known = [[count for count in row if count is not None] for row in counts]
    widths = [[layers for layers in row if layers is not None] for row in units]
    depth = min((len(layers) for row in widths for layers in row), default=0)
    return GrowthCurves(
        label=label,
        parameters=_counts(label, known),
        units=[_counts(f"layer {i + 1}", [[layers[i] for layers in row] for row in widths]) for i in range(depth)],
    )


def _counts(label: str, seeds: Sequence[Sequence[int]]) -> Band:
    """The mean over seeds, after as many tasks as all of them have learned."""
    spreads = [spread(values) for values in zip(*seeds, strict=False)]
    return band(label, range(1, len(spreads) + 1), spreads, seeds=len(seeds))
