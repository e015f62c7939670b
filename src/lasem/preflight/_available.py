"""Memory that a process may still take: of the GPU, of the machine, and of the container that it runs in."""

import re
from collections.abc import Iterator
from pathlib import Path

import torch

GROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows the limits of containers and of jobs."""

PROC = Path("/proc")


def available_memory(device: torch.device) -> int | None:
    """Bytes that are left for tensors on a device; None where the system does not tell.

    In main memory that is what the system counts as available, or what a control group (a container, a cluster's job)
    leaves of its limit, whichever is less. What the system can drop from its caches counts as available.

    Args:
        device: A CPU or a GPU.
    """
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return min([*_of_machine(), *_of_groups()], default=None)


def _of_machine() -> Iterator[int]:
    """Available on Linux, in all."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", _text(PROC / "meminfo"), flags=re.MULTILINE)
    if match:
        yield 1024 * int(match[1])


def _of_groups() -> Iterator[int]:
    """What each control group above this process leaves, of version 2 and of version 1."""
    for line in _text(PROC / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            for folder in _above(GROUPS / controllers, path):
                yield from _left(folder)


def _above(root: Path, path: str) -> list[Path]:
    """A group's folder and all above it, as far as they are shown here."""
    folder = root / path.lstrip("/")
    return [one for one in (folder, *folder.parents) if one.is_relative_to(root)]


def _left(folder: Path) -> Iterator[int]:
    """Limit minus use, without the file cache that the system would drop first; nothing where there is no limit."""
    limit = _text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes")
    used = _text(folder / "memory.current") or _text(folder / "memory.usage_in_bytes")
    if limit.strip().isdigit() and used.strip().isdigit():
        cache = re.search(r"^(?:total_)?inactive_file (\d+)$", _text(folder / "memory.stat"), flags=re.MULTILINE)
        yield max(0, int(limit) - int(used) + (int(cache[1]) if cache else 0))


def _text(path: Path) -> str:
    """A file's text; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
