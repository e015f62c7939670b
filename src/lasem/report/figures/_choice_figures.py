"""Figure 8 and the share maps: what was chosen."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lasem.configurations import digits_key
from lasem.report._choices import Choices, SharedFractions
from lasem.report._layer_advice import TaskAdvice
from lasem.report.figures._style import (
    FAINT,
    FROZEN,
    FROZEN_HATCH,
    GRAY,
    OWN,
    OWN_HATCH,
    SHARED,
    canvas,
    grid,
    leaning,
    percents,
    shortened,
)

SHARED_LOOK: dict[str, Any] = {"color": SHARED}
OWN_LOOK: dict[str, Any] = {"facecolor": OWN, "hatch": OWN_HATCH, "edgecolor": "white", "linewidth": 0}
FROZEN_LOOK: dict[str, Any] = {"facecolor": FROZEN, "hatch": FROZEN_HATCH, "edgecolor": "white", "linewidth": 0}
"""Looks of bars and of their legend, which differ in black and white, too."""


def configurations(data: Sequence[Choices]) -> Figure:
    """Per learner, how often it chose its most frequent configurations."""
    longest = max(len(_label(choice.digits, choice.name)) for item in data for choice in item.most)
    most = max(len(item.most) + (item.others > 0) for item in data)
    titles = [f"{item.label} ({item.tasks} choices)" for item in data]
    narrow = longest <= 18 and max(map(len, titles)) <= 36
    figure, places = grid(len(data), columns=3 if narrow else 2, height=0.75 + 0.19 * most)
    top = max(choice.share for item in data for choice in item.most)
    for axes, item, title in zip(places, data, titles, strict=True):
        names = [_label(choice.digits, choice.name) for choice in item.most]
        shares = [choice.share for choice in item.most]
        if item.others:
            names = [*names, f"{item.others} others"]
        bars = axes.barh(range(len(shares)), shares, color=SHARED, height=0.7)
        axes.bar_label(bars, [_percent(share) for share in shares], padding=2, fontsize=6.5)
        if item.others:  # together they may be many times the longest bar
            axes.text(0.02 * top, len(shares), f"{_percent(item.rest)} together", va="center", fontsize=6.5)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(most - 0.4, -0.6)
        axes.set_xlim(0, top * 1.25)
        axes.set_title(title, loc="left")
        axes.set_xlabel("share of tasks")
        axes.tick_params(axis="y", length=0)
        percents(axes, "x")
    if any(item.frozen for item in data):
        figure.supxlabel(f"one digit per layer, 1 = nearest the input: {digits_key(3)}", fontsize=7, color=GRAY)
    return figure


def layers(data: Sequence[Choices]) -> Figure:
    """Per learner, the share of tasks in which each layer transfers."""
    deepest = max(len(item.layers) for item in data)
    figure, places = grid(len(data), columns=3 if deepest < 10 else 2, height=1.9, sharey=True)
    for axes, item in zip(places, data, strict=True):
        positions, shared = np.arange(1, len(item.layers) + 1), np.array(item.layers)
        axes.bar(positions, shared, color=SHARED, width=0.75)
        taken = shared + np.array(item.frozen or 0)
        for low, high, look in ((shared, taken, FROZEN_LOOK), (taken, 1.0, OWN_LOOK)):
            axes.bar(positions, high - low, bottom=low, width=0.75, **look)
        axes.axhline(0.5, color="black", linewidth=0.6, linestyle=":")
        axes.set_xticks(positions)
        axes.set_ylim(0, 1)
        axes.set_title(item.label, loc="left")
        axes.set_xlabel("layer, 1 = nearest the input")
        percents(axes)
    places[0].set_ylabel("share of tasks")
    _legend(figure, frozen=any(item.frozen for item in data), hatched=True)
    return figure


def branches(data: Sequence[TaskAdvice], *, of: int) -> Figure:
    """A panel per task: the probability of each branch of every stage, and what to do with it.

    Args:
        data: The tasks to draw.
        of: How many were searched.
    """
    names = [shortened(", ".join(stage.modules), 30) for stage in data[0].stages]
    frozen = any(stage.probabilities["frozen"] for item in data for stage in item.stages)
    doubtful = any(item.doubt for item in data)
    figure, places = grid(len(data), columns=2, height=(0.95 if doubtful else 0.8) + 0.24 * len(names), sharey=True)
    looks = (("own", OWN_LOOK), ("shared", SHARED_LOOK), ("frozen", FROZEN_LOOK))
    rows = np.arange(len(names))
    for axes, item in zip(places, data, strict=True):
        left = np.zeros(len(names))
        for branch, look in looks:
            widths = np.array([stage.probabilities[branch] for stage in item.stages])
            axes.barh(rows, widths, left=left, height=0.75, **look)
            left += widths
        for row, stage in enumerate(item.stages):
            axes.text(1.02, row, stage.action.partition(" ")[0], va="center", fontsize=6.5)
        axes.set_yticks(rows, names, fontsize=6)
        axes.set_ylim(len(names) - 0.5, -0.5)  # the stage next to the input is at the top
        axes.set_xlim(0, 1)
        axes.tick_params(axis="y", length=0)
        title = shortened(f"task {item.task}: {item.name}", 30)
        axes.set_title(f"{title}\n(the data cannot tell)" if item.doubt else title, loc="left")
        percents(axes, "x")
    for axes in places[-2:]:  # the lowest panel of each column
        axes.set_xlabel("probability when the search ended")
    if len(data) < of:
        figure.suptitle(f"{len(data)} of {of} tasks", fontsize=7, color=GRAY)
    _legend(figure, frozen=frozen, hatched=True)
    return figure


def share_map(data: Sequence[SharedFractions]) -> Figure:
    """Task by layer; of several seeds the share of seeds that share, of one what it chose."""
    heights = [0.34 + 0.19 * item.shared.shape[0] for item in data]
    same = all(item.tasks == data[0].tasks for item in data)
    figure = canvas(sum(heights) + 0.5 + (0.35 if same else 0.35 * len(data)))
    places = figure.subplots(len(data), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, item in zip(places, data, strict=True):
        _map(axes, item, named=not same or axes is places[-1])
    places[-1].set_xlabel("task")
    _legend(figure, frozen=any(item.frozen.size for item in data), paler=any(item.seeds > 1 for item in data))
    return figure


def _map(axes: Axes, item: SharedFractions, *, named: bool) -> None:
    depth, tasks = item.shared.shape
    axes.set_facecolor(FAINT)
    frozen = item.frozen if item.frozen.size else 0 * item.shared
    colors = leaning(np.stack([1 - item.shared - frozen, item.shared, frozen], axis=-1))
    axes.pcolormesh(
        np.arange(tasks + 1) - 0.5, np.arange(depth + 1) + 0.5, colors, edgecolors="white", linewidth=0.8
    )  # fmt: skip
    axes.set_xticks(range(tasks) if tasks <= 20 else range(0, tasks, 5))
    if not named:
        axes.set_xticklabels([])
    elif tasks <= 12:
        names = [f"{t}: {shortened(name, 18)}" for t, name in enumerate(item.tasks)]
        axes.set_xticklabels(names, rotation=25, ha="right", rotation_mode="anchor", fontsize=6)
    axes.set_yticks(range(1, depth + 1) if depth < 10 else range(1, depth + 1, 4))
    axes.set_ylabel("layer")
    seeds = f" ({item.seeds} seeds)" if item.seeds > 1 else ""
    axes.set_title(f"{item.label}{seeds}", loc="left")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _legend(figure: Figure, *, frozen: bool, paler: bool = False, hatched: bool = False) -> None:
    looks = {"shared": SHARED_LOOK} | ({"frozen": FROZEN_LOOK} if frozen else {}) | {"the task's own": OWN_LOOK}
    plain: dict[str, Any] = {} if hatched else {"hatch": ""}
    patches = [Patch(**look | plain, label=name) for name, look in looks.items()]
    patches += [Patch(facecolor="none", label="paler: seeds differ")] if paler else []
    figure.legend(handles=patches, loc="outside lower center", ncols=4)


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.095 else f"{share:.0%}"


def _label(digits: str, name: str | None) -> str:
    """Digits in groups of four where there are many, with the name."""
    spaced = " ".join(digits[i : i + 4] for i in range(0, len(digits), 4)) if len(digits) > 9 else digits
    return f"{spaced} ({name})" if name else spaced
