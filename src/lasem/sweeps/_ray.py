"""Attempts on a Ray cluster. This is the only file that imports Ray, and it is imported only when Ray is asked for."""

import socket
from concurrent.futures import Future
from typing import Any

from lasem.errors import RunError
from lasem.sweeps._attempt import AbstractExecutor, Attempt, AttemptOutcome, make_attempt

try:
    import ray
    from ray.exceptions import RayError, TaskCancelledError
except ModuleNotFoundError as error:
    raise RunError(f"--ray must find Ray (got: no module {error.name!r} here); pip install 'lasem[ray]'") from None

REACHABLE = 10.0
"""Longest time, in seconds, in which a cluster must answer."""


class OnRay(AbstractExecutor):
    """Makes attempts as tasks of a Ray cluster, which decides where, and how many at a time.

    Run folders must be on storage that all machines share.

    Args:
        address: Address of a cluster; "auto" joins the one that runs here, and starts one on this machine if there is
            none.
        cpus: Number of CPUs of each run.
        gpus: Number of GPUs of each run; a fraction, such as 0.25, lets several runs share one.

    Raises:
        RunError: There is no such cluster, or the one that was started here cannot give a run so much.
    """

    def __init__(self, address: str = "auto", *, cpus: float = 1.0, gpus: float = 0.0) -> None:
        if _connect(address):
            _require(CPU=cpus, GPU=gpus)
        self.name = f"Ray, {cpus:g} CPUs and {gpus:g} GPUs per run"
        remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0, max_calls=1)
        self._task: Any = remote(_make)
        self._tasks: dict[Future[AttemptOutcome], Any] = {}

    def submit(self, attempt: Attempt) -> "Future[AttemptOutcome]":
        reference, outcome = self._task.remote(attempt), Future()
        self._tasks[outcome] = reference
        reference.future().add_done_callback(lambda answer: outcome.set_result(_outcome(answer)))
        return outcome

    def stop(self, *, at_once: bool) -> None:
        for outcome, reference in list(self._tasks.items()):
            if not outcome.done():
                ray.cancel(reference, force=at_once)

    def close(self) -> None:
        ray.shutdown()


def _make(attempt: Attempt) -> AttemptOutcome:
    """Make an attempt in a task; a task that is canceled lets the run finish its epoch."""
    try:
        return make_attempt(attempt)
    except KeyboardInterrupt:
        return AttemptOutcome("stopped")


def _connect(address: str) -> bool:
    """Join a cluster, and return whether one was started here because none was running.

    Raises:
        RunError: There is none at the address.
    """
    quiet: Any = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address != "auto":
            _reach(address)
        ray.init(address=address, **quiet)
        return False
    except (OSError, ValueError) as error:
        if address != "auto":
            raise RunError(
                f"--ray must name a running cluster (got {address!r}: {error}); start one there, or use --ray auto"
            ) from None
        ray.init(address="local", include_dashboard=False, **quiet)
        return True


def _reach(address: str) -> None:
    """Open a connection to host:port, because Ray itself would try for minutes.

    Raises:
        OSError: Nobody answers there.
        ValueError: The text is not an address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host, int(port)), timeout=REACHABLE).close()


def _require(**wanted: float) -> None:
    """Compare what a run takes with what this machine has, because no larger machine will join.

    Raises:
        RunError: It has less.
    """
    resources = ray.cluster_resources()
    for name, number in wanted.items():
        if number > resources.get(name, 0):
            ray.shutdown()
            raise RunError(
                f"--{name.lower()}s-per-run must be at most {resources.get(name, 0):g}, which this machine has (got"
                f" {number:g}); lower it, or join a cluster that has more"
            )


def _outcome(answer: "Future[AttemptOutcome]") -> AttemptOutcome:
    """Return what a task answered, or how it was lost."""
    try:
        return answer.result()
    except TaskCancelledError:
        return AttemptOutcome("stopped")
    except RayError as error:
        return AttemptOutcome("died", f"{type(error).__name__}: {str(error).strip()}")
