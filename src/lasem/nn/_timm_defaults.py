"""What a network of timm says about itself: where its stages may end, and which images its weights expect."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lasem.errors import SpecError, nearest
from lasem.nn._import_library import import_library

MOST_STAGES = 5
"""Most stages by default: a search over more has many candidates."""
BLOCKS = 4
"""Stages of a network whose blocks all have one resolution, such as a ViT."""


@dataclass(frozen=True)
class TimmDefaults:
    """Options of a network of timm where the user gives none.

    Attributes:
        stages: Names of the submodules of every stage.
        mean: Mean of each channel that the weights expect.
        deviation: Deviation of each channel that the weights expect.
        size: Height and width that images must have; None if the network takes any.
    """

    stages: tuple[tuple[str, ...], ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    size: int | None


def timm_defaults(name: str, stages: Sequence[Sequence[str]] | None = None) -> TimmDefaults:
    """Return the default options of a network of timm; the network is made without values.

    A stage ends where the resolution changes, as the network's `feature_info` says. Where that makes fewer than three
    stages, the blocks are divided into four. A last stage that is long has all that follows, except for the classifier.

    Args:
        name: Name of the network in timm, such as "resnet18".
        stages: Names of the submodules of every stage; None finds them.

    Raises:
        SpecError: timm has no such network, or the network does not say where its stages end.
    """
    timm = import_library("timm", extra="timm")
    try:
        with torch.device("meta"):
            model = timm.create_model(name)
    except Exception as error:
        raise SpecError(
            f"network.name must name what can be made (got 'timm:{name}', which raises {type(error).__name__}:"
            f" {error}); {nearest(name, timm.list_models()) if name else 'correct the name'}"
        ) from error
    about: Mapping[str, Any] = getattr(model, "default_cfg", None) or {}
    size = about["input_size"][-1] if about.get("fixed_input_size") else None
    known = tuple(map(tuple, stages or ())) or _stages(model, name, classifier=about.get("classifier") or ())
    return TimmDefaults(known, tuple(about.get("mean", ())), tuple(about.get("std", ())), size)


def _stages(model: nn.Module, name: str, *, classifier: str | Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the names of the submodules of every stage, in the order in which the model declares them."""
    info: Sequence[Mapping[str, Any]] = list(getattr(model, "feature_info", None) or [])
    modules = dict(model.named_modules())
    ends = [str(entry["module"]) for entry in info if entry.get("module") in modules]
    last = {entry.get("reduction"): str(entry["module"]) for entry in info if entry.get("module") in modules}
    if 3 <= len(last) <= MOST_STAGES:
        ends = list(last.values())
    elif len(ends) > MOST_STAGES:
        ends = [ends[(number + 1) * len(ends) // BLOCKS - 1] for number in range(BLOCKS)]
    if len(ends) < 2:
        raise SpecError(
            f"stages must be given for a network that does not say where its stages end (got timm:{name}); name them"
            f" by --stages, of {', '.join(child for child, _ in model.named_children())}"
        )
    left_out = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    stages: list[tuple[str, ...]] = [()]
    for unit in _units(model, (*ends, *left_out)):
        if unit in left_out or (unit not in ends and not any(True for _ in modules[unit].parameters())):
            continue
        stages[-1] = (*stages[-1], unit)
        if unit in ends[:-1]:
            stages.append(())
    return tuple(filter(None, stages))


def _units(model: nn.Module, ends: Sequence[str], prefix: str = "") -> Iterator[str]:
    """Yield the names of the largest submodules that contain no end but may be one."""
    for child, module in model.named_children():
        name = f"{prefix}{child}"
        if any(end.startswith(f"{name}.") for end in ends):
            yield from _units(module, ends, f"{name}.")
        else:
            yield name
