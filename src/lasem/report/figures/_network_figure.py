"""Figure 7: a network, its partition into groups, and how often each layer is shared."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch

from lasem.report._network_outline import Layer, NetworkOutline
from lasem.report.figures._style import COLORS, GRAY, LEANING, WIDTH, canvas

HATCHES = ("", "///", "...", "xxx", "\\\\\\", "|||", "---")
BOX = 0.66
FEW = 9
"""Boxes with room for a word across."""


def network(data: NetworkOutline, shares: Sequence[float] | None = None) -> Figure:
    """Boxes from the input at the left to the head at the right, filled by group; below, the share of tasks.

    Args:
        data: The network.
        shares: (L,) share of the tasks that take a layer from shared knowledge; None where it is not known.
    """
    boxes = len(data.layers) + len(data.head)
    figure = canvas(2.35 if shares else 1.95, min(WIDTH, 1.4 + 0.75 * boxes))
    axes = figure.subplots()
    tall = _heights(data)
    for i, layer in enumerate(data.layers):
        _box(
            axes, i, tall[i + 1], COLORS[layer.group % len(COLORS)], HATCHES[layer.group // len(COLORS) % len(HATCHES)]
        )
        _label(axes, i, tall[i + 1], layer, boxes)
        _below(axes, i, layer, boxes)
        if layer.skip:
            _skip(axes, i, max(tall[i], tall[i + 1]))
    for j, text in enumerate(data.head):
        place = len(data.layers) + j
        _box(axes, place, 0.55, "white", "")
        _turned(axes, place, 0.0, text if boxes > FEW else f"FC\n{text}", boxes)
    for i in range(boxes - 1):
        axes.annotate(
            "", (i + 1 - BOX / 2, 0), (i + BOX / 2, 0), arrowprops={"arrowstyle": "-", "linewidth": 0.8, "color": GRAY}
        )
    if shares:
        _shares(axes, shares)
    axes.set_xlim(-0.75, boxes - 0.25)
    axes.set_ylim(-2.1 if shares else -1.5, 1.5)
    axes.axis("off")
    axes.set_title(data.name, loc="left")
    patches = [
        Patch(
            facecolor=COLORS[g % len(COLORS)],
            alpha=0.45,
            hatch=HATCHES[g // len(COLORS) % len(HATCHES)],
            label=_group(text),
        )
        for g, text in enumerate(data.groups)
    ]
    title = "layers that decide together" if len(data.groups) < len(data.layers) else "every layer decides for itself"
    legend = figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 6), title=title)
    legend.get_title().set(fontsize=7, color=GRAY)
    return figure


def _heights(data: NetworkOutline) -> list[float]:
    """Half heights: of the input, then of every layer, by the size of what it works on."""
    if not data.size:
        return [0.8] * (len(data.layers) + 1)
    sizes = [data.size, *(layer.size or data.size for layer in data.layers)]
    return [0.35 + 0.6 * (size / data.size) ** 0.5 for size in (data.size, *sizes[:-1])]


def _box(axes: Axes, place: int, half: float, color: str, hatch: str) -> None:
    shape = FancyBboxPatch(
        (place - BOX / 2, -half), BOX, 2 * half, boxstyle="round,pad=0,rounding_size=0.06", linewidth=0.8,
        edgecolor="black", facecolor=color, alpha=0.45 if color != "white" else 1, hatch=hatch, zorder=2,
    )  # fmt: skip
    axes.add_patch(shape)


def _label(axes: Axes, place: int, half: float, layer: Layer, boxes: int) -> None:
    """What the layer is inside its box, its number above."""
    _turned(axes, place, 0.0, layer.text, boxes)
    axes.text(place, half + 0.07, str(place + 1), ha="center", va="bottom", fontsize=6.5, color=GRAY)


def _turned(axes: Axes, place: int, height: float, text: str, boxes: int) -> None:
    """Text in a box: on two lines, or upright where the boxes are narrow."""
    flat = boxes <= FEW
    axes.text(
        place, height, text.replace(", ", "\n") if flat else text, ha="center", va="center",
        rotation=0 if flat else 90, zorder=3, fontsize=7 if boxes < 14 else 5.5,
    )  # fmt: skip


def _below(axes: Axes, place: int, layer: Layer, boxes: int) -> None:
    """Under a layer that changes the size, the pool and the size behind it."""
    if not layer.reduction or not layer.size:
        return
    text = f"{layer.reduction}\n{layer.size}x{layer.size}"
    axes.text(place + 0.5, -1.02, text, ha="center", va="top", fontsize=6.5 if boxes < 14 else 5.5, color=GRAY)
    axes.plot([place + 0.5] * 2, [-0.98, -0.1], color=GRAY, linewidth=0.5, linestyle=":")


def _skip(axes: Axes, place: int, half: float) -> None:
    """A line over this layer and the one before, from the input of that to the output of this."""
    start, end, height = place - 1.5, place + 0.42, half + 0.3
    axes.plot([start, start, end, end], [0.06, height, height, 0.14], color=GRAY, linewidth=0.7, zorder=1)
    axes.plot([end], [0.12], marker="v", markersize=2.5, color=GRAY)


def _shares(axes: Axes, shares: Sequence[float]) -> None:
    """A square per layer, colored by how often it is shared."""
    axes.text(-0.5, -1.83, "shared in", ha="right", va="center", fontsize=6.5, color=GRAY)
    for i, share in enumerate(shares):
        axes.add_patch(
            FancyBboxPatch(
                (i - BOX / 2, -2.0), BOX, 0.34, boxstyle="square,pad=0", linewidth=0, facecolor=LEANING(share)
            )
        )
        dark = abs(share - 0.5) > 0.38 and share > 0.5
        size = 6.5 if len(shares) < 12 else 5
        axes.text(i, -1.83, f"{share:.0%}", ha="center", va="center", fontsize=size, color="white" if dark else "black")


def _group(text: str) -> str:
    return f"layer {text}" if text.isdigit() else f"layers {text}"
