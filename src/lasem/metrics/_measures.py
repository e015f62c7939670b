"""All measures of one run, with a reason for each one that is undefined."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lasem.metrics._formulas import (
    FloatArray,
    LearningCurve,
    average_incremental_accuracy,
    backward_transfer,
    defined_mean,
    earlier_tasks,
    epochs_to_fraction,
    final_accuracy,
    forgetting,
    forgetting_ratio_curve,
    forgetting_ratios,
    forward_transfer,
    latest_visits,
    peak_accuracy,
)

Reference = Literal["end", "peak"]
Fraction = Annotated[float, Field(ge=0, le=1)]
"""An accuracy as a fraction."""


class _Frozen(BaseModel):
    """Base class of measures: frozen, strict about unknown fields, and without infinities and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Series(_Frozen):
    """A measure per position in the stream, and its mean over tasks; None where undefined."""

    per_task: list[float | None]
    mean: float | None


class PeakAccuracy(_Frozen):
    """Peak accuracy per task, with the epoch selected by validation accuracy and by test accuracy."""

    validation: Series
    test: Series

    @model_validator(mode="after")
    def _in_range(self) -> "PeakAccuracy":
        """Refuse what is no fraction, which only a damaged file has."""
        for series in (self.validation, self.test):
            for value in (*series.per_task, series.mean):
                if value is not None and not 0 <= value <= 1:
                    raise ValueError(f"an accuracy must be from 0 to 1 (got {value})")
        return self


class ForgettingRatio(Series):
    """Catastrophic forgetting ratio per task at the end of the stream, and its mean as tasks arrive."""

    curve: list[float | None]
    """Item k - 1 is the mean over the tasks before k, after task k was learned (k = 1, 2, ...)."""
    reference: Reference
    """Denominator of the ratio: accuracy at the end of a task's own training, or its peak there."""


class Measures(_Frozen):
    """All measures of one run, with the names and the nesting that they have in ``result.json``."""

    accuracy: list[list[Fraction | None]]
    """Test accuracy R[i][j] of task j after task i was learned; None for j > i."""
    peak_accuracy: PeakAccuracy
    final_accuracy: Fraction | None
    average_incremental_accuracy: Fraction | None
    forgetting_ratio: ForgettingRatio
    backward_transfer: float | None
    forgetting: float | None
    forward_transfer: float | None
    epochs_to_98_percent: list[int | None]
    undefined: dict[str, str]
    """Reason why a measure is None, by the measure's dotted name."""

    @model_validator(mode="after")
    def _lengths_agree(self) -> "Measures":
        """Refuse lists that cover different numbers of tasks, which only a damaged file has."""
        tasks = len(self.accuracy)
        series = (self.peak_accuracy.validation, self.peak_accuracy.test, self.forgetting_ratio)
        sizes = [*map(len, self.accuracy), *(len(item.per_task) for item in series), len(self.epochs_to_98_percent)]
        if set(sizes) - {tasks} or len(self.forgetting_ratio.curve) > tasks:
            raise ValueError(f"all lists must cover the same tasks (got lengths {sorted({tasks, *sizes})})")
        return self


def measures(
    accuracy: FloatArray,
    curves: Sequence[LearningCurve],
    *,
    identities: Sequence[int] | None = None,
    reference: Reference = "end",
    stl: FloatArray | None = None,
) -> Measures:
    """Compute every measure of one run, finished or not.

    Args:
        accuracy: (T, T), with rows of NaN for tasks that are not learned yet.
        curves: Learning curve of each of the T positions; empty for a task that has not begun. A task that is being
            learned shows its peak so far, which no mean includes.
        identities: Number of the task at each of the T positions; all different where omitted.
        reference: Denominator of the forgetting ratio: accuracy at the end of a task's own training, or its peak
            there, selected by validation.
        stl: (T,) accuracy of single-task learning at the end of each task's training.

    Raises:
        ValueError: The arguments disagree about T.
    """
    tasks = list(range(len(accuracy))) if identities is None else list(identities)
    sizes = {*accuracy.shape, len(curves), len(tasks), len(tasks if stl is None else stl)}
    if len(sizes) > 1:
        raise ValueError(f"all arguments must cover the same tasks (got sizes {sorted(sizes)}); pass T of each")
    learned = int(np.flatnonzero(~np.isnan(accuracy.diagonal())).max(initial=-1)) + 1
    seen, known = accuracy[:learned, :learned], tasks[:learned]
    peaks = [peak_accuracy(curve) for curve in curves]
    selected = np.array([peak.validation for peak in peaks])
    found = Measures(
        accuracy=[_optional(row) for row in accuracy],
        peak_accuracy=PeakAccuracy(
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
    return found.model_copy(update={"undefined": _reasons(found, known, has_stl=stl is not None)})


def _series(values: FloatArray, known: Sequence[int]) -> Series:
    """Return one value per position, and the mean over the tasks learned."""
    return Series(per_task=_optional(values), mean=_number(defined_mean(values[latest_visits(known)])))


def _ratio_series(
    seen: FloatArray, peaks: FloatArray, *, identities: Sequence[int], reference: Reference
) -> ForgettingRatio:
    """Return the forgetting ratios of the tasks learned, padded to the whole stream."""
    learned, known = len(seen), identities[: len(seen)]
    references = seen.diagonal() if reference == "end" else peaks[:learned]
    ratios = np.full(len(identities), np.nan)
    ratios[:learned] = forgetting_ratios(seen, references, identities=known)
    curve = forgetting_ratio_curve(seen, references, identities=known)
    return ForgettingRatio(
        per_task=_optional(ratios), mean=_number(defined_mean(ratios)), curve=_optional(curve), reference=reference
    )


def _reasons(found: Measures, known: Sequence[int], *, has_stl: bool) -> dict[str, str]:
    """Return why a field is None, for every field that is, by its dotted name."""
    peak, ratio = found.peak_accuracy, found.forgetting_ratio
    missing = "an accuracy that it needs is 0 or was not measured"
    one = missing if known else "no task was learned yet"
    two = missing if earlier_tasks(known) else "no task was learned before the last one"
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
    if position not in earlier_tasks(known):
        return "visited again later"
    return "its reference accuracy is 0, or an accuracy was not measured"


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _optional(values: FloatArray) -> list[float | None]:
    return [_number(value) for value in values]
