"""Figures of what changes as tasks arrive: accuracy, forgetting, and the size of networks."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from lasem.report._over_tasks import AccuracyMatrix, ForgettingPanel, GrowthCurves
from lasem.report.figures._style import (
    COLORS,
    DASHES,
    FAINT,
    MARKERS,
    counted,
    draw_bands,
    grid,
    legend_below,
    stroke,
    whole_numbers,
)

MOST_WRITTEN = 12
"""Tasks up to which every cell holds its number."""

LOOKS = {
    "all": {"color": COLORS[0], "linestyle": DASHES[1], "marker": "s"},
    "static": {"color": "#000000", "linestyle": DASHES[2], "marker": "^"},
}
"""Looks of sharing all layers and of the best static configuration, as in the paper."""


def accuracy_matrix(data: Sequence[AccuracyMatrix]) -> Figure:
    """Per learner, the accuracy of every task after every task; all panels have one scale."""
    known = np.concatenate([item.accuracy[~np.isnan(item.accuracy)] for item in data])
    low, high = float(known.min()), float(known.max())
    figure, places = grid(len(data), columns=2 if len(data) < 5 else 3, height=2.9 if len(data) < 5 else 2.3)
    image = None
    for axes, item in zip(places, data, strict=True):
        image = axes.imshow(item.accuracy, cmap="cividis", vmin=low, vmax=max(high, low + 1e-9), aspect="equal")
        _numbers(axes, item, (low + high) / 2, size=6 if len(data) < 5 else 4)
        seeds = f" ({item.seeds} seeds)" if item.seeds > 1 else ""
        axes.set_title(f"{item.label}{seeds}", loc="left")
        ticks = range(0, len(item.accuracy), 1 if len(item.accuracy) <= MOST_WRITTEN else 5)
        axes.set_xticks(ticks)
        axes.set_yticks(ticks)
        axes.set_xlabel("accuracy of task")
        axes.set_ylabel("after task")
    if image is not None:
        bar = figure.colorbar(image, ax=places, shrink=0.7, format=PercentFormatter(1, decimals=0))
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


def forgetting(panels: Sequence[ForgettingPanel]) -> Figure:
    """A panel per stream and mechanism; the vertical ranges differ."""
    height = 2.3 if len(panels) > 1 else 2.3 + len(panels[0].bands) / 8  # of the legend below a single panel
    figure, places = grid(len(panels), columns=3, height=height)
    for axes, panel in zip(places, panels, strict=True):
        others = iter(range(1, 1 + len(panel.bands)))
        solid = {"linestyle": DASHES[0], "marker": "o"} if len(panel.bands) < len(COLORS) else {}
        axes.axhline(1, color=FAINT, linewidth=1)
        draw_bands(axes, panel.bands, [LOOKS.get(role) or stroke(next(others)) | solid for role in panel.roles])
        axes.set_title(panel.title, loc="left")
        axes.set_xlabel("tasks learned after the first")
        axes.set_ylabel("forgetting ratio")
        if len(panels) == 1:
            legend_below(figure, axes, columns=3)
        else:
            axes.legend(loc="best")
    return figure


def growth(learners: Sequence[GrowthCurves]) -> Figure:
    """Parameters of all learners in one panel; then a panel with the units per layer for each network that grows."""
    growing = [curves for curves in learners if curves.units]
    figure, (left, *places) = grid(1 + len(growing), columns=2, height=2.7)
    draw_bands(left, [curves.parameters for curves in learners])
    left.yaxis.set_major_formatter(FuncFormatter(counted))
    _finish(left, "values stored for all tasks", "values stored")
    for axes, curves in zip(places, growing, strict=True):
        means = [band._replace(half_width=[None] * len(band.x)) for band in curves.units]  # many bands hide each other
        draw_bands(axes, means, [_look(i, len(means)) for i in range(len(means))])
        _finish(axes, f"units per layer, {curves.label}", "units")
    return figure


def _numbers(axes: Axes, item: AccuracyMatrix, middle: float, *, size: int) -> None:
    """Percent in every cell, dark on light and light on dark."""
    if len(item.accuracy) > MOST_WRITTEN:
        return
    for (i, j), value in np.ndenumerate(item.accuracy):
        if not np.isnan(value):
            axes.text(
                j, i, f"{100 * value:.0f}", ha="center", va="center", fontsize=size,
                color="white" if value < middle else "black",
            )  # fmt: skip


def _finish(axes: Axes, title: str, words: str) -> None:
    axes.set_title(title, loc="left")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("tasks learned")
    axes.set_ylabel(words)
    whole_numbers(axes)
    axes.legend(loc="best")


def _look(layer: int, layers: int) -> dict[str, object]:
    """Return a color from dark, nearest the input, to light; dashes and markers differ too."""
    return {
        "color": colormaps["viridis"](0.85 * layer / max(1, layers - 1)),
        "linestyle": DASHES[layer % len(DASHES)],
        "marker": MARKERS[layer % len(MARKERS)],
    }
