"""Memory that is still available: on a GPU, on the machine, and within the limits of a container or a cluster job."""

import re
from collections.abc import Iterator
from pathlib import Path

import torch

MEMORY = Path("/proc/meminfo")
"""File in which Linux says how much memory there is."""

OWN_GROUPS = Path("/proc/self/cgroup")
"""File in which Linux lists the control groups of this process."""

GROUPS = Path("/sys/fs/cgroup")
"""Folder in which Linux shows the limits of control groups, which containers and cluster jobs are."""


def available_memory(device: torch.device) -> int:
    """Return the bytes that tensors can still take on a device.

    In main memory this is what the system counts as available, or what a control group leaves of its limit, whichever
    is less. Memory that the system can free by dropping caches counts as available.

    Args:
        device: A CPU or a GPU.
    """
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return min([_available(), *_left_by_groups()])


def _available() -> int:
    """Return the bytes that processes can still take, as Linux estimates them, or psutil elsewhere."""
    found = re.search(r"^MemAvailable:\s*(\d+) kB$", _read(MEMORY), flags=re.MULTILINE)
    if found is not None:
        return int(found[1]) * 1024
    import psutil  # installed where there is no such file

    return psutil.virtual_memory().available


def _left_by_groups() -> Iterator[int]:
    """Yield the bytes that every control group of this process, and every group above it, leaves."""
    for line in _read(OWN_GROUPS).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):  # version 2 names no controller; version 1 has a hierarchy for memory
            folder = GROUPS / controllers / path.lstrip("/")
            for group in (folder, *folder.parents):
                if group.is_relative_to(GROUPS):
                    yield from _left_by(group)


def _left_by(group: Path) -> Iterator[int]:
    """Yield the limit minus the use of one control group, or nothing if it has no limit."""
    limit = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
    used = _read(group / "memory.current") or _read(group / "memory.usage_in_bytes")
    if limit.strip().isdigit() and used.strip().isdigit():
        # Inactive file cache counts as used, but the system drops it before it refuses memory.
        cache = re.search(r"^(?:total_)?inactive_file (\d+)$", _read(group / "memory.stat"), flags=re.MULTILINE)
        yield max(0, int(limit) - int(used) + (int(cache[1]) if cache else 0))


def _read(path: Path) -> str:
    """Return the text of a file, empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
