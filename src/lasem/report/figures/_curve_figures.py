"""Curves over epochs: learning, how decided a search is, and the probability of every configuration (figure 3)."""

from collections.abc import Sequence
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lasem.configurations import BRANCHES, digits_key
from lasem.report._curves import Curves, TaskSearch, leading
from lasem.report.figures._style import (
    FROZEN,
    GRAY,
    OWN,
    SHARED,
    WIDTH,
    canvas,
    draw_bands,
    grid,
    leaning,
    legend_below,
    percents,
    shortened,
    stroke,
    whole_numbers,
)

MOST_TASKS = 8
"""Most tasks in one figure, four in a line."""

MOST_NAMED = 7
"""Configurations with a color of their own."""


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


def search(searches: Sequence[TaskSearch], *, of: int) -> Figure:
    """A column per task: above every configuration's probability, below every group's marginal.

    Args:
        searches: The tasks to draw.
        of: How many were searched.
    """
    names = leading(searches, MOST_NAMED)
    across = min(4, len(searches))
    rows = ceil(len(searches) / across)
    groups = max(len(item.groups) for item in searches)
    strip = 0.30 + 0.11 * max(groups, 2)
    figure = canvas(rows * (1.75 + strip), WIDTH if across > 1 else 4.4)
    axes = figure.subplots(2 * rows, across, squeeze=False, height_ratios=[1.45, strip] * rows)
    top = max(y for item in searches for line in item.candidates for y in line.y if y is not None)
    for number, item in enumerate(searches):
        row, column = divmod(number, across)
        above, below = axes[2 * row][column], axes[2 * row + 1][column]
        _probabilities(above, item, names, first=column == 0)
        above.set_ylim(-0.03 * top, 1.12 * top)
        _marginals(below, item, first=column == 0)
        if number + across >= len(searches):
            (below if item.marginals else above).set_xlabel("epoch of the task")
    for number in range(len(searches), rows * across):
        row, column = divmod(number, across)
        axes[2 * row][column].set_visible(False)
        axes[2 * row + 1][column].set_visible(False)
    _legend(figure, searches, names, of=of)
    return figure


def _background(axes: Axes, data: Curves) -> None:
    """Draw the tasks of a single run behind their mean."""
    for i, line in enumerate(data.tasks):
        heights = [float("nan") if y is None else y for y in line.y]
        axes.plot(line.x, heights, color="#BFBFBF", linewidth=0.6, label="a task" if i == 0 else None)


def _probabilities(axes: Axes, item: TaskSearch, names: Sequence[str], *, first: bool) -> None:
    """All configurations in gray, the leading ones over them."""
    for line in item.candidates:
        if line.label not in names:
            axes.plot(line.x, [float("nan") if y is None else y for y in line.y], color="#C8C8C8", linewidth=0.6)
    for line in item.candidates:
        if line.label in names:
            look = stroke(names.index(line.label))
            heights = [float("nan") if y is None else y for y in line.y]
            axes.plot(line.x, heights, markersize=3, markevery=max(1, len(line.x) // 5), **look)
    winner = next((line for line in item.candidates if line.label == item.chosen), None)
    if winner and winner.y[-1] is not None and len(winner.label) < 12:
        axes.annotate(
            winner.label, (winner.x[-1], winner.y[-1]), (0, 3), textcoords="offset points", ha="right", fontsize=6
        )
    axes.set_title(shortened(f"task {item.position}: {item.name}", 26), loc="left")
    axes.grid(visible=True)
    axes.set_xlim(item.epochs[0] - 0.5, item.epochs[-1] + 0.5)  # as the strips below, whose columns are epochs
    whole_numbers(axes)
    axes.tick_params(labelbottom=not item.marginals, labelleft=first)
    if first:
        axes.set_ylabel("probability")


def _marginals(axes: Axes, item: TaskSearch, *, first: bool) -> None:
    """The groups' marginals as a strip each, the lowest layer at the bottom, by the same epochs."""
    if not item.marginals:
        axes.set_visible(False)
        return
    edges = [item.epochs[0] - 0.5, *(epoch + 0.5 for epoch in item.epochs)]
    rows = range(len(item.groups) + 1)
    found = np.array(item.marginals)
    by_branch = (
        np.array(item.branch_marginals) if item.branch_marginals else np.stack([1 - found, found, 0 * found], -1)
    )
    axes.pcolormesh(edges, [row - 0.5 for row in rows], leaning(by_branch), rasterized=True)
    axes.set_yticks(range(len(item.groups)), [shortened(name, 16) for name in item.groups] if first else [])
    whole_numbers(axes)
    axes.tick_params(axis="y", length=0, labelsize=6 if len(item.groups) < 10 else 5)


def _legend(figure: Figure, searches: Sequence[TaskSearch], names: Sequence[str], *, of: int) -> None:
    handles = [Line2D([], [], label=name, markersize=3, **stroke(i)) for i, name in enumerate(names)]
    others = max(item.size for item in searches) - len(names)
    if others > 0:
        handles.append(
            Line2D([], [], color="#C8C8C8", linewidth=1, label="1 other" if others == 1 else f"{others} others")
        )
    branches = len(BRANCHES) if any(item.branch_marginals for item in searches) else 2
    handles += [Line2D([], [], linestyle="none", marker="s", markersize=6, color=color, label=label)
                for color, label in zip((OWN, SHARED, FROZEN)[:branches], BRANCHES, strict=False)]  # fmt: skip
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = max(2, int(figure.get_figwidth() * 15 // (longest + 7)))
    digit = "bit" if branches == 2 else "digit"
    title = f"configurations: one {digit} per group, {digits_key(branches)}, the group with the lowest layer first"
    title += f" ({len(searches)} of {of} tasks)" if len(searches) < of else ""
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(handles)), title=title)
    legend.get_title().set(fontsize=7, color=GRAY)
