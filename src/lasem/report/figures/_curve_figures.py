"""Curves over epochs and tasks: learning, forgetting, how decided a search is."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lasem.report._curves import Curves
from lasem.report._forgetting import ForgettingPanel
from lasem.report.figures._style import (
    COLORS,
    DASHES,
    FAINT,
    draw_bands,
    grid,
    legend_below,
    percents,
)

LOOKS = (
    {"color": COLORS[0], "linestyle": DASHES[1], "marker": "s"},
    {"color": "#000000", "linestyle": DASHES[2], "marker": "^"},
)
"""Looks of sharing all layers and of the best static configuration, as in the paper."""


def learning_curves(data: Curves, split: str) -> Figure:
    """Accuracy by the epochs of a task, mean over tasks."""
    figure, (axes,) = grid(1, columns=1, height=2.9)
    _background(axes, data)
    draw_bands(axes, data.bands)
    axes.set_xlabel("epoch of a task")
    axes.set_ylabel(f"{split} accuracy, mean over tasks")
    percents(axes)
    legend_below(figure, axes, columns=3)
    return figure


def decidedness(entropy: Curves, margin: Curves) -> Figure:
    """Draw the entropy of the prior and the margin of the leading configuration, side by side."""
    figure, (left, right) = grid(2, columns=2, height=2.6)
    for axes, data, words in (
        (left, entropy, "entropy of the prior / log K"),
        (right, margin, "margin to the runner-up"),
    ):
        _background(axes, data)
        draw_bands(axes, data.bands)
        axes.set_xlabel("epoch of a task")
        axes.set_ylabel(words)
        axes.set_ylim(-0.02, 1.02)
    legend_below(figure, left)
    return figure


def forgetting(panels: Sequence[ForgettingPanel]) -> Figure:
    """A panel per stream and mechanism; the vertical ranges differ."""
    figure, places = grid(len(panels), columns=3, height=2.3)
    for axes, panel in zip(places, panels, strict=True):
        fixed = [(band, look) for band, look in zip((panel.shared, panel.best_static), LOOKS, strict=True) if band]
        found = [
            {"color": COLORS[(1 + i) % len(COLORS)], "linestyle": DASHES[0], "marker": "o"}
            for i in range(len(panel.searched))
        ]
        axes.axhline(1, color=FAINT, linewidth=1)
        draw_bands(axes, [*(band for band, _ in fixed), *panel.searched], [*(look for _, look in fixed), *found])
        axes.set_title(f"{panel.mechanism} on {panel.benchmark}", loc="left")
        axes.set_xlabel("tasks learned after the first")
        axes.set_ylabel("forgetting ratio")
        axes.legend(loc="best")
    return figure


def _background(axes: Axes, data: Curves) -> None:
    """Draw the tasks of a single run behind their mean."""
    for i, line in enumerate(data.tasks):
        heights = [float("nan") if y is None else y for y in line.y]
        axes.plot(line.x, heights, color="#BFBFBF", linewidth=0.6, label="a task" if i == 0 else None)
