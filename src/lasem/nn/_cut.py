"""Cutting a backbone out of any module: its stages, and one head per task in place of its classifier."""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Required, TypedDict

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lasem.errors import require
from lasem.nn._backbone import Backbone
from lasem.nn._cut_checks import example_of, require_agreement, require_apart, require_runnable
from lasem.nn._graph_cut import Pieces, cut_graph, last_linear
from lasem.nn._initializers import MakeHead
from lasem.nn._low_rank import LoRA
from lasem.nn._mechanisms import AbstractMechanism, HardParameterSharing
from lasem.nn._redraw import redrawn, require_redrawable
from lasem.nn._stage import Own, TransferModule
from lasem.nn._submodules import StageName, find_submodule, stage_names
from lasem.nn._tail import TailHeads, linear_head
from lasem.nn._template import Norms
from lasem.nn._trace import first_tensor

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
        tail: Names of the modules behind the last stage, or the modules, of which each task's head gets a copy. It
            says that these and the stages follow each other, so no code is traced.
        head: Builds a task's classifier from (features, classes, generator); one linear layer by default.
        own: Kind of a task's own branch; see `TransferModule`. With "new", all layers must have `reset_parameters`.
        frozen: Whether stages have a third branch, their initial values; see `TransferModule`.
        low_rank: Rank and factor of own branches of the kind "lora".
        norms: Which statistics batch norm uses, "task" or "frozen"; see `TransferModule`. By default those of a
            model that was trained are frozen.
        mechanism: How stages share parameters; hard parameter sharing by default.
        tokens: Whether inputs are numbers of tokens, as a text encoder reads them. Their shape is (L,), or (L, 1, 1)
            for tasks, whose images hold the numbers.
        mean: Mean of each channel, subtracted from inputs before the first stage; empty for none.
        deviation: Number for each channel by which the difference is divided.
        check: Whether the model and its stages are compared on random inputs.
        seed: Seed of all initial values that are drawn.
    """

    stages: Required[Sequence[StageName | StageModules]]
    shape: Required[tuple[int, ...]]
    classifier: str | None
    tail: Sequence[str | nn.Module]
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
    absent = sorted(CutOptions.__required_keys__ - options.keys())
    require(not absent, "stages and shape must be given", remedy="give what is missing", missing=absent)
    require(
        isinstance(model, nn.Module),
        "model must be a module of torch",
        remedy="make it first, such as by timm.create_model",
        model=model,
    )
    shape, tokens = tuple(options["shape"]), options.get("tokens", False)
    mean, deviation = (tuple(options.get(name) or ()) for name in ("mean", "deviation"))
    channels = 0 if tokens else shape[0]
    require(
        len(mean) == len(deviation) and len(mean) in (0, channels),
        "mean and deviation must have one number per channel of images",
        remedy="leave both out" if tokens else f"give {channels} numbers each, or none",
        mean=mean,
        deviation=deviation,
    )
    # Everything below is done with a copy in evaluation mode, so that the caller's model stays as it is.
    made = _without_overwriting(copy.deepcopy((model, options["stages"], options.get("tail", ()))))
    whole, stages, tail = made
    example = example_of(whole, shape, tokens=tokens)
    if options.get("check", True):
        require_runnable(whole, example)
    pieces = _pieces_of(whole, stages, tail=tail, classifier=options.get("classifier"), example=example)
    require_apart(pieces)
    if tokens:
        pieces.stages[0] = nn.Sequential(_Numbers(), pieces.stages[0])
    if options.get("check", True):
        require_agreement(whole, pieces, example)
    if mean:
        pieces.stages[0] = nn.Sequential(_Normalized(mean, deviation), pieces.stages[0])
    norms = options.get("norms") or ("frozen" if _was_trained(whole) else "task")
    kinds = {"own": options.get("own", "copy"), "norms": norms}
    kinds |= {name: options[name] for name in ("frozen", "low_rank") if name in options}
    mechanism = options.get("mechanism") or HardParameterSharing()
    if kinds["own"] == "new":
        for number, stage in enumerate(pieces.stages):
            require_redrawable(stage, f"stage {number}", frozen_norms=norms == "frozen")
    layers = [TransferModule(_always(part), mechanism, draw=partial(redrawn, part), **kinds) for part in pieces.stages]
    backbone = Backbone(layers, shape=shape, head=linear_head, seed=options.get("seed", 0))
    backbone.make_head = TailHeads(backbone.output_shapes()[-1], pieces.tail, options.get("head", linear_head))
    return backbone


def _pieces_of(
    model: nn.Module, stages: Sequence[Any], *, tail: Sequence[Any], classifier: str | None, example: Tensor
) -> Pieces:
    """Cut a model by names, or put its modules one after another where these, or a tail, are given."""
    if classifier is not None:
        find_submodule(model, classifier)
    groups = [list(entry) if isinstance(entry, list | tuple) else [entry] for entry in stages]
    given = [item for group in [*groups, list(tail)] for item in group]
    if any(isinstance(item, nn.Module) for item in given):
        require(
            all(isinstance(item, nn.Module) for item in given),
            "stages and tail must be all names or all modules",
            remedy="write model.layer1 for 'layer1'",
            stages=[type(item).__name__ for item in given],
        )
        return _listed(model, groups, list(tail), classifier)
    names = stage_names(model, stages)
    named = [[find_submodule(model, name) for name in stage] for stage in names]
    if tail:
        return _listed(model, named, [find_submodule(model, name) for name in tail], classifier)
    return cut_graph(model, names, classifier=classifier, example=example)


def _listed(
    model: nn.Module, groups: Sequence[list[nn.Module]], tail: list[nn.Module], classifier: str | None
) -> Pieces:
    """Make pieces of modules that are applied one after another."""
    modules = {
        id(part) for module in (*tail, *(module for group in groups for module in group)) for part in module.modules()
    }
    taken = [name for name, module in model.named_modules() if id(module) in modules]
    rest = _Chain(tail) if tail else None
    return Pieces([_Chain(group) for group in groups], rest, classifier or last_linear(model, taken))


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
    """A conversion of inputs to rows of whole numbers, so that the images of a task can hold tokens."""

    def forward(self, x: Tensor) -> Tensor:
        """Convert: (B, L, ...) -> (B, L)."""
        return x.flatten(1).long()


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
