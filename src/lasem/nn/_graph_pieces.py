"""Pieces of a model's graph as modules, each of which reads nothing but the result of the piece before."""

from typing import Any

from torch import Tensor, fx, nn

from lasem.errors import SpecError
from lasem.nn._trace import BATCHES, LISTED, value_of


def divide(model: nn.Module, graph: fx.Graph, ends: list[fx.Node], *, example: Tensor) -> list[nn.Module]:
    """Make a module of every piece of a graph.

    Args:
        model: The model, whose modules the pieces contain.
        graph: The graph of the model.
        ends: The last node of every piece.
        example: A batch of inputs.

    Raises:
        SpecError: A piece reads more than the result of the piece before.
    """
    piece = _assign(graph, ends)
    sizes = _Sizes(model, graph, example)
    found: list[nn.Module] = []
    source = next(node for node in graph.nodes if node.op == "placeholder")
    for number, end in enumerate(ends):
        nodes = [node for node in graph.nodes if piece.get(node) == number]
        found.append(fx.GraphModule(model, _copied(nodes, source, end, sizes), class_name=f"Stage{number}"))
        source = end
    return found


def _assign(graph: fx.Graph, ends: list[fx.Node]) -> dict[fx.Node, int]:
    """Assign every node to a piece: by its place among the ends, or by its user if it depends on no input."""
    nodes = [node for node in graph.nodes if node.op not in ("placeholder", "output")]
    piece: dict[fx.Node, int] = {}
    number, fed = 0, {node for node in graph.nodes if node.op == "placeholder"}
    for node in nodes:
        piece[node] = min(number, len(ends) - 1)
        fed |= {node} if fed & set(node.all_input_nodes) else set()
        number += node in ends
    for node in reversed(nodes):
        if node not in fed:
            piece[node] = min((piece[user] for user in node.users if user in piece), default=piece[node])
    return piece


def _copied(nodes: list[fx.Node], source: fx.Node, end: fx.Node, sizes: "_Sizes") -> fx.Graph:
    """Copy the nodes of one piece into a graph of their own, whose input is the end of the piece before."""
    graph = fx.Graph()
    copies: dict[fx.Node, Any] = {source: graph.placeholder("x")}

    for reader in nodes:
        for node in reader.all_input_nodes:
            if node not in copies:
                copies[node] = sizes.within(node, graph, copies[source], reader=reader, source=source)
        copies[reader] = graph.node_copy(reader, copies.__getitem__)
    graph.output(copies[end])
    graph.lint()
    return graph


class _Sizes:
    """Sizes that a model reads early and uses late, such as that of a batch: they need not cross a cut.

    Args:
        model: The model.
        graph: The graph of the model.
        example: A batch of inputs.
    """

    def __init__(self, model: nn.Module, graph: fx.Graph, example: Tensor) -> None:
        self._model, self._graph, self._example = model, graph, example

    def within(self, node: fx.Node, graph: fx.Graph, x: fx.Node, *, reader: fx.Node, source: fx.Node) -> fx.Node | int:
        """Return the value of a node before the cut, computed from the input of a piece.

        Raises:
            SpecError: The value is no size.
        """
        batches = [self._example[:1].repeat_interleave(batch, 0) for batch in BATCHES]
        found = [value_of(node, self._model, self._graph, batch) for batch in batches]
        if found == list(BATCHES):
            return graph.call_method("size", (x, 0))
        if isinstance(found[0], int) and len(set(found)) == 1:
            return found[0]
        raise SpecError(
            f"an edge of the model must not cross a cut (got {_label(node)} -> {_label(reader)}, which crosses the cut"
            f" behind {_label(source)}); cut elsewhere, make one stage of what it spans, or {LISTED}"
        )


def _label(node: fx.Node) -> str:
    """Name a node in a message: a module by its name in the model, anything else as `torch.fx` does."""
    return str(node.target) if node.op in ("call_module", "get_attr") else node.name
