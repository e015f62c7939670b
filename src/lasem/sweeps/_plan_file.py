"""The file `plan.json` of a sweep: its runs by name, so that their status can be printed without importing torch."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

import lasem
from lasem.files import read_small
from lasem.records import Record
from lasem.sweeps._folder import SweepFolder
from lasem.sweeps._sweep_file import SweepSpec, beside, read_sweep_file, target_of

GROUPS = ("lasem.learners", "lasem.strategies", "lasem.mechanisms", "lasem.networks", "lasem.benchmarks")
"""Groups of entry points by which installed packages add to the registries."""


class ListedRun(Record):
    """What a list of runs says about one of them."""

    folder: Annotated[str, Field(pattern=r"^[^/\\]+-[0-9a-f]{8}$")]
    """Name of the run folder, which ends in the digest of the spec."""
    label: str
    epochs: int
    """Number of epochs of a task."""


class SweepPlan(Record):
    """The runs of a sweep by name, as they stand in `plan.json`."""

    name: str
    fingerprint: str | None
    """Hash of everything that decides the runs; None if that is not known."""
    runs: list[ListedRun]


def read_plan(path: Path, settings: Sequence[str], out: Path) -> SweepPlan | None:
    """Return the plan that a sweep wrote when it was last executed, if it still describes the sweep's file.

    Args:
        path: File of the sweep.
        settings: Settings that override those of the file.
        out: Folder that contains the run folders.

    Returns:
        The plan; None if there is none, if it cannot be read, or if something that decides the runs has changed.

    Raises:
        SpecError: The sweep's file breaks a rule.
    """
    spec = read_sweep_file(path, settings)
    now = fingerprint(spec, path)
    with suppress(OSError, ValueError, ValidationError):
        plan = SweepPlan.model_validate_json(read_small(SweepFolder.of(spec.name, out).plan_path))
        return plan if now is not None and plan.fingerprint == now else None
    return None


def fingerprint(spec: SweepSpec, path: Path) -> str | None:
    """Hash everything that decides the runs of a sweep: its file, the specs that it names, and what is installed.

    Args:
        spec: Content of the sweep's file.
        path: The file, beside which the specs lie.

    Returns:
        The hash; None if that is not all that decides, because the sweep names plugins or its specs cannot be read.
    """
    if "plugins" in {*spec.grid, *spec.set}:
        return None
    digest = hashlib.sha256(repr(spec).encode())
    for target in sorted({target_of(point) for point in spec.combinations()}):
        if target.endswith(".toml"):
            try:
                content = read_small(Path(beside(path, target)))
            except (OSError, ValueError):
                return None
            if b"plugins" in content:
                return None
            digest.update(content)
    digest.update(repr(_installed()).encode())
    return digest.hexdigest()


def _installed() -> list[object]:
    """Describe the installed code without reading it: its version, its files, and the packages that add to it."""
    files = [path for path in sorted(Path(lasem.__file__).parent.rglob("*")) if path.suffix in (".py", ".toml")]
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    points = [point for group in GROUPS for point in entry_points(group=group)]
    added = [(point.group, point.name, point.value, point.dist and point.dist.version) for point in points]
    return [lasem.__version__, states, sorted(map(str, added))]
