"""The conditions under which a run computes: device, threads, precision, memory allocator, and versions."""

import ctypes
import platform
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

import torch

from lasem.errors import RunError
from lasem.runs._spec import Precision
from lasem.text import printable

SMALL = 2_000_000
"""Number of multiply-adds per image below which a second thread costs more than it gives."""

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""Numbers of the parameters of glibc's ``mallopt``, from malloc.h."""

NEVER = 2**31 - 1
"""Trim threshold that is never reached."""

PAD, LARGEST = 2**28, 2**30
"""Number of bytes by which the heap grows at least, and below which a tensor comes from the heap."""


def choose_device(name: str) -> torch.device:
    """Return the device of a name; "auto" takes a GPU where there is one.

    Raises:
        RunError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda") or (device.type == "cpu" and device.index):
        raise RunError(f"a device must be cpu, cuda, cuda:N or auto (got {name!r}); choose one of these")
    if device.type == "cuda" and not (device.index or 0) < torch.cuda.device_count():
        raise RunError(
            f"a GPU must exist to be used (got {name!r}, torch {torch.__version__} sees"
            f" {torch.cuda.device_count()} here); use --device cpu, or install a CUDA build of torch"
        )
    return device


def suited_threads(multiply_adds: int) -> int:
    """Return how many threads suit a network: one if its steps are too small to be divided, else all that torch uses.

    Args:
        multiply_adds: Number of multiply-adds for one image.
    """
    return 1 if multiply_adds < SMALL else torch.get_num_threads()


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch use a number of CPU threads inside the context, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def describe(device: torch.device, *, captured: bool) -> dict[str, str | int]:
    """Return versions, device, threads and whether steps are captured, as ``environment.json`` has them."""
    return {
        "lasem": metadata.version("lasem"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": metadata.version("numpy"),
        "platform": platform.platform(),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "captured": captured,
        "command": printable(shlex.join(["lasem", *sys.argv[1:]])),
    }


def _processor() -> str:
    """Return the name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def require_precision(precision: Precision, device: torch.device) -> None:
    """Refuse a precision that a device does not have.

    Raises:
        RunError: The precision needs a GPU.
    """
    if precision == "tf32" and device.type != "cuda":
        raise RunError(
            f"the device must be an NVIDIA GPU for training.precision = 'tf32' (got {device.type!r});"
            " take float32 or bfloat16, or run on a GPU"
        )


@contextmanager
def arithmetic(precision: Precision, device: torch.device) -> Iterator[None]:
    """Compute in a precision inside the context, and as before afterwards.

    With "float32", convolutions and matrix products have its full 24 bits, also on a GPU; with "tf32" they have 11.
    With "bfloat16", these two and what directly follows them have 8 bits, while parameters, losses and the optimizer
    stay float32, and evidence and posterior stay double.

    Args:
        precision: Precision of convolutions and matrix products.
        device: Device that computes them.
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
    """Return whether convolutions and matrix products may use TF32."""
    return bool(torch.backends.cudnn.allow_tf32), bool(torch.backends.cuda.matmul.allow_tf32)


def _allow(convolutions: bool, products: bool) -> None:
    """Let convolutions and matrix products use TF32, or forbid it."""
    torch.backends.cudnn.allow_tf32 = convolutions  # pyright: ignore[reportAttributeAccessIssue]
    torch.backends.cuda.matmul.allow_tf32 = products


def keep_freed_memory() -> bool:
    """Let glibc reuse freed memory, instead of returning every large tensor to the system and asking for it anew.

    A step of a search allocates the same large tensors again and again, and the system clears every new page first. The
    price is that the process holds its peak memory until it ends. Nothing changes except on Linux with glibc.

    Returns:
        Whether it took effect.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, NEVER), (TOP_PAD, PAD))
    taken = [mallopt(parameter, value) for parameter, value in settings]
    return all(taken)
