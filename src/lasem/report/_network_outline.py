"""The outline of a network for its drawing: layers, what follows each of them, the head, and the partition."""

from typing import NamedTuple

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
    told = run.environment.get("layers")
    classes = set(nested(run.stream.get("outline")).get("classes") or ())
    last = f"{classes.pop()} classes" if len(classes) == 1 else "classes"
    if isinstance(told, list):
        layers = [
            Layer(str(row["text"]), row["convolutions"], row["reduction"], row["size"], row["skip"], 0) for row in told
        ]
        shape = nested(run.stream.get("outline")).get("shape")
        head, size = [*map(str, run.environment.get("hidden", ())), last], int(shape[1]) if shape else None
    else:
        body, _, hidden = str(told or "").partition("; head ")
        depth = max((len(bits) for bits in run.configurations if bits), default=0)
        texts = [text.strip() for text in body.split(",")] if body else [""] * depth
        layers = [Layer(text, 2 if text.startswith("block") else 1, "", None, False, 0) for text in texts]
        head = [last if text.strip() == "classes" else text.strip() for text in hidden.split(",") if text.strip()]
        size = None
    if not layers:
        raise ReportError(
            f"a run must tell its layers to be drawn ({run.path} has neither `layers` in environment.json nor a"
            " configuration); run it with this version of lasem, or wait for its first task"
        )
    partition = _partition(run, layers)
    group_of = {layer: number for number, group in enumerate(partition.groups) for layer in group}
    firsts = [1 + sum(layer.convolutions for layer in layers[:i]) for i in range(len(layers))]
    grouped = [layer._replace(group=group_of.get(first, 0)) for layer, first in zip(layers, firsts, strict=True)]
    groups = [", ".join(ranges(group)) for group in partition.groups]
    return NetworkOutline(run.network, grouped, head, size, groups)


def _partition(run: Run, layers: list[Layer]) -> Partition:
    """The partition of the spec; where it names none, every layer or block decides for itself."""
    numbers = iter(range(1, 1 + sum(layer.convolutions for layer in layers)))
    single = Partition(tuple(tuple(next(numbers) for _ in range(layer.convolutions)) for layer in layers))
    found = run.partition
    return found if found and found.num_layers == single.num_layers else single
