"""The figure of the accuracy matrix."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lasem.report._matrix import AccuracyMatrix
from lasem.report.figures._style import grid

MOST_WRITTEN = 12
"""Tasks up to which every cell holds its number."""


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
