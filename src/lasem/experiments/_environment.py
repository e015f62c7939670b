"""What a run runs on: versions, device, threads."""

import platform
import shlex
import sys
from importlib import metadata

import torch

from lasem.errors import RunError


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
    if device is None or device.type not in ("cpu", "cuda"):
        raise RunError(f"a device is cpu, cuda, cuda:N or auto - got {name!r} - choose one of these")
    if device.type == "cuda" and not (device.index or 0) < torch.cuda.device_count():
        raise RunError(
            f"--device {name} needs such a GPU - torch {torch.__version__} sees {torch.cuda.device_count()} here"
            " - use --device cpu, or install a CUDA build of torch"
        )
    return device


def describe(device: torch.device) -> dict[str, object]:
    """Versions, device and threads, as a run keeps them."""
    return {
        "lasem": metadata.version("lasem"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": metadata.version("numpy"),
        "platform": platform.platform(),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
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
