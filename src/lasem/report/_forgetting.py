"""Forgetting as tasks arrive: by learner, and for all layers shared, the best static configuration and LASEM."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lasem.metrics import spread
from lasem.report._curves import Band, band
from lasem.report._groups import Group, finished_groups, group_labels, same_spec, stream_key
from lasem.report._run import Run


class ForgettingPanel(NamedTuple):
    """One mechanism on one stream."""

    benchmark: str
    mechanism: str
    reference: str
    """The accuracy in a task's own training that ratios refer to: at its "end", or its "peak"."""
    shared: Band | None
    """Ratio where all layers are shared; None without such a run."""
    best_static: Band | None
    """Ratio of the static configuration with the best peak accuracy; None without one."""
    searched: list[Band]
    """Ratios of LASEM, one per partition that it searched."""
    missing: tuple[str, ...]
    """Presets whose runs the panel lacks."""


def forgetting_bands(runs: Sequence[Run]) -> list[Band]:
    """Average the forgetting ratio over the seeds of every learner, after every task but the first."""
    groups = same_spec(runs)
    bands = [_band(label, group) for label, group in zip(group_labels(groups), groups, strict=True)]
    return [curve for curve in bands if curve.x]


def forgetting_panels(runs: Sequence[Run]) -> list[ForgettingPanel]:
    """Make a panel per stream, network and mechanism that finished runs of these three kinds belong to (figure 9)."""
    panels: dict[tuple[object, ...], list[Group]] = {}
    for group in finished_groups(runs):
        if _role(group):
            where = (*stream_key(group), group[0].network, group[0].mechanism)
            panels.setdefault(where, []).append(group)
    return [_panel(groups) for groups in panels.values()]


def _role(group: Group) -> str | None:
    static = group[0].static_configuration
    if group[0].strategy == "em":
        return "searched"
    return None if static in (None, "none") else "all" if static == "all" else "static"


def _panel(groups: Sequence[Group]) -> ForgettingPanel:
    run = groups[0][0]
    roles = {role: [group for group in groups if _role(group) == role] for role in ("all", "static", "searched")}
    best = max(roles["static"], key=_peak, default=None)
    wanted = {"all": "", "static": "-top-1 (or another static configuration)", "searched": ""}
    missing = [
        f"{run.benchmark}/{'lasem-' if role == 'searched' else ''}{run.mechanism}{more}"
        for role, more in wanted.items()
        if not roles[role]
    ]
    several = len(roles["searched"]) > 1
    names = [f"LASEM ({group[0].learner})" if several else "LASEM" for group in roles["searched"]]
    return ForgettingPanel(
        benchmark=run.benchmark,
        mechanism=run.mechanism,
        reference=run.measures.forgetting_ratio.reference,
        shared=_band("all layers", roles["all"][0]) if roles["all"] else None,
        best_static=_band(f"best static ({best[0].static_configuration})", best) if best else None,
        searched=[_band(name, group) for name, group in zip(names, roles["searched"], strict=True)],
        missing=tuple(missing),
    )


def _peak(group: Group) -> float:
    """Mean peak accuracy, by which static configurations are ranked; -1 where it is not known."""
    mean = spread([run.measures.peak_accuracy.validation.mean for run in group]).mean
    return -1.0 if np.isnan(mean) else mean


def _band(label: str, group: Group) -> Band:
    """The mean over seeds after every task that has a ratio."""
    curves = [run.measures.forgetting_ratio.curve for run in group]
    spreads = {k: spread(values) for k, values in enumerate(zip(*curves, strict=False), start=1)}
    known = {k: values for k, values in spreads.items() if values.runs}
    return band(label, list(known), list(known.values()), seeds=len(group))
