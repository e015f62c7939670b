"""The precision in which a run computes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lasem.errors import RunError
from lasem.runs._spec import Precision


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
    before = _allowed()
    _allow(precision == "tf32", precision == "tf32")
    # casts are not cached: a cached copy of a parameter would outlive the optimizer's next step
    halved = torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=precision != "bfloat16"
    )
    try:
        with halved:
            yield
    finally:
        _allow(*before)


def _allowed() -> tuple[bool, bool]:
    """Whether convolutions and matrix products may use TF32."""
    return bool(torch.backends.cudnn.allow_tf32), bool(torch.backends.cuda.matmul.allow_tf32)


def _allow(convolutions: bool, products: bool) -> None:
    """Let them use TF32, or not."""
    torch.backends.cudnn.allow_tf32 = convolutions  # pyright: ignore[reportAttributeAccessIssue]
    torch.backends.cuda.matmul.allow_tf32 = products
