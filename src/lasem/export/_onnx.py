"""Networks as ONNX graphs: one network, or those of all tasks in one file, where the task is an input."""

import hashlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from lasem.errors import RunError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

LARGEST_BATCH = 2**20


def exported_program(network: nn.Module, shape: tuple[int, int, int]) -> torch.export.ExportedProgram:
    """Trace a network with `torch.export`, for batches of any size.

    Args:
        network: A module that maps (B, C, H, W) to (B, classes).
        shape: Shape of an image.

    Raises:
        RunError: The network's code cannot be traced.
    """
    # Two images, because a batch of one would be taken for a constant.
    example, batch = torch.zeros(2, *shape), torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
    try:
        with _quiet():
            return torch.export.export(network, (example,), dynamic_shapes=({0: batch},))
    except Exception as error:  # torch raises many kinds, by what it cannot trace
        raise RunError(
            f"the network of a task must be traceable by torch.export to be exported (got {_first_line(error)});"
            " use --format safetensors, which needs no trace"
        ) from error


class Together(nn.Module):
    """Networks side by side, which are traced once: (B, C, H, W) -> the logits of each.

    Args:
        networks: The networks.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the logits of every network for the same batch."""
        return tuple(network(images) for network in self.networks)


def onnx_model(networks: Sequence[nn.Module], shape: tuple[int, int, int]) -> "ModelProto":
    """Make an ONNX model with the input "images" and an output "logits", or "logits_0" and so on if there are several.

    Raises:
        RunError: A network cannot be traced, or has an operation that ONNX lacks.
    """
    names = ["logits"] if len(networks) == 1 else [f"logits_{number}" for number in range(len(networks))]
    program = exported_program(Together(networks), shape)
    try:
        with _quiet():
            made = torch.onnx.export(program, dynamo=True, input_names=["images"], output_names=names, verbose=False)
    except Exception as error:
        raise RunError(
            f"the network of a task must have operations that ONNX knows (got {_first_line(error)});"
            " use --format torch-export or safetensors"
        ) from error
    assert made is not None
    model = made.model_proto
    for item in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer, model.graph):
        del item.metadata_props[:]  # paths of source files of the machine that exports
        if hasattr(item, "doc_string"):
            item.doc_string = ""
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model


def all_tasks_model(model: "ModelProto") -> "ModelProto":
    """Make the networks of all tasks branches of one model with the inputs "images" and "task".

    Values that several tasks share are stored once. The task is a scalar of int64, a position in the stream.

    Args:
        model: What `onnx_model` made of the networks of all tasks, in the order of the stream.
    """
    from onnx import TensorProto, helper

    names, stored = _stored(model.graph)
    outputs = model.graph.output
    branches = [_branch(model.graph, task, names) for task in range(len(outputs))]
    sizes = {output.type.tensor_type.shape.dim[1].dim_value for output in outputs}
    kind, classes = outputs[0].type.tensor_type.elem_type, sizes.pop() if len(sizes) == 1 else "classes"
    graph = helper.make_graph(
        _choice(branches, range(len(branches)), stored),
        "tasks",
        [model.graph.input[0], helper.make_tensor_value_info("task", TensorProto.INT64, [])],
        [helper.make_tensor_value_info("logits", kind, ["batch", classes])],
        initializer=list(stored.values()),
    )
    return helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)


def read_onnx(content: bytes, *, with_task: bool) -> Callable[[Tensor, int], Tensor]:
    """Return a function that answers with an ONNX model, by onnxruntime on the CPU.

    It takes pixels (B, C, H, W) and the position of a task, and returns logits (B, classes).

    Args:
        content: The model.
        with_task: Whether the model has the input "task".
    """
    from onnxruntime import InferenceSession

    session = InferenceSession(content, providers=["CPUExecutionProvider"])

    def answer(pixels: Tensor, task: int) -> Tensor:
        number = {"task": np.asarray(task, dtype=np.int64)} if with_task else {}
        (logits,) = session.run(["logits"], {"images": pixels.numpy()} | number)
        return torch.from_numpy(logits)

    return answer


def _stored(graph: "GraphProto") -> tuple[dict[str, str], "dict[str, TensorProto]"]:
    """Return new names of the values of a graph by their old ones, and the values without repetitions by new name."""
    names, stored = {"images": "images", "": ""}, {}
    for value in graph.initializer:
        kept = type(value)()
        kept.CopyFrom(value)
        kept.name = ""
        name = f"value_{hashlib.sha256(kept.SerializeToString()).hexdigest()[:16]}"
        kept.name = names[value.name] = name
        stored.setdefault(name, kept)
    return names, stored


def _branch(graph: "GraphProto", task: int, names: dict[str, str]) -> "GraphProto":
    """Return the nodes that the logits of one task need, as a graph without inputs."""
    from onnx import helper

    output = graph.output[task]
    needed, nodes = {output.name}, []
    for node in reversed(graph.node):  # nodes stand in an order in which they can be computed
        if needed.isdisjoint(node.output):
            continue
        needed.update(node.input)
        kept = type(node)()
        kept.CopyFrom(node)
        kept.name = f"task_{task}/{node.name}"
        kept.ClearField("input")
        kept.ClearField("output")
        kept.input.extend(names.get(name, f"task_{task}/{name}") for name in node.input)
        kept.output.extend(f"task_{task}/{name}" if name else "" for name in node.output)
        nodes.insert(0, kept)
    sizes = [size.dim_param or size.dim_value for size in output.type.tensor_type.shape.dim]
    name = names.get(output.name, f"task_{task}/{output.name}")
    result = helper.make_tensor_value_info(name, output.type.tensor_type.elem_type, sizes)
    return helper.make_graph(nodes, f"task_{task}", [], [result])


def _choice(
    branches: Sequence["GraphProto"], tasks: range, stored: "dict[str, TensorProto]", name: str = "logits"
) -> "list[NodeProto]":
    """Return nodes that run one of the branches, whose number the input "task" has.

    They are nested like a binary tree, because readers limit how deep graphs may be nested.
    """
    from onnx import TensorProto, helper

    if len(tasks) == 1:
        (branch,) = (branches[task] for task in tasks)
        return [*branch.node, helper.make_node("Identity", [branch.output[0].name], [name], name=f"{name}/identity")]
    middle = tasks[len(tasks) // 2]
    stored[f"task_{middle}"] = helper.make_tensor(f"task_{middle}", TensorProto.INT64, [], [middle])
    sides = []
    for side in (range(tasks.start, middle), range(middle, tasks.stop)):
        inner = f"{name}_{side.start}_{side.stop}"
        result = helper.make_tensor_value_info(inner, branches[side.start].output[0].type.tensor_type.elem_type, None)
        sides.append(helper.make_graph(_choice(branches, side, stored, inner), inner, [], [result]))
    lower = helper.make_node("Less", ["task", f"task_{middle}"], [f"{name}/lower"], name=f"{name}/less")
    return [
        lower,
        helper.make_node("If", [f"{name}/lower"], [name], name=name, then_branch=sides[0], else_branch=sides[1]),
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings and progress of torch's exporters, which users cannot act on."""
    logger = logging.getLogger("torch.onnx")  # it warns, for example, that torchvision is not installed
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"
