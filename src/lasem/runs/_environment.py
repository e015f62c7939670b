"""What a run runs on: versions, device, threads."""

import platform
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

import torch

from lasem.errors import RunError

SMALL = 2_000_000
"""Multiply-adds of an image below which a second thread costs more than it gives."""


def choose_device(name: str) -> torch.device:
    """The device of a name: "auto" takes a GPU where there is one.

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
        raise RunError(f"a device is cpu, cuda, cuda:N or auto - got {name!r} - choose one of these")
    if device.type == "cuda" and not (device.index or 0) < torch.cuda.device_count():
        raise RunError(
            f"--device {name} needs such a GPU - torch {torch.__version__} sees {torch.cuda.device_count()} here"
            " - use --device cpu, or install a CUDA build of torch"
        )
    return device


def suited_threads(multiply_adds: int) -> int:
    """Threads that suit a network: one where a step is too small to be shared out, else all that torch would use.

    Args:
        multiply_adds: Of one image.
    """
    return 1 if multiply_adds < SMALL else torch.get_num_threads()


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch use so many threads on the CPU, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def describe(device: torch.device, *, captured: bool) -> dict[str, str | int]:
    """Versions, device, threads, and whether steps are captured, as a run keeps them."""
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
        "command": shlex.join(["lasem", *sys.argv[1:]]),
    }


def _processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
