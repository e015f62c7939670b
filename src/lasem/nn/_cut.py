"""Cutting a backbone out of any module: its stages, and one head per task in place of its classifier."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, Required, TypedDict

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lasem.errors import SpecError, require
from lasem.nn._backbone import Backbone
from lasem.nn._graph_cut import Pieces, cut_graph, first_tensor, last_linear
from lasem.nn._initializers import MakeHead, generator
from lasem.nn._low_rank import LoRA
from lasem.nn._mechanisms import AbstractMechanism, HardParameterSharing
from lasem.nn._parameters import tensors_of
from lasem.nn._stage import Own, TransferModule
from lasem.nn._submodules import StageName, find_submodule, stage_names
from lasem.nn._tail import TailHeads, linear_head
from lasem.nn._template import BATCH, Norms
from lasem.seeds import derive_seed

StageModules = nn.Module | Sequence[nn.Module]
"""A module, or a list of modules that are applied one after another, which make one stage."""


class CutOptions(TypedDict, total=False):
    """Options of `Backbone.of`.

    Attributes:
        stages: Names of submodules, patterns such as ``blocks.*``, or lists of these, which make one stage each. Or
            the modules themselves, or lists of them, where the code cannot be traced.
        shape: Shape of an input, without the batch axis, such as (3, 224, 224).
        classifier: Name of the layer that gives the model's logits; by default its last linear layer, if that is
            behind all stages. It is left out, with all that follows.
        tail: Modules behind the last stage, of which each task's head gets a copy; only with a list of modules.
        head: Builds a task's classifier from (features, classes, generator); one linear layer by default.
        own: Kind of a task's own branch; see `TransferModule`.
        frozen: Whether stages have a third branch, their initial values; see `TransferModule`.
        low_rank: Rank and factor of own branches of the kind "lora".
        norms: Which statistics batch norm uses, "task" or "frozen"; see `TransferModule`. By default those of a
            model that was trained are frozen.
        mechanism: How stages share parameters; hard parameter sharing by default.
        tokens: Whether inputs are numbers of tokens, as a text encoder reads them.
        mean: Mean of each channel, subtracted from inputs before the first stage; empty for none.
        deviation: Number for each channel by which the difference is divided.
        check: Whether the model and its stages are compared on random inputs.
        seed: Seed of all initial values that are drawn.
    """

    stages: Required[Sequence[StageName | StageModules]]
    shape: Required[tuple[int, ...]]
    classifier: str | None
    tail: Sequence[nn.Module]
    head: MakeHead
    own: Own
    frozen: bool
    low_rank: LoRA
    norms: Norms | None
    mechanism: AbstractMechanism
    tokens: bool
    mean: Sequence[float]
    deviation: Sequence[float]
    check: bool
    seed: int


def cut_backbone(model: nn.Module, **options: Any) -> Backbone:  # noqa: ANN401 - typed by `Backbone.of`
    """Cut a backbone out of a model; see `Backbone.of` and `CutOptions`.

    Raises:
        SpecError: The model cannot be cut so, or its stages don't compute what it computes.
    """
    unknown = sorted(set(options) - set(CutOptions.__annotations__))
    require(not unknown, "options must be those of CutOptions", remedy="leave out what is unknown", options=unknown)
    shape, tokens = tuple(options["shape"]), options.get("tokens", False)
    # Everything below is done with a copy in evaluation mode, so that the caller's model stays as it is.
    made = _without_overwriting(copy.deepcopy((model, options["stages"], options.get("tail", ()))))
    whole, stages, tail = made
    pieces = _pieces_of(whole, stages, tail=tail, classifier=options.get("classifier"), shape=shape)
    _require_apart(pieces)
    if tokens:
        pieces.stages[0] = nn.Sequential(_Numbers(), pieces.stages[0])
    example = _example(whole, shape, tokens=tokens)
    if options.get("check", True):
        _check(whole, pieces, example)
    if options.get("mean"):
        pieces.stages[0] = nn.Sequential(_Normalized(options["mean"], options["deviation"]), pieces.stages[0])
    norms = options.get("norms") or ("frozen" if _was_trained(whole) else "task")
    kinds = {"own": options.get("own", "copy"), "norms": norms}
    kinds |= {name: options[name] for name in ("frozen", "low_rank") if name in options}
    mechanism = options.get("mechanism") or HardParameterSharing()
    layers = [TransferModule(_always(stage), mechanism, **kinds) for stage in pieces.stages]
    backbone = Backbone(layers, shape=shape, head=linear_head, seed=options.get("seed", 0))
    backbone.make_head = TailHeads(backbone.output_shapes()[-1], pieces.tail, options.get("head", linear_head))
    return backbone


def _pieces_of(
    model: nn.Module,
    stages: Sequence[Any],
    *,
    tail: Sequence[nn.Module],
    classifier: str | None,
    shape: tuple[int, ...],
) -> Pieces:
    """Cut a model by names, or put its modules one after another where these are given."""
    if classifier is not None:
        find_submodule(model, classifier)
    flat = [item for entry in stages for item in (entry if isinstance(entry, list | tuple) else [entry])]
    if not any(isinstance(item, nn.Module) for item in flat):
        require(not tail, "tail must come with a list of modules", remedy="leave it out", tail=list(tail))
        return cut_graph(model, stage_names(model, stages), classifier=classifier, shape=shape)
    given = [list(entry) if isinstance(entry, list | tuple) else [entry] for entry in stages]
    require(
        all(isinstance(item, nn.Module) for item in flat),
        "stages must be all names or all modules",
        remedy="write model.layer1 for 'layer1'",
        stages=[type(item).__name__ for item in flat],
    )
    modules = {id(part) for item in (*flat, *tail) for part in item.modules()}
    taken = [name for name, module in model.named_modules() if id(module) in modules]
    rest = _Chain(list(tail)) if tail else None
    return Pieces([_Chain(entry) for entry in given], rest, classifier or last_linear(model, taken))


class _Chain(nn.Module):
    """Modules one after another, of which each gets the first tensor that the one before returns."""

    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        """Apply all modules: (B, ...) -> (B, ...)."""
        for part in self.parts:
            x = first_tensor(part(x))
        return x


class _Normalized(nn.Module):
    """A normalization of channels with given numbers."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("deviation", torch.tensor(deviation))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize: (B, C, ...) -> (B, C, ...)."""
        shape = (-1, *[1] * (x.dim() - 2))
        return (x - self.mean.view(shape)) / self.deviation.view(shape)


class _Numbers(nn.Module):
    """A conversion of inputs to whole numbers, so that batches of any type can hold tokens."""

    def forward(self, x: Tensor) -> Tensor:
        """Convert: (B, L) -> (B, L)."""
        return x.long()


def _was_trained(model: nn.Module) -> bool:
    """Whether the running statistics of batch norm are not as they were made."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return any(norm.running_mean is not None and bool(norm.running_mean.any()) for norm in norms)


def _always(module: nn.Module) -> Callable[[Generator], nn.Module]:
    """Make a maker that returns this module, whatever the generator."""
    return lambda _: module


def _without_overwriting(made: Any) -> Any:  # noqa: ANN401 - the model and the modules that were given with it
    """Let no activation write its result over its input, which other branches read, and evaluate everything."""
    model, stages, tail = made
    listed = [item for entry in (*stages, tail) for item in (entry if isinstance(entry, list | tuple) else [entry])]
    for module in (model, *(item for item in listed if isinstance(item, nn.Module))):
        module.eval()
        for child in module.modules():
            if getattr(child, "inplace", False) is True:
                vars(child)["inplace"] = False
    return made


def _require_apart(pieces: Pieces) -> None:
    """Refuse parameters and buffers that two stages, or a stage and the head, have in common.

    Raises:
        SpecError: There are such; the message names them.
    """
    owners: dict[int, tuple[str, str]] = {}
    parts = [(f"stage {i}", stage) for i, stage in enumerate(pieces.stages)]
    for place, module in [*parts, *([("the head", pieces.tail)] if pieces.tail is not None else [])]:
        for name, tensor in tensors_of(module).items():
            other, known = owners.setdefault(id(tensor), (place, name))
            if other != place:
                raise SpecError(
                    f"a parameter must belong to one stage (got {known!r} of {other}, which {place} has, too);"
                    " make one stage of both, or give each a copy"
                )
    norms = [] if pieces.tail is None else [m for m in pieces.tail.modules() if isinstance(m, _BatchNorm)]
    if norms:
        raise SpecError(
            f"batch norm must belong to a stage (got {type(norms[0]).__name__} behind the last stage);"
            " add it to the last stage, as in stages=[..., ['layer4', 'norm']]"
        )


def _example(model: nn.Module, shape: tuple[int, ...], *, tokens: bool) -> Tensor:
    """Draw two inputs on which a model and its stages are compared."""
    source = generator(derive_seed(0, "example"))
    if not tokens:
        return torch.rand(BATCH, *shape, generator=source)
    words = next((m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding)), 2)
    return torch.randint(words, (BATCH, *shape), generator=source)


@torch.no_grad()
def _check(model: nn.Module, pieces: Pieces, example: Tensor) -> None:
    """Compare the features of a model with what its stages compute one after another.

    Raises:
        SpecError: They differ, or a stage writes over its input.
    """
    if any(tensor.is_meta for tensor in tensors_of(model).values()):
        return
    expected = _features_of(model, pieces.classifier, example)
    hidden = example
    for number, piece in enumerate(pieces.stages if pieces.tail is None else [*pieces.stages, pieces.tail]):
        version, given = hidden._version, hidden
        hidden = piece(hidden)
        if given._version != version:
            raise SpecError(
                f"a stage must not write over its input (got stage {number}, which does), because other branches read"
                " it, too; use operations that are not in-place"
            )
    if hidden.flatten(1).shape != expected.shape or not torch.equal(hidden.flatten(1), expected):
        raise SpecError(
            "stages one after another must compute the features of the model (got other values on random inputs);"
            " name all modules that the model applies, in their order, those behind the last stage in tail"
        )


def _features_of(model: nn.Module, classifier: str | None, example: Tensor) -> Tensor:
    """Run a model, and return what its classifier reads, or what the model returns without one."""
    read: list[Tensor] = []
    reader = model if classifier is None else model.get_submodule(classifier)
    hook = reader.register_forward_pre_hook(lambda _, args: read.append(args[0]))
    result = first_tensor(model(example))
    hook.remove()
    return (read[0] if classifier is not None and read else result).flatten(1)
