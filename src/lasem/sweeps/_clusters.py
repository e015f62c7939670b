"""Executors on clusters; what they need is imported when one is asked for."""

from pathlib import Path

from lasem.sweeps._attempt import AbstractExecutor


def on_ray(address: str = "auto", *, cpus: float = 1.0, gpus: float = 0.0) -> AbstractExecutor:
    """Make an executor on a Ray cluster; Ray is imported here.

    Args:
        address: Address of a cluster; "auto" joins the one that runs here, or starts one on this machine.
        cpus: Number of CPUs of each run.
        gpus: Number of GPUs of each run; a fraction, such as 0.25, lets several runs share one.

    Raises:
        RunError: Ray is not installed, there is no such cluster, or this machine cannot give so much.
    """
    from lasem.sweeps._ray import OnRay

    return OnRay(address, cpus=cpus, gpus=gpus)


def on_slurm(
    folder: Path, *, cpus: int = 1, gpus: int = 0, options: dict[str, str] | None = None, cluster: str = "slurm"
) -> AbstractExecutor:
    """Make an executor that submits every attempt as a SLURM job; submitit is imported here.

    Args:
        folder: Folder for the scripts and logs of the jobs.
        cpus: Number of CPUs of each run.
        gpus: Number of GPUs of each run.
        options: Options of `sbatch` by name, such as {"partition": "gpu", "time": "24:00:00"}.
        cluster: "slurm", or "local" for processes of this machine, as a rehearsal.

    Raises:
        RunError: Submitit is not installed, or there is no SLURM here.
    """
    from lasem.sweeps._slurm import OnSlurm

    return OnSlurm(folder, cpus=cpus, gpus=gpus, options=options, cluster=cluster)
