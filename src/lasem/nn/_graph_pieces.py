"""Pieces of a model's graph as modules, each of which reads nothing but the result of the piece before."""

from typing import Any

import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from lasem.errors import SpecError

LISTED = "give the stages as a list of modules instead, such as stages=[model.first, model.second]"
"""What to do where a graph cannot be cut."""


def divide(model: nn.Module, graph: fx.Graph, ends: list[fx.Node], *, shape: tuple[int, ...]) -> list[nn.Module]:
    """Make a module of every piece of a graph.

    Args:
        model: The model, whose modules the pieces contain.
        graph: The graph of the model.
        ends: The last node of every piece.
        shape: Shape of an input, without the batch axis.

    Raises:
        SpecError: A piece reads more than the result of the piece before.
    """
    piece = _assign(graph, ends)
    sizes = _Sizes(model, graph, shape)
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
        shape: Shape of an input, without the batch axis.
    """

    def __init__(self, model: nn.Module, graph: fx.Graph, shape: tuple[int, ...]) -> None:
        self._model, self._graph, self._shape = model, graph, shape

    def within(self, node: fx.Node, graph: fx.Graph, x: fx.Node, *, reader: fx.Node, source: fx.Node) -> fx.Node | int:
        """Return the value of a node before the cut, computed from the input of a piece.

        Raises:
            SpecError: The value is no size.
        """
        found = [self._value(node, batch) for batch in (2, 3)]
        if found == [2, 3]:
            return graph.call_method("size", (x, 0))
        if isinstance(found[0], int) and found[0] == found[1]:
            return found[0]
        raise SpecError(
            f"an edge of the model must not cross a cut (got {_label(node)} -> {_label(reader)}, which crosses the cut"
            f" behind {_label(source)}); cut elsewhere, make one stage of what it spans, or {LISTED}"
        )

    def _value(self, node: fx.Node, batch: int) -> object:
        """Run the graph without values, and return what a node gives if it is a size."""
        found = _Recorder(fx.GraphModule(self._model, self._graph), node)
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            found.run(torch.empty(batch, *self._shape))
        return found.value if isinstance(found.value, int) else None


class _Recorder(fx.Interpreter):
    """An interpreter of a graph that remembers the value of one node."""

    def __init__(self, module: fx.GraphModule, node: fx.Node) -> None:
        super().__init__(module)
        self.name, self.value = node.name, None

    def run_node(self, n: fx.Node) -> Any:  # noqa: ANN401 - any value of a graph
        """Run a node, and remember its value if it is the one."""
        value = super().run_node(n)
        self.value = value if n.name == self.name else self.value
        return value


def _label(node: fx.Node) -> str:
    """Name a node in a message: a module by its name in the model, anything else as `torch.fx` does."""
    return str(node.target) if node.op in ("call_module", "get_attr") else node.name
