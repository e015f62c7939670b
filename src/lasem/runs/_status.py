"""Fields of events that describe a search, or a network that grows."""

from typing import TypedDict

import numpy as np

from lasem.configurations import indexed
from lasem.learners import Growth, SearchStatus
from lasem.records import MOST_CANDIDATES


def candidate_names(status: SearchStatus | None) -> list[str] | None:
    """Return the names of the candidates, unless they are simply their indices as digits of the branches."""
    if status is None or status.drawn:
        return None
    groups, branches = len(status.marginals), _branches(status)
    if len(status.names) != branches**groups:
        return status.names
    full = all(indexed(index, groups, branches=branches) == found for index, found in enumerate(status.names))
    return None if full else status.names


class SearchFields(TypedDict, total=False):
    """Fields of an `EpochRecord` that describe a search."""

    prior: list[tuple[int, float]]
    marginals: list[float]
    branch_marginals: list[tuple[float, float, float]]
    entropy: float
    margin: float
    spread: float
    evaluated: float
    learned: float
    skipped: float


def search_fields(status: SearchStatus | None) -> SearchFields:
    """Return the fields of an epoch's record that describe the search."""
    if status is None:
        return {}
    fields: SearchFields = {}
    effort, candidates = status.effort, len(status.names)
    if effort is not None and effort.steps and effort.learned < effort.steps * candidates:
        fields["evaluated"] = effort.evaluated / effort.steps
        fields["learned"] = effort.learned / effort.steps
        fields["skipped"] = effort.skipped
    if status.spread is not None:
        fields["spread"] = _rounded(status.spread)
    most = np.sort(np.argsort(-status.prior, kind="stable")[:MOST_CANDIDATES])
    if status.branch_marginals is not None:
        rows = ((_rounded(own), _rounded(shared), _rounded(kept)) for own, shared, kept in status.branch_marginals)
        fields["branch_marginals"] = list(rows)
    return fields | {
        # drawn candidates change, so each is recorded by its index in the space of all configurations
        "prior": [
            (
                int(status.names[index], _branches(status)) if status.drawn else int(index),
                _rounded(float(status.prior[index])),
            )
            for index in most
        ],
        "marginals": [_rounded(float(value)) for value in status.marginals],
        "entropy": status.entropy,
        "margin": _rounded(status.margin),
    }


def _branches(status: SearchStatus) -> int:
    """Return the number of branches of every group."""
    return 2 if status.branch_marginals is None else status.branch_marginals.shape[1]


class GrowthFields(TypedDict, total=False):
    """Fields of an `EpochRecord` that describe how a network grows."""

    phase: str | None
    units: list[int]


def growth_fields(growth: Growth | None) -> GrowthFields:
    """Return the fields of an epoch's record that tell how far a network has grown."""
    return {} if growth is None else {"phase": growth.phase, "units": growth.units}


class DecidedGrowthFields(TypedDict, total=False):
    """Fields of a `DecisionRecord` that tell how a task has changed a network that grows."""

    units: list[int]
    selected: list[int] | None
    expanded: list[int] | None
    split: list[int] | None


def decided_growth(growth: Growth | None) -> DecidedGrowthFields:
    """Return the fields of a decision's record that tell how the task has changed a network that grows."""
    if growth is None:
        return {}
    return {
        "units": growth.units,
        "selected": growth.selected,
        "expanded": growth.expanded,
        "split": growth.split,
    }


def _rounded(value: float) -> float:
    """Round to six significant digits, which suffice for drawing and take a third of the bytes."""
    return float(f"{value:.6g}")
