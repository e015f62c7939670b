"""Sweeps: many runs from one file, made in one process, in several or on a cluster; what fails is tried again."""

from lasem.sweeps._display import shown as shown
from lasem.sweeps._display import standings_table as standings_table
from lasem.sweeps._estimate import estimate_sweep as estimate_sweep
from lasem.sweeps._executor import AbstractExecutor as AbstractExecutor
from lasem.sweeps._executor import InProcess as InProcess
from lasem.sweeps._folder import Ending as Ending
from lasem.sweeps._folder import SweepFolder as SweepFolder
from lasem.sweeps._pool import ProcessPool as ProcessPool
from lasem.sweeps._spec import PlannedRun as PlannedRun
from lasem.sweeps._spec import Sweep as Sweep
from lasem.sweeps._spec import SweepSpec as SweepSpec
from lasem.sweeps._spec import read_sweep as read_sweep
from lasem.sweeps._standing import Standing as Standing
from lasem.sweeps._standing import Watch as Watch
from lasem.sweeps._sweep import execute as execute


def on_ray(address: str = "auto", *, cpus: float = 1.0, gpus: float = 0.0) -> AbstractExecutor:
    """An executor on Ray, which is imported here; see `OnRay`.

    Args:
        address: Of a cluster; "auto" joins the one that runs here, and starts one on this machine where none does.
        cpus: For each run.
        gpus: For each run.

    Raises:
        RunError: Ray is not installed, there is no such cluster, or this machine cannot give so much.
    """
    from lasem.sweeps._ray import OnRay

    return OnRay(address, cpus=cpus, gpus=gpus)
