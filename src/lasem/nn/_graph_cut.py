"""Cutting a model's graph, found by `torch.fx`, behind its submodules.

Modules that contain no cut are not traced: they are called as they are, so their code may do what it likes.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules.dropout import _DropoutNd

from lasem.errors import SpecError
from lasem.nn._graph_pieces import divide
from lasem.nn._trace import LISTED, trace


@dataclass(frozen=True)
class Pieces:
    """A model in pieces, which compute its features one after another.

    Attributes:
        stages: One module per stage.
        tail: What has parameters behind the last stage, up to the classifier; None for nothing.
        classifier: Name of the classifier; None if the features are what the model returns.
    """

    stages: list[nn.Module]
    tail: nn.Module | None
    classifier: str | None


def cut_graph(model: nn.Module, names: Sequence[Sequence[str]], *, classifier: str | None, example: Tensor) -> Pieces:
    """Cut a model behind the last submodule of every stage.

    What lies between two cuts belongs to the later stage. What follows the last one and has no parameters, such as a
    pool, belongs to the last stage, and dropout there is left out.

    Args:
        model: The model, whose modules the pieces contain.
        names: Submodules of every stage, from input to output.
        classifier: Name of the classifier, which is left out with all that follows. None takes the model's last linear
            layer, if nothing but functions without parameters follows it.
        example: A batch of inputs.

    Raises:
        SpecError: The code cannot be traced, a submodule is not called once, or an edge crosses a cut.
    """
    parts = [name for stage in names for name in stage]
    guess = classifier or last_linear(model, parts)
    traced = parts + ([guess] if guess else [])
    graph = trace(model, traced, example=example).graph
    cuts = [_last([_only_call(graph, name) for name in stage]) for stage in names]
    order = {node: number for number, node in enumerate(graph.nodes)}
    for stage, (first, second) in enumerate(pairwise(cuts)):
        if order[first] > order[second]:
            raise SpecError(
                f"stages must be named in the order in which the model calls them (got {names[stage][-1]!r} before"
                f" {names[stage + 1][-1]!r}); exchange them"
            )
    _require_one_mode(graph, trace(model, traced, example=example, training=True).graph, last=cuts[-1])
    classifier = guess if guess and (classifier or _ends(model, graph, guess, cuts[-1])) else None
    _end_before(graph, classifier)
    for name, cut in zip((stage[-1] for stage in names), cuts, strict=True):
        if cut not in graph.nodes:
            raise SpecError(f"a stage must lead to the features (got {name!r}, which does not); leave it out")
    _without_dropout(model, graph, cuts[-1])
    cuts[-1] = _behind_pools(model, cuts[-1])
    result = next(node for node in graph.nodes if node.op == "output").all_input_nodes[0]
    ends = cuts if result is cuts[-1] else [*cuts, result]
    *stages, tail = [*divide(model, graph, ends, example=example), *([None] if result is cuts[-1] else [])]
    return Pieces([stage for stage in stages if stage is not None], tail, classifier)


def last_linear(model: nn.Module, apart: Sequence[str]) -> str | None:
    """Return the name of a model's last linear layer outside of some submodules; None if there is none."""
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    free = [name for name in names if not any(f"{name}.".startswith(f"{part}.") for part in apart)]
    return free[-1] if free else None


def _require_one_mode(graph: fx.Graph, trained: fx.Graph, *, last: fx.Node) -> None:
    """Refuse code before the last cut that does something else in training, which a graph has no words for.

    Args:
        graph: The model's graph in evaluation mode.
        trained: The same in training mode.
        last: The last cut. Behind it, `training.keep` decides dropout.

    Raises:
        SpecError: There is such code.
    """
    for node, other in zip_longest(graph.nodes, trained.nodes):
        if str(node and node.format_node()) != str(other and other.format_node()):
            found = other or node
            raise SpecError(
                "code with a cut must do the same in training and in answers (got"
                f" {getattr(found.target, '__name__', found.target)}, which depends on self.training);"
                f" use a module such as torch.nn.Dropout there, or {LISTED}"
            )
        if node is last:
            break


def _ends(model: nn.Module, graph: fx.Graph, name: str, last: fx.Node) -> bool:
    """Whether a model's result comes from a layer, behind the last cut, by functions without parameters."""
    order = list(graph.nodes)
    reached: set[fx.Node] = {node for node in order if node.op == "call_module" and node.target == name}
    if len(reached) != 1 or order.index(next(iter(reached))) < order.index(last):
        return False
    for node in order:
        if reached & set(node.all_input_nodes):
            if _has_values(model, node):
                return False
            reached.add(node)
    return order[-1] in reached


def _has_values(model: nn.Module, node: fx.Node) -> bool:
    """Whether a node reads parameters or buffers."""
    return node.op == "get_attr" or (
        node.op == "call_module" and bool(model.get_submodule(str(node.target)).state_dict())
    )


def _end_before(graph: fx.Graph, classifier: str | None) -> None:
    """Let a graph return what the classifier reads, and drop what is not needed for that."""
    if classifier is not None:
        features = _only_call(graph, classifier).all_input_nodes[0]
        next(node for node in graph.nodes if node.op == "output").args = (features,)
    graph.eliminate_dead_code()


def _only_call(graph: fx.Graph, name: str) -> fx.Node:
    """Find the one call of a submodule."""
    calls = [node for node in graph.nodes if node.op == "call_module" and node.target == name]
    if len(calls) != 1:
        raise SpecError(
            "a cut must follow a submodule that the model's forward calls once"
            f" (got {name!r}, which it calls {len(calls)} times); name another submodule, or {LISTED}"
        )
    return calls[0]


def _last(calls: list[fx.Node]) -> fx.Node:
    """Return the last of some calls in the graph; of a module that returns a tuple, the first of the tuple."""
    order = list(calls[0].graph.nodes)
    last = max(calls, key=order.index)
    users = list(last.users)
    firsts = [user for user in users if user.target is operator.getitem and user.args[1] == 0]
    return firsts[0] if len(firsts) == len(users) == 1 else last


def _without_dropout(model: nn.Module, graph: fx.Graph, last: fx.Node) -> None:
    """Take dropout out of what follows the last cut: there `training.keep` decides it."""
    behind = list(graph.nodes)
    for node in behind[behind.index(last) + 1 :]:
        module = model.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, _DropoutNd | nn.Identity) or node.target is F.dropout:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


def _behind_pools(model: nn.Module, cut: fx.Node) -> fx.Node:
    """Move the last cut behind what has no parameters, such as a pool, so that features are small."""
    while len(cut.users) == 1:
        (user,) = cut.users
        if user.op == "output" or user.all_input_nodes != [cut] or _has_values(model, user):
            break
        cut = user
    return cut
