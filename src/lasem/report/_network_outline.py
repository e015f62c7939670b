"""The outline of a network for its drawing: layers, what follows each of them, the head, and the partition."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lasem.configurations import Partition
from lasem.errors import ReportError
from lasem.formats import ranges
from lasem.report._run import Run, nested


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
    classes = set(stream.get("classes") or ())
    last = f"{classes.pop()} classes" if len(classes) == 1 else "classes"
    size = None
    if isinstance(told, list):
        size = int(stream["shape"][1]) if stream.get("shape") else None
        layers = _layers([row for row in told if row["kind"] != "linear"], size)
        head = [*(str(row["units"]) for row in told if row["kind"] == "linear"), last]
    else:
        body, _, hidden = str(told or "").partition("; head ")
        depth = max((len(bits) for bits in run.configurations if bits), default=0)
        texts = [text.strip() for text in body.split(",")] if body else [""] * depth
        layers = [Layer(text, 2 if text.startswith("block") else 1, "", None, False, 0) for text in texts]
        head = [last if text.strip() == "classes" else text.strip() for text in hidden.split(",") if text.strip()]
    if not layers:
        raise ReportError(
            f"a run must tell its layers to be drawn ({run.path} has neither `layers` in environment.json nor a"
            " configuration); run it with this version of lasem, or wait for its first task"
        )
    partition = _partition(run, layers)
    group_of = {layer: number for number, group in enumerate(partition.groups) for layer in group}
    firsts = [1 + sum(layer.convolutions for layer in layers[:i]) for i in range(len(layers))]
    grouped = [layer._replace(group=group_of.get(first, 0)) for layer, first in zip(layers, firsts, strict=True)]
    return NetworkOutline(run.network, grouped, head, size, [", ".join(ranges(group)) for group in partition.groups])


def _layers(rows: Sequence[Mapping[str, Any]], size: int | None) -> list[Layer]:
    """Layers as `Network.layers_table` describes them, for an image of a height."""
    layers = []
    for row in rows:
        shape = "block" if row["kind"] == "block" else f"{row['kernel']}x{row['kernel']}"
        text = f"{shape}, {row['channels']}" + (", norm" if row["kind"].startswith("normed") else "")
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
