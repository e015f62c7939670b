"""Checks of a model in pieces: they own their parameters, and compute what the model computes."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lasem.errors import SpecError
from lasem.nn._graph_cut import Pieces
from lasem.nn._initializers import generator
from lasem.nn._parameters import tensors_of
from lasem.nn._template import BATCH
from lasem.nn._trace import first_tensor
from lasem.seeds import derive_seed


def require_apart(pieces: Pieces) -> None:
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


def example_of(model: nn.Module, shape: tuple[int, ...], *, tokens: bool) -> Tensor:
    """Draw two inputs on which a model and its stages are compared."""
    source = generator(derive_seed(0, "example"))
    if not tokens:
        return torch.rand(BATCH, *shape, generator=source)
    words = next((m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding)), 2)
    return torch.randint(words, (BATCH, prod(shape)), generator=source)


def require_agreement(model: nn.Module, pieces: Pieces, example: Tensor) -> None:
    """Compare the features of a model with what its stages compute one after another.

    Raises:
        SpecError: They differ, or a stage writes over its input.
    """
    if not _has_values(model):
        return
    try:
        found = _composed(pieces, example)
    except SpecError:
        raise
    except Exception as error:
        raise SpecError(
            "stages one after another must run on what the stage before gives (got"
            f" {type(error).__name__}: {error}); name all modules that the model applies, in their order"
        ) from error
    if not _among(found, _features_of(model, pieces.classifier, example)):
        raise SpecError(
            "stages one after another must compute the features of the model (got other values on random inputs);"
            " name all modules that the model applies, in their order, those behind the last stage in tail"
        )


def _has_values(model: nn.Module) -> bool:
    """Whether a model can compute: one on the device meta has shapes alone."""
    return not any(tensor.is_meta for tensor in tensors_of(model).values())


@torch.no_grad()
def require_runnable(model: nn.Module, example: Tensor) -> None:
    """Check that a model as a whole runs on an input, if it has values.

    Raises:
        SpecError: It does not.
    """
    if not _has_values(model):
        return
    try:
        model(example)
    except Exception as error:
        raise SpecError(
            f"the model must run on inputs of shape {tuple(example.shape[1:])} and type {example.dtype} (got"
            f" {type(error).__name__}: {error}); correct shape, as (channels, height, width) without the batch, or"
            " convert the model by model.float()"
        ) from error


@torch.no_grad()
def _composed(pieces: Pieces, example: Tensor) -> Tensor:
    """Apply all pieces one after another: (B, ...) -> (B, F).

    Raises:
        SpecError: A stage writes over its input.
    """
    hidden = example
    for number, piece in enumerate(pieces.stages if pieces.tail is None else [*pieces.stages, pieces.tail]):
        version, given = hidden._version, hidden
        hidden = piece(hidden)
        if given._version != version:
            raise SpecError(
                f"a stage must not write over its input (got stage {number}, which does), because other branches read"
                " it, too; use operations that are not in-place"
            )
    return hidden.flatten(1)


def _among(found: Tensor, expected: Sequence[Tensor]) -> bool:
    """Whether a tensor is equal to one of others."""
    return any(found.shape == other.shape and torch.equal(found, other) for other in expected)


@torch.no_grad()
def _features_of(model: nn.Module, classifier: str | None, example: Tensor) -> list[Tensor]:
    """Run a model, and return what its classifier reads, if it has one, and what the model returns: (B, F) each."""
    read: list[Tensor] = []
    reader = model if classifier is None else model.get_submodule(classifier)
    hook = reader.register_forward_pre_hook(lambda _, args: read.extend(args[:1]))
    result = first_tensor(model(example))
    hook.remove()
    return [tensor.flatten(1) for tensor in ([] if classifier is None else read) + [result]]
