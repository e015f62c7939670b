"""Libraries of networks, which are extras of lasem."""

import importlib
import importlib.util
from types import ModuleType

import torch

from lasem.errors import SpecError

_DECLARED: list[torch.library.Library] = []
"""Declarations of operators, which last as long as these objects."""


def import_library(name: str, *, extra: str) -> ModuleType:
    """Import a library that lasem does without unless it is asked for.

    Args:
        name: Name of the module to import.
        extra: The extra of lasem that installs it.

    Raises:
        SpecError: It is not installed, or does not go with the others.
    """
    try:
        _import_torchvision()
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:
        raise SpecError(
            f"{name} must be installed for this network (got {type(error).__name__}: {error});"
            f" run pip install 'lasem[{extra}]'"
        ) from error


def _import_torchvision() -> None:
    """Import torchvision, if it is installed, before a library does so, which may be long after its own import."""
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        _declare_operators()
        importlib.import_module("torchvision")


def _declare_operators() -> None:
    """Declare the operators of torchvision, whose Python code refers to them as soon as it is imported.

    The builds of torchvision on PyPI are for torch with CUDA. Beside a torch for CPUs their compiled part is not
    loaded, and the import ends with "operator torchvision::nms does not exist". The networks use neither operator.
    """
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _DECLARED.append(library)
