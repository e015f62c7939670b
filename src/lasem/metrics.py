"""What the accuracies of a task stream say: peak accuracy, forgetting, transfer, and their spread over runs.

The accuracy matrix R is (T, T): R[i, j] is the test accuracy, a fraction, of the task at position j after the task at
position i was learned; NaN for j > i, and for what was not measured. A function that takes a matrix takes the tasks
learned so far: its last row is the present. Without a defined value it returns NaN, never 0; `measures` puts None
there, and the reason beside it.

A task may come back: positions of equal identity are visits of one task. The latest visit so far counts as the task's
own training, each task counts once in a mean, and a task that has just been visited again is not an earlier task.

Sources:
    LeeStokesEaton2019: Learning shared knowledge for deep lifelong learning using deconvolutional networks. IJCAI.
    LopezPazRanzato2017: Gradient episodic memory for continual learning. NeurIPS.
    Chaudhry2018: Riemannian walk for incremental learning: understanding forgetting and intransigence. ECCV.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

FloatArray = NDArray[np.float64]
Reference = Literal["end", "peak"]


class LearningCurve(NamedTuple):
    """Accuracies inside a task's own training: item e belongs to its epoch e + 1, NaN where not measured."""

    valid: FloatArray
    """(E,)"""
    test: FloatArray
    """(E,)"""


class Peak(NamedTuple):
    """A task's best test accuracy, by the two ways to select the epoch."""

    validation: float
    test: float


class Spread(NamedTuple):
    """Mean over runs, with its uncertainty."""

    runs: int
    mean: float
    deviation: float
    """Sample standard deviation; NaN for a single run."""
    half_width: float
    """The confidence interval is mean +- half_width; NaN for a single run."""


@dataclass(frozen=True)
class TaskSeries:
    """A measure per position in the stream and its mean over tasks; None where undefined."""

    per_task: list[float | None]
    mean: float | None


@dataclass(frozen=True)
class PeakSeries:
    """Peak per-task accuracy, the epoch selected by validation and by test accuracy."""

    validation: TaskSeries
    test: TaskSeries


@dataclass(frozen=True)
class RatioSeries(TaskSeries):
    """Catastrophic forgetting ratio at the end, and its mean as tasks arrive (item k - 1: after task k)."""

    curve: list[float | None]
    reference: Reference


@dataclass(frozen=True)
class Measures:
    """All measures of one run, named and nested as in a run's result, so that ``asdict`` fills one."""

    accuracy: list[list[float | None]]
    peak_accuracy: PeakSeries
    final_accuracy: float | None
    average_incremental_accuracy: float | None
    forgetting_ratio: RatioSeries
    backward_transfer: float | None
    forgetting: float | None
    forward_transfer: float | None
    epochs_to_98_percent: list[int | None]
    undefined: dict[str, str]
    """Why a field has a None: its dotted name and the reason."""


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
    """Position of every task's latest visit, ascending.

    >>> latest_visits([0, 1, 2, 0])
    [1, 2, 3]
    """
    return sorted({identity: position for position, identity in enumerate(identities)}.values())


def peak_accuracy(curve: LearningCurve) -> Peak:
    """Best test accuracy inside the task's own training.

    Epochs without a test accuracy are not candidates; of equally good epochs the first is taken.
    """
    measured = ~np.isnan(curve.test)
    valid = np.where(measured, curve.valid, np.nan)
    by_validation = np.nan if np.isnan(valid).all() else curve.test[np.nanargmax(valid)]
    by_test = np.nanmax(curve.test) if measured.any() else np.nan
    return Peak(float(by_validation), float(by_test))


def epochs_to_fraction(curve: LearningCurve, fraction: float = 0.98) -> int | None:
    """First epoch, from 1, whose test accuracy reaches a fraction of the best one; None where that is 0 or unknown."""
    best = peak_accuracy(curve).test
    if not best > 0:
        return None
    slack = 1e-12  # 0.98 * 0.7 may come out above an accuracy that equals it
    return int(np.flatnonzero(curve.test >= fraction * best - slack)[0]) + 1


def final_accuracy(accuracy: FloatArray, identities: Sequence[int] | None = None) -> float:
    """Mean of the last row: (T, T) -> accuracy of all tasks once the stream has ended."""
    return _mean(accuracy[-1, latest_visits(_identities(accuracy, identities))]) if len(accuracy) else np.nan


def average_incremental_accuracy(accuracy: FloatArray, identities: Sequence[int] | None = None) -> float:
    """Mean over i of the mean accuracy of the tasks seen up to i: (T, T) -> fraction."""
    known = _identities(accuracy, identities)
    return _mean(np.array([_mean(accuracy[i, latest_visits(known[: i + 1])]) for i in range(len(accuracy))]))


def forgetting_ratios(
    accuracy: FloatArray, references: FloatArray, *, identities: Sequence[int] | None = None
) -> FloatArray:
    """Catastrophic forgetting ratio of every earlier task now, R[T-1, t] / reference_t [LeeStokesEaton2019].

    Below 1 is forgetting, above 1 positive backward transfer.

    Args:
        accuracy: (T, T).
        references: (T,) accuracy of a task in its own training: at its end, R[t, t], or at its peak.
        identities: Task at each position; all different where omitted.

    Returns:
        (T,) by position; NaN for the last task, for an earlier visit, and where the reference is 0.
    """
    ratios = np.full(len(accuracy), np.nan)
    earlier = [t for t in _earlier(_identities(accuracy, identities)) if references[t] > 0]
    if earlier:
        ratios[earlier] = accuracy[-1, earlier] / references[earlier]
    return ratios


def forgetting_ratio_curve(
    accuracy: FloatArray, references: FloatArray, *, identities: Sequence[int] | None = None
) -> FloatArray:
    """Mean forgetting ratio of the earlier tasks as tasks arrive: (T, T), (T,) -> (T-1,), item k-1 after task k."""
    known = _identities(accuracy, identities)
    after = [forgetting_ratios(accuracy[:k], references, identities=known[:k]) for k in range(2, len(accuracy) + 1)]
    return np.array([_defined_mean(ratios) for ratios in after])


def backward_transfer(accuracy: FloatArray, identities: Sequence[int] | None = None) -> float:
    """Mean over earlier tasks of R[T-1, t] - R[t, t] [LopezPazRanzato2017]: (T, T) -> difference of fractions."""
    earlier = _earlier(_identities(accuracy, identities))
    return _mean(accuracy[-1, earlier] - accuracy[earlier, earlier]) if earlier else np.nan


def forgetting(accuracy: FloatArray, identities: Sequence[int] | None = None) -> float:
    """Mean over earlier tasks of max_i R[i, t] - R[T-1, t], t <= i < T-1 [Chaudhry2018]: (T, T) -> difference."""
    earlier = _earlier(_identities(accuracy, identities))
    return _mean(np.array([accuracy[t:-1, t].max() - accuracy[-1, t] for t in earlier]))


def forward_transfer(accuracy: FloatArray, stl: FloatArray, *, identities: Sequence[int] | None = None) -> float:
    """Mean over t > 0 of R[t, t] - stl[t], what a task gains over learning alone.

    [LopezPazRanzato2017] compares with an untrained network; a new task's head is new, so that form says nothing here.

    Args:
        accuracy: (T, T).
        stl: (T,) accuracy of single-task learning at the end of each task's training, with the same seeds.
        identities: Task at each position; all different where omitted.
    """
    later = [t for t in latest_visits(_identities(accuracy, identities)) if t > 0]
    return _mean(accuracy[later, later] - stl[later])


def spread(values: Sequence[float | None], confidence: float = 0.95) -> Spread:
    """Mean, sample deviation and Student t interval over runs; values that are None or NaN are left out.

    >>> spread([0.5, 0.7]).mean
    0.6
    """
    known = np.array([value for value in values if value is not None and not np.isnan(value)])
    count = len(known)
    if count < 2:
        return Spread(count, _mean(known), np.nan, np.nan)
    deviation = float(known.std(ddof=1))
    quantile = float(stdtrit(count - 1, (1 + confidence) / 2))
    return Spread(count, _mean(known), deviation, quantile * deviation / count**0.5)


def measures(
    accuracy: FloatArray,
    curves: Sequence[LearningCurve],
    *,
    identities: Sequence[int] | None = None,
    reference: Reference = "end",
    stl: FloatArray | None = None,
) -> Measures:
    """Take every measure of one run, finished or not.

    Args:
        accuracy: (T, T), with rows of NaN for tasks that are not learned yet.
        curves: Learning curve of each of the T positions; empty for a task that has not begun. A task that is being
            learned shows its peak so far, which no mean includes.
        identities: Task at each of the T positions; all different where omitted.
        reference: Denominator of the forgetting ratio: accuracy at the end of a task's own training, or its peak
            there, selected by validation.
        stl: (T,) accuracy of single-task learning at the end of each task's training.

    Raises:
        ValueError: The arguments disagree about T.
    """
    tasks = list(range(len(accuracy))) if identities is None else list(identities)
    sizes = {*accuracy.shape, len(curves), len(tasks), len(tasks if stl is None else stl)}
    if len(sizes) > 1:
        raise ValueError(
            f"every argument covers the same tasks - got sizes {sorted(sizes)} - measures - pass T of each"
        )
    learned = int(np.flatnonzero(~np.isnan(accuracy.diagonal())).max(initial=-1)) + 1
    seen, known = accuracy[:learned, :learned], tasks[:learned]
    peaks = [peak_accuracy(curve) for curve in curves]
    selected = np.array([peak.validation for peak in peaks])
    found = Measures(
        accuracy=[_optional(row) for row in accuracy],
        peak_accuracy=PeakSeries(
            validation=_series(selected, known), test=_series(np.array([peak.test for peak in peaks]), known)
        ),
        final_accuracy=_number(final_accuracy(seen, known)),
        average_incremental_accuracy=_number(average_incremental_accuracy(seen, known)),
        forgetting_ratio=_ratio_series(seen, selected, identities=tasks, reference=reference),
        backward_transfer=_number(backward_transfer(seen, known)),
        forgetting=_number(forgetting(seen, known)),
        forward_transfer=None if stl is None else _number(forward_transfer(seen, stl, identities=known)),
        epochs_to_98_percent=[epochs_to_fraction(curve) for curve in curves],
        undefined={},
    )
    return replace(found, undefined=_reasons(found, known, has_stl=stl is not None))


def _series(values: FloatArray, known: Sequence[int]) -> TaskSeries:
    """One value per position; the mean is over the tasks learned."""
    return TaskSeries(_optional(values), _number(_defined_mean(values[latest_visits(known)])))


def _ratio_series(
    seen: FloatArray, peaks: FloatArray, *, identities: Sequence[int], reference: Reference
) -> RatioSeries:
    """Forgetting ratios of the tasks learned, as wide as the whole stream."""
    learned, known = len(seen), identities[: len(seen)]
    references = seen.diagonal() if reference == "end" else peaks[:learned]
    ratios = np.full(len(identities), np.nan)
    ratios[:learned] = forgetting_ratios(seen, references, identities=known)
    curve = forgetting_ratio_curve(seen, references, identities=known)
    return RatioSeries(_optional(ratios), _number(_defined_mean(ratios)), _optional(curve), reference)


def _reasons(found: Measures, known: Sequence[int], *, has_stl: bool) -> dict[str, str]:
    """Say of every field with a None why it is there, by the field's dotted name."""
    peak, ratio = found.peak_accuracy, found.forgetting_ratio
    missing = "an accuracy that it needs is 0 or was not measured"
    one = missing if known else "no task was learned yet"
    two = missing if _earlier(known) else "no task was learned before the last one"
    values = {
        "peak_accuracy.validation.mean": (peak.validation.mean, one),
        "peak_accuracy.test.mean": (peak.test.mean, one),
        "final_accuracy": (found.final_accuracy, one),
        "average_incremental_accuracy": (found.average_incremental_accuracy, one),
        "forgetting_ratio.mean": (ratio.mean, two),
        "backward_transfer": (found.backward_transfer, two),
        "forgetting": (found.forgetting, two),
        "forward_transfer": (found.forward_transfer, two if has_stl else "no run of single-task learning was given"),
    }
    reasons = {name: reason for name, (value, reason) in values.items() if value is None}
    unmeasured = "its test accuracy is 0 or was not measured while it was learned"
    series: dict[str, tuple[Sequence[float | None], Callable[[int], str]]] = {
        "peak_accuracy.validation.per_task": (peak.validation.per_task, lambda t: unmeasured),
        "peak_accuracy.test.per_task": (peak.test.per_task, lambda t: unmeasured),
        "epochs_to_98_percent": (found.epochs_to_98_percent, lambda t: unmeasured),
        "forgetting_ratio.per_task": (ratio.per_task, lambda t: _no_ratio(t, known)),
        "forgetting_ratio.curve": (ratio.curve, lambda k: "no ratio is defined after the next task"),
    }
    for name, (items, why) in series.items():
        gaps = [f"task {t}: {why(t)}" for t, item in enumerate(items) if item is None]
        reasons |= {name: "; ".join(gaps)} if gaps else {}
    return reasons


def _no_ratio(position: int, known: Sequence[int]) -> str:
    if position >= len(known):
        return "not learned yet"
    if position == len(known) - 1:
        return "nothing was learned after it"
    if position not in _earlier(known):
        return "visited again later"
    return "its reference accuracy is 0, or an accuracy was not measured"


def _identities(accuracy: FloatArray, identities: Sequence[int] | None) -> list[int]:
    return list(range(len(accuracy))) if identities is None else list(identities)


def _earlier(identities: Sequence[int]) -> list[int]:
    """Latest visits of the tasks other than the last one."""
    return latest_visits(identities)[:-1]


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _defined_mean(values: FloatArray) -> float:
    return _mean(values[~np.isnan(values)])


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _optional(values: FloatArray) -> list[float | None]:
    return [_number(value) for value in values]
