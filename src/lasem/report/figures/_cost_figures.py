"""What learning costs, and how much more brute force would have reached."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lasem.formats import duration
from lasem.metrics import Spread
from lasem.report._costs import CostPoint, Regret
from lasem.report._groups import distinct
from lasem.report.figures._style import WIDTH, canvas, counted, grid, legend_below, percents, stroke


def cost(points: Sequence[CostPoint]) -> Figure:
    """Accuracy against training time, and against values stored; bars are 95% intervals over seeds."""
    figure, (left, right) = grid(2, columns=2, height=2.7, sharey=True)
    for i, point in enumerate(points):
        look: dict[str, Any] = stroke(i) | {"linestyle": "none"}
        for axes, values in ((left, point.seconds), (right, point.stored)):
            axes.errorbar(
                values.mean, point.peak.mean, xerr=_bar(values), yerr=_bar(point.peak), label=point.label,
                markersize=5, capsize=2, elinewidth=0.8, **look,
            )  # fmt: skip
    for axes, words, text, spreads in (
        (left, "training time", _seconds, [point.seconds for point in points]),
        (right, "values stored", counted, [point.stored for point in points]),
    ):
        _logarithmic(axes, spreads, text)
        axes.set_xlabel(words)
        axes.grid(visible=True)
        percents(axes)
    left.set_ylabel("peak accuracy, mean over tasks")
    legend_below(figure, left)
    return figure


def regret(rows: Sequence[Regret]) -> Figure:
    """A row per learner: a dot per task, and the mean with its interval over seeds."""
    figure = canvas(0.9 + 0.3 * len(rows), WIDTH * 0.8)
    axes = figure.subplots()
    axes.axvline(0, color="black", linewidth=0.8)
    several = len({row.benchmark for row in rows}) > 1
    for i, row in enumerate(rows):
        offsets = np.linspace(-0.22, 0.22, len(row.tasks)) if len(row.tasks) > 1 else np.zeros(1)
        label = "a task" if i == 0 else None
        axes.scatter(row.tasks, i + offsets, s=9, color="#9A9A9A", linewidths=0, label=label)
        axes.errorbar(
            row.mean.mean, i, xerr=_bar(row.mean), color="#0072B2", marker="D", markersize=5, capsize=2.5,
            linestyle="none", zorder=3, label="mean over tasks, 95% interval over seeds" if i == 0 else None,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), distinct([_label(row, several) for row in rows], 40))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("peak accuracy of brute force less the learner's, points (right of 0: brute force is better)")
    axes.grid(visible=True, axis="x")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:+.3g}" if value else "0"))
    legend_below(figure, axes, columns=2)
    return figure


def _label(row: Regret, several: bool) -> str:
    return (
        f"{row.label} ({row.seeds} seeds)"
        if not several or row.benchmark in row.label
        else f"{row.label}, {row.benchmark}"
    )


def _bar(values: Spread) -> float | None:
    return None if np.isnan(values.half_width) else values.half_width


def _logarithmic(axes: Axes, spreads: Sequence[Spread], text: Callable[[float, object], str]) -> None:
    """A logarithmic axis that holds all intervals, with some values inside a decade named where it spans few."""
    ends = [values.mean + sign * (_bar(values) or 0.0) for values in spreads for sign in (-1, 1)]
    known = [end for end in ends if end > 0]
    if not known:
        return
    axes.set_xscale("log")
    low, high = min(known) / 1.25, max(known) * 1.25
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 100 else (1.0, 2.0, 3.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(text))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _seconds(value: float, _: object) -> str:
    return duration(value)
