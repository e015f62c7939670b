"""The precision in which a run computes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lasem.errors import RunError
from lasem.specs import Precision


def require_precision(precision: Precision, device: torch.device) -> None:
    """Refuse a precision that a device does not have.

    Raises:
        RunError: It needs a GPU.
    """
    if precision == "tf32" and device.type != "cuda":
        raise RunError(
            f"training.precision tf32 is a mode of NVIDIA GPUs - got --device {device.type}"
            " - take float32 or bfloat16, or run on a GPU"
        )


@contextmanager
def arithmetic(precision: Precision, device: torch.device) -> Iterator[None]:
    """Compute in this precision, and as before afterwards.

    With "float32" convolutions and matrix products have all 24 bits of it, on a GPU too; "tf32" keeps 11 of them.
    "bfloat16" computes those two, and what directly follows them, with 8 bits; parameters, losses and the optimizer
    stay float32, evidence and posterior double.

    Args:
        precision: Of convolutions and matrix products.
        device: Where they are computed.
    """
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = precision == "tf32"
    # casts are not cached: a cached copy of a parameter would outlive the optimizer's next step
    halved = torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=precision != "bfloat16"
    )
    try:
        with halved:
            yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before
