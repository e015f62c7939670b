"""Tracing a model by `torch.fx` as far as its cuts need it, with conditions that depend on shapes decided."""

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from lasem.errors import SpecError
from lasem.nn._submodules import ancestors

LISTED = "give the stages as a list of modules instead, such as stages=[model.first, model.second], tail=[model.norm]"
"""What to do where a graph cannot be cut."""
WHOLE = "model"
"""Name of the model within the module that is traced."""
BATCHES = (2, 3, 1)
"""Sizes of batches with which a value is computed, to know whether it depends on the batch."""


class _OneInput(nn.Module):
    """The model as a function of one input, whose other arguments have their defaults."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Apply the model: (B, ...) -> (B, ...)."""
        return first_tensor(self.model(x))


class _Tracer(fx.Tracer):
    """A tracer that looks into those modules only that contain a cut.

    Args:
        opened: Names of these modules.
        example: A batch of inputs.
    """

    def __init__(self, opened: set[str], example: Tensor) -> None:
        super().__init__()
        self.opened, self.example = opened, example
        self.deciding = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is called as it is."""
        del m
        return module_qualified_name.removeprefix(f"{WHOLE}.") not in self.opened | {WHOLE}

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:  # noqa: ANN401 - what a module returns
        """Call a module, one that forward makes itself included, such as ``nn.ReLU()(x)``."""
        if self.deciding or (m not in (self.submodule_paths or ()) and not m.state_dict()):
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:  # noqa: ANN401
        """Return an attribute of a module: of a parameter its node, but its value while a condition is decided."""
        return attr_val if self.deciding else super().getattr(attr, attr_val, parameter_proxy_cache)

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Decide a condition that depends on types and shapes alone, but not on the size of a batch."""
        self.deciding = True  # what is called now must run, and is no part of the graph
        found = [value_of(obj.node, self.root, self.graph, self.example[:1].repeat_interleave(n, 0)) for n in BATCHES]
        self.deciding = False
        decided = [bool(value) for value in found if isinstance(value, int)]
        if len(set(decided)) == 1 and len(decided) == len(BATCHES):
            return decided[0]
        return super().to_bool(obj)


def first_tensor(result: Any) -> Any:  # noqa: ANN401 - what a library's model returns, or a proxy of it
    """Return the tensor that a model or layer is about: its logits, its last hidden state, or the first of a tuple."""
    if isinstance(result, Mapping):
        names = [name for name in ("logits", "last_hidden_state") if name in result]
        return result[names[0]] if names else next(iter(result.values()))
    return result[0] if isinstance(result, tuple | list) else result


def trace(model: nn.Module, names: list[str], *, example: Tensor, training: bool = False) -> fx.GraphModule:
    """Trace a model.

    Args:
        model: The model, in evaluation mode.
        names: Submodules that become nodes of the graph, and so do all modules that contain none of them.
        example: A batch of inputs.
        training: Whether the code that is traced believes that it is in training mode.

    Raises:
        SpecError: The code depends on values; the message names the line.
    """
    opened = ancestors(names)
    try:
        _set_training(model, opened, training)
        graph = _Tracer(opened, example).trace(_OneInput(model))
    except Exception as error:
        own = {Path(torch.__file__).parent, Path(__file__).parent}
        frames = traceback.extract_tb(error.__traceback__)
        line = [frame for frame in frames if own.isdisjoint(Path(frame.filename).parents)][-1]
        raise SpecError(
            f"the forward of {type(model).__name__} must be traceable by torch.fx, without conditions on values (got"
            f" {type(error).__name__}: {str(error).partition(chr(10))[0]} at {line.filename}:{line.lineno}, in"
            f" `{line.line}`); {LISTED}"
        ) from error
    finally:
        _set_training(model, opened, False)
    for node in graph.nodes:
        if node.op in ("call_module", "get_attr"):
            node.target = str(node.target).removeprefix(f"{WHOLE}.")
    return fx.GraphModule(model, graph)


def _set_training(model: nn.Module, opened: set[str], training: bool) -> None:
    """Set the mode of modules by name, but not of what they contain, which runs in evaluation mode."""
    for name in opened:
        model.get_submodule(name).training = training


def value_of(node: fx.Node, root: nn.Module, graph: fx.Graph, images: Tensor) -> object:
    """Run a graph without values, and return what a node gives; None if it fails or gives a tensor.

    Args:
        node: A node of the graph.
        root: The module whose submodules the graph calls.
        graph: The graph, which need not be complete.
        images: A batch of inputs, of which only the type and the shape count.
    """
    recorder = _Recorder(root, node, graph)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
            recorder.run(mode.from_tensor(images))
    except Exception:  # whatever the code raises, such as at a value that is not there
        return None
    return None if isinstance(recorder.value, Tensor) else recorder.value


class _Recorder(fx.Interpreter):
    """An interpreter of a graph that remembers the value of one node."""

    def __init__(self, root: nn.Module, node: fx.Node, graph: fx.Graph) -> None:
        super().__init__(root, graph=graph)
        self.node, self.value = node, None

    def run_node(self, n: fx.Node) -> Any:  # noqa: ANN401 - any value of a graph
        """Run a node, and remember its value if it is the one."""
        value = super().run_node(n)
        self.value = value if n is self.node else self.value
        return value
