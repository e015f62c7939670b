"""Random numbers that modules draw while they train, such as dropout: found without values, and decided by a seed."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._python_dispatch import TorchDispatchMode

from lasem.errors import SpecError

SWITCHES = {"dropout_p": 0, "train": False, "training": False}
"""Arguments of operations, and the value with which the operation draws nothing."""


class RandomOperations(TorchDispatchMode):
    """Notes which operations draw random numbers from torch's global generator.

    Attributes:
        found: Names of these operations.

    Raises:
        SpecError: An operation draws them from a generator of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        """Run an operation, and note it if it is random."""
        given = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags:
            # Arguments that have their default value do not arrive here.
            arguments = func._schema.arguments
            values = {argument.name: argument.default_value for argument in arguments}
            values |= dict(zip(values, args, strict=False)) | given
            if values.get("generator") is not None:
                raise SpecError(
                    "the module of a stage must draw random numbers from torch's global generator (got"
                    f" {func} with a generator of its own), because lasem's seed could not decide them; leave the"
                    " generator out"
                )
            if not any(name in values and values[name] == off for name, off in SWITCHES.items()):
                self.found.append(str(func))
        return func(*args, **given)


@contextmanager
def refuse_other_generators() -> Iterator[None]:
    """Refuse code that draws random numbers from Python's or NumPy's generator.

    Raises:
        SpecError: It did.
    """
    before = random.getstate(), np.random.get_state(legacy=False)["state"]["pos"]
    yield
    if before != (random.getstate(), np.random.get_state(legacy=False)["state"]["pos"]):
        raise SpecError(
            "the module of a stage must draw random numbers with torch (got some of Python's random or of NumPy),"
            " because lasem's seed could not decide them; use torch.rand instead"
        )


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Let a seed decide what torch's global generators draw, and leave these generators as they were.

    Args:
        seed: The seed.
        device: Device of the tensors.
    """
    devices = range(torch.cuda.device_count()) if device.type == "cuda" else ()
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def refuse_dropout(head: nn.Module) -> None:
    """Refuse a head with dropout.

    Raises:
        SpecError: It has some.
    """
    for name, child in head.named_modules():
        if isinstance(child, _DropoutNd) and child.p > 0:
            raise SpecError(
                f"a head must not contain dropout (got {type(child).__name__} at {name!r} with p = {child.p}), because"
                " evidence and answers do without it; leave it out, and use training.keep, which drops features"
                " before the head"
            )
