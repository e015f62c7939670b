"""Figure 7: the layers of a network, its partition into groups, and how often each layer is shared."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch

from lasem.configurations import Partition
from lasem.errors import ReportError
from lasem.formats import ranges
from lasem.report._choices import Choices
from lasem.report._run import Run, listed, nested, whole
from lasem.report.figures._style import COLORS, FROZEN, GRAY, LEANING, SHARED, UNDECIDED, WIDTH, canvas

HATCHES = ("", "///", "...", "xxx", "\\\\\\", "|||", "---")
BOX = 0.66
FEW = 9
"""Boxes with room for a word across."""


class Layer(NamedTuple):
    """A layer or block that is shared or not."""

    text: str
    """What it is, such as "3x3, 32"; empty where the run does not tell."""
    convolutions: int
    """Layers of the partition that it counts as: two for a residual block of two convolutions."""
    reduction: str
    """What makes its output smaller: "/2" for a pool or stride, "average"; empty where nothing does."""
    size: int | None
    """Height of its output; None where the run does not tell."""
    skip: bool
    """Whether an identity skip around it and the layer before ends here."""
    group: int
    """The group it decides with, from 0."""


class NetworkOutline(NamedTuple):
    """A network and its partition."""

    name: str
    layers: list[Layer]
    head: list[str]
    """Fully connected layers, such as ["64", "10 classes"]."""
    size: int | None
    """Height of the image; None where the run does not tell."""
    groups: list[str]
    """Layers of every group, such as "1-5"."""


def network_outline(run: Run) -> NetworkOutline:
    """Read the outline off a run.

    ``environment.json`` lists the layers. In runs of earlier versions it holds a line of text about them, such as
    "32@3x3, 32@3x3 /2; head 64, classes": then a layer is drawn with its text alone.

    Raises:
        ReportError: The run says nothing about its layers.
    """
    told, stream = run.environment.get("layers"), nested(run.stream.get("outline"))
    classes = set(map(str, listed(stream.get("classes"))))
    last = f"{classes.pop()} classes" if len(classes) == 1 else "classes"
    size = None
    if isinstance(told, list):
        size = whole([*listed(stream.get("shape")), None, None][1])
        try:
            layers = _layers([row for row in told if row["kind"] != "linear"], size)
            head = [*(str(row["units"]) for row in told if row["kind"] == "linear"), last]
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
            layers, head = [], []  # a damaged file
    else:
        body, _, hidden = str(told or "").partition("; head ")
        depth = max((len(bits) for bits in run.configurations if bits), default=0)
        texts = [text.strip() for text in body.split(",")] if body else [""] * depth
        layers = [Layer(text, 2 if text.startswith("block") else 1, "", None, False, 0) for text in texts]
        head = [last if text.strip() == "classes" else text.strip() for text in hidden.split(",") if text.strip()]
    if not layers:
        raise ReportError(
            f"a run must tell its layers to be drawn ({run.folder} has neither `layers` in environment.json nor a"
            " configuration); run it with this version of lasem, or wait for its first task"
        )
    partition = _partition(run, layers)
    group_of = {layer: number for number, group in enumerate(partition.groups) for layer in group}
    firsts = [1 + sum(layer.convolutions for layer in layers[:i]) for i in range(len(layers))]
    grouped = [layer._replace(group=group_of.get(first, 0)) for layer, first in zip(layers, firsts, strict=True)]
    return NetworkOutline(run.network, grouped, head, size, [", ".join(ranges(group)) for group in partition.groups])


def network(data: NetworkOutline, shares: Choices | None = None) -> Figure:
    """Boxes from the input at the left to the head at the right, filled by group; below, the share of tasks.

    Args:
        data: The network.
        shares: How often the tasks share each layer; None where it is not known.
    """
    boxes, frozen = len(data.layers) + len(data.head), bool(shares and shares.frozen)
    figure = canvas(1.95 + 0.4 * bool(shares) + 0.2 * frozen, min(WIDTH, 1.4 + 0.75 * boxes))
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
        _shares(axes, "shared in", shares.layers, _ramp(SHARED) if frozen else LEANING, height=-2.0)
        if frozen:
            _shares(axes, "frozen in", shares.frozen, _ramp(FROZEN), height=-2.4)
    axes.set_xlim(-0.75, boxes - 0.25)
    axes.set_ylim((-2.1 if shares else -1.5) - 0.4 * frozen, 1.5)
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
    lines = text.replace(", ", "\n").replace("+", "\n+") if flat else text
    longest = max(map(len, lines.split("\n"))) if flat else 0  # modules of libraries have long names
    axes.text(
        place, height, lines, ha="center", va="center", rotation=0 if flat else 90, zorder=3,
        fontsize=min(7, 84 / longest) if longest else 7 if boxes < 14 else 5.5,
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


def _shares(axes: Axes, title: str, shares: Sequence[float], colors: Colormap, *, height: float) -> None:
    """A square per layer, colored by how often it is shared, or frozen."""
    middle, size = height + 0.17, 6.5 if len(shares) < 12 else 5
    axes.text(-0.5, middle, title, ha="right", va="center", fontsize=6.5, color=GRAY)
    for i, share in enumerate(shares):
        square = (i - BOX / 2, height), BOX, 0.34
        axes.add_patch(FancyBboxPatch(*square, boxstyle="square,pad=0", linewidth=0, facecolor=colors(share)))
        ink = "white" if share > 0.88 else "black"
        axes.text(i, middle, f"{share:.0%}", ha="center", va="center", fontsize=size, color=ink)


def _ramp(color: str) -> Colormap:
    return LinearSegmentedColormap.from_list("ramp", [UNDECIDED, color])


def _group(text: str) -> str:
    return f"layer {text}" if text.isdigit() else f"layers {text}"


def _layers(rows: Sequence[Mapping[str, Any]], size: int | None) -> list[Layer]:
    """Layers as `Network.layers_table` describes them, for an image of a height."""
    layers = []
    for row in rows:
        shape = "block" if row["kind"] == "block" else f"{row['kernel']}x{row['kernel']}"
        text = row["name"] if row["kind"] == "stage" else f"{shape}, {row['channels']}"
        text += ", norm" if row["kind"].startswith("normed") else ""
        divides = row["divides"]
        size = size and (-(-size // divides) if divides else 1)
        reduction = "average" if divides == 0 else f"/{divides}" if divides > 1 else ""
        layers.append(Layer(text, row["convolutions"], reduction, size, bool(row["skip"]), 0))
    return layers


def _partition(run: Run, layers: list[Layer]) -> Partition:
    """The partition of the spec; where it names none, every layer or block decides for itself."""
    numbers = iter(range(1, 1 + sum(layer.convolutions for layer in layers)))
    single = Partition(tuple(tuple(next(numbers) for _ in range(layer.convolutions)) for layer in layers))
    found = run.partition
    return found if found and found.num_layers == single.num_layers else single
