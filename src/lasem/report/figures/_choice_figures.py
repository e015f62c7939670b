"""Figure 8 and the share maps: what was chosen."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lasem.report._choices import Choices, SharedFractions
from lasem.report.figures._style import (
    FAINT,
    LEANING,
    OWN,
    SHARED,
    canvas,
    grid,
    percents,
    shortened,
)


def configurations(data: Sequence[Choices]) -> Figure:
    """Per learner, how often it chose its most frequent configurations."""
    longest = max(len(_label(choice.bits, choice.name)) for item in data for choice in item.most)
    most = max(len(item.most) + (item.others > 0) for item in data)
    figure, places = grid(len(data), columns=2 if longest > 18 else 3, height=0.75 + 0.19 * most)
    top = max(choice.share for item in data for choice in item.most)
    for axes, item in zip(places, data, strict=True):
        names = [_label(choice.bits, choice.name) for choice in item.most]
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
        axes.set_title(f"{item.label} ({item.tasks} choices)", loc="left")
        axes.set_xlabel("share of tasks")
        axes.tick_params(axis="y", length=0)
        percents(axes, "x")
    return figure


def layers(data: Sequence[Choices]) -> Figure:
    """Per learner, the share of tasks in which each layer transfers."""
    deepest = max(len(item.layers) for item in data)
    figure, places = grid(len(data), columns=3 if deepest < 10 else 2, height=1.9, sharey=True)
    for axes, item in zip(places, data, strict=True):
        positions, shared = np.arange(1, len(item.layers) + 1), np.array(item.layers)
        axes.bar(positions, shared, color=SHARED, width=0.75)
        axes.bar(
            positions, 1 - shared, bottom=shared, color=OWN, width=0.75, hatch="////", edgecolor="white", linewidth=0
        )
        axes.axhline(0.5, color="black", linewidth=0.6, linestyle=":")
        axes.set_xticks(positions)
        axes.set_ylim(0, 1)
        axes.set_title(item.label, loc="left")
        axes.set_xlabel("layer, 1 = nearest the input")
        percents(axes)
    places[0].set_ylabel("share of tasks")
    _legend(figure, hatch="////")
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
    _legend(figure, paler=any(item.seeds > 1 for item in data))
    return figure


def _map(axes: Axes, item: SharedFractions, *, named: bool) -> None:
    depth, tasks = item.shared.shape
    axes.set_facecolor(FAINT)
    axes.pcolormesh(
        np.arange(tasks + 1) - 0.5, np.arange(depth + 1) + 0.5, item.shared,
        cmap=LEANING, vmin=0, vmax=1, edgecolors="white", linewidth=0.8,
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


def _legend(figure: Figure, *, paler: bool = False, hatch: str = "") -> None:
    patches = [Patch(color=SHARED, label="shared")]
    patches.append(Patch(facecolor=OWN, hatch=hatch, edgecolor="white", linewidth=0, label="the task's own"))
    patches += [Patch(facecolor="none", label="paler: seeds differ")] if paler else []
    figure.legend(handles=patches, loc="outside lower center", ncols=3)


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.095 else f"{share:.0%}"


def _label(bits: str, name: str | None) -> str:
    """Bits in groups of four where there are many, with the name."""
    spaced = " ".join(bits[i : i + 4] for i in range(0, len(bits), 4)) if len(bits) > 9 else bits
    return f"{spaced} ({name})" if name else spaced
