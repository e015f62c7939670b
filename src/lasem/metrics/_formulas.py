"""Measures of accuracy matrices and learning curves as pure functions, and the spread over runs.

Sources:
    LeeStokesEaton2019: Learning shared knowledge for deep lifelong learning using deconvolutional networks. IJCAI.
    LopezPazRanzato2017: Gradient episodic memory for continual learning. NeurIPS.
    Chaudhry2018: Riemannian walk for incremental learning: understanding forgetting and intransigence. ECCV.
    Yoon2020: Scalable and order-robust continual learning with additive parameter decomposition. ICLR.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lasem.metrics._student import central_quantile

FloatArray = NDArray[np.float64]


class LearningCurve(NamedTuple):
    """Accuracies during a task's own training. Item e belongs to epoch e + 1; NaN where it was not measured."""

    valid: FloatArray
    """Validation accuracy after each epoch, (E,)."""
    test: FloatArray
    """Test accuracy after each epoch, (E,)."""


class Peak(NamedTuple):
    """Best test accuracy of a task, with the epoch selected by validation and by test accuracy."""

    validation: float
    test: float


class OrderDisparity(NamedTuple):
    """How much the accuracy of tasks depends on their order, as differences of fractions."""

    per_task: FloatArray
    """Difference between the best and the worst accuracy over the orders, (T,)."""
    mean: float
    """Mean over tasks: the average order-normalized performance disparity (AOPD)."""
    largest: float
    """Largest of all tasks: the maximum order-normalized performance disparity (MOPD)."""


class Spread(NamedTuple):
    """Mean over runs, with its uncertainty."""

    runs: int
    mean: float
    deviation: float
    """Sample standard deviation; NaN for a single run."""
    half_width: float
    """The confidence interval is mean +- half_width; NaN for a single run."""


def accuracy_matrix(rows: Mapping[int, Sequence[float]], num_tasks: int) -> FloatArray:
    """Arrange evaluations as R.

    Args:
        rows: After the task at position i, the test accuracies of positions 0 to i.
        num_tasks: T.

    Returns:
        (T, T), NaN where nothing was measured.
    """
    matrix = np.full((num_tasks, num_tasks), np.nan)
    for i, row in rows.items():
        matrix[i, : len(row)] = row
    return matrix


def latest_visits(identities: Sequence[int]) -> list[int]:
    """Return the position of every task's latest visit, in ascending order.

    >>> latest_visits([0, 1, 2, 0])
    [1, 2, 3]
    """
    return sorted({identity: position for position, identity in enumerate(identities)}.values())


def peak_accuracy(curve: LearningCurve) -> Peak:
    """Return the best test accuracy during the task's own training.

    Epochs without a test accuracy are not candidates; of equally good epochs the first is taken.
    """
    measured = ~np.isnan(curve.test)
    valid = np.where(measured, curve.valid, np.nan)
    by_validation = np.nan if np.isnan(valid).all() else curve.test[np.nanargmax(valid)]
    by_test = np.nanmax(curve.test) if measured.any() else np.nan
    return Peak(float(by_validation), float(by_test))


def epochs_to_fraction(curve: LearningCurve, fraction: float = 0.98) -> int | None:
    """Return the first epoch, from 1, that reaches a fraction of the best test accuracy; None if that is 0."""
    best = peak_accuracy(curve).test
    if not best > 0:
        return None
    slack = 1e-12  # 0.98 * 0.7 may come out above an accuracy that equals it
    return int(np.flatnonzero(curve.test >= fraction * best - slack)[0]) + 1


def final_accuracy(accuracy: FloatArray, identities: Sequence[int] | None = None) -> float:
    """Return the mean accuracy of all tasks once the stream has ended, from the last row: (T, T) -> fraction."""
    return _mean(accuracy[-1, latest_visits(_identities(accuracy, identities))]) if len(accuracy) else np.nan


def average_incremental_accuracy(accuracy: FloatArray, identities: Sequence[int] | None = None) -> float:
    """Return the mean over i of the mean accuracy of the tasks up to i: (T, T) -> fraction."""
    known = _identities(accuracy, identities)
    return _mean(np.array([_mean(accuracy[i, latest_visits(known[: i + 1])]) for i in range(len(accuracy))]))


def forgetting_ratios(
    accuracy: FloatArray, references: FloatArray, *, identities: Sequence[int] | None = None
) -> FloatArray:
    """Return the catastrophic forgetting ratio of every earlier task, R[T-1, t] / reference_t [LeeStokesEaton2019].

    Below 1 is forgetting, above 1 positive backward transfer.

    Args:
        accuracy: (T, T).
        references: (T,) accuracy of each task in its own training: at its end, R[t, t], or at its peak.
        identities: Number of the task at each position; all different where omitted.

    Returns:
        (T,) by position; NaN for the last task, for an earlier visit, and where the reference is 0.
    """
    ratios = np.full(len(accuracy), np.nan)
    earlier = [t for t in earlier_tasks(_identities(accuracy, identities)) if references[t] > 0]
    if earlier:
        ratios[earlier] = accuracy[-1, earlier] / references[earlier]
    return ratios


def forgetting_ratio_curve(
    accuracy: FloatArray, references: FloatArray, *, identities: Sequence[int] | None = None
) -> FloatArray:
    """Return the mean forgetting ratio as tasks arrive: (T, T), (T,) -> (T-1,), with item k-1 after task k."""
    known = _identities(accuracy, identities)
    after = [forgetting_ratios(accuracy[:k], references, identities=known[:k]) for k in range(2, len(accuracy) + 1)]
    return np.array([defined_mean(ratios) for ratios in after])


def backward_transfer(accuracy: FloatArray, identities: Sequence[int] | None = None) -> float:
    """Return the mean over earlier tasks of R[T-1, t] - R[t, t] [LopezPazRanzato2017]: (T, T) -> difference."""
    earlier = earlier_tasks(_identities(accuracy, identities))
    return _mean(accuracy[-1, earlier] - accuracy[earlier, earlier]) if earlier else np.nan


def forgetting(accuracy: FloatArray, identities: Sequence[int] | None = None) -> float:
    """Return the mean over earlier tasks of max_i R[i, t] - R[T-1, t], t <= i < T-1 [Chaudhry2018], from (T, T)."""
    earlier = earlier_tasks(_identities(accuracy, identities))
    return _mean(np.array([accuracy[t:-1, t].max() - accuracy[-1, t] for t in earlier]))


def forward_transfer(accuracy: FloatArray, stl: FloatArray, *, identities: Sequence[int] | None = None) -> float:
    """Return the mean over t > 0 of R[t, t] - stl[t]: what a task gains over learning alone.

    [LopezPazRanzato2017] compares with an untrained network; a new task's head is new, so that form says nothing here.

    Args:
        accuracy: (T, T).
        stl: (T,) accuracy of single-task learning at the end of each task's training, with the same seeds.
        identities: Number of the task at each position; all different where omitted.
    """
    later = [t for t in latest_visits(_identities(accuracy, identities)) if t > 0]
    return _mean(accuracy[later, later] - stl[later])


def order_disparity(accuracy: FloatArray) -> OrderDisparity:
    """Return how much the final accuracy of each task depends on the order of tasks [Yoon2020].

    The disparity of a task is the difference between its best and its worst accuracy over the orders.

    Args:
        accuracy: (orders, T) accuracy of every task at the end of the stream, by identity and not by position.

    >>> order_disparity(np.array([[0.5, 0.75], [0.75, 0.25]])).mean
    0.375
    """
    disparity = accuracy.max(0) - accuracy.min(0)
    return OrderDisparity(disparity, mean=_mean(disparity), largest=float(disparity.max(initial=0.0)))


def spread(values: Sequence[float | None], confidence: float = 0.95) -> Spread:
    """Return mean, sample deviation and Student t interval over runs, without values that are None or NaN.

    >>> spread([0.5, 0.7]).mean
    0.6
    """
    known = np.array([value for value in values if value is not None and not np.isnan(value)])
    count = len(known)
    if count < 2:
        return Spread(count, _mean(known), np.nan, np.nan)
    deviation = float(known.std(ddof=1))
    quantile = central_quantile(confidence, count - 1)
    return Spread(count, _mean(known), deviation, quantile * deviation / count**0.5)


def distinguishable(differences: Sequence[float], confidence: float = 0.95) -> bool:
    """Return whether paired differences, (R,), have a mean other than 0, by a two-sided t test.

    >>> distinguishable([0.1, 0.12, 0.08, 0.11, 0.09]), distinguishable([0.1, -0.1, 0.05, 0.0, -0.04])
    (True, False)
    """
    found = spread(differences, confidence)
    return found.mean != 0 and abs(found.mean) > found.half_width


def _identities(accuracy: FloatArray, identities: Sequence[int] | None) -> list[int]:
    return list(range(len(accuracy))) if identities is None else list(identities)


def earlier_tasks(identities: Sequence[int]) -> list[int]:
    """Return the positions of the latest visits, without the last one."""
    return latest_visits(identities)[:-1]


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else np.nan


def defined_mean(values: FloatArray) -> float:
    """Return the mean of the values that are not NaN; NaN where there is none."""
    return _mean(values[~np.isnan(values)])
