"""The accuracy matrix: test accuracy of every task after every task."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lasem.metrics import FloatArray
from lasem.report._groups import group_labels, same_spec
from lasem.report._run import Run


class AccuracyMatrix(NamedTuple):
    """Accuracy matrix of one learner, mean over seeds."""

    label: str
    seeds: int
    accuracy: FloatArray
    """(T, T): test accuracy of task j (column) after task i (row); NaN where it was not measured."""


def accuracy_matrices(runs: Sequence[Run]) -> list[AccuracyMatrix]:
    """Average the matrix of every learner; of unfinished runs over the tasks that all of them have begun."""
    groups = same_spec(runs)
    matrices = []
    for label, group in zip(group_labels(groups), groups, strict=True):
        found = [_matrix(run) for run in group]
        tasks = min(map(len, found))
        if tasks:
            matrices.append(AccuracyMatrix(label, len(group), np.mean([m[:tasks, :tasks] for m in found], axis=0)))
    return matrices


def _matrix(run: Run) -> FloatArray:
    rows = run.measures.accuracy
    return np.array(rows, dtype=float).reshape(len(rows), len(rows))  # None becomes NaN
