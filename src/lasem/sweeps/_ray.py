"""Attempts on a Ray cluster. The only file that imports Ray, and imported only where it is asked for."""

import socket
from typing import Any

from lasem.errors import RunError
from lasem.sweeps._executor import AbstractExecutor, Attempt, AttemptOutcome, make_as_a_process

try:
    import ray
    from ray.exceptions import RayError, TaskCancelledError
except ModuleNotFoundError as error:
    raise RunError(f"--ray needs Ray - there is no module {error.name!r} here - pip install 'lasem[ray]'") from None

REACHABLE = 10.0
"""Seconds in which a cluster must answer."""


class OnRay(AbstractExecutor):
    """Attempts as tasks of a Ray cluster, which decides where, and how many at once. Run folders are on shared storage.

    Args:
        address: Of a cluster; "auto" joins the one that runs here, and starts one on this machine where none does.
        cpus: For each run.
        gpus: For each run; several runs share one with a fraction, such as 0.25.

    Raises:
        RunError: There is no such cluster, or the one that was started here cannot give a run so much.
    """

    def __init__(self, address: str = "auto", *, cpus: float = 1.0, gpus: float = 0.0) -> None:
        if _connect(address):
            _require(CPU=cpus, GPU=gpus)
        self.name = f"Ray, {cpus:g} CPUs and {gpus:g} GPUs a run"
        remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0, max_calls=1)
        self._task: Any = remote(make_as_a_process)
        self._attempts: dict[Any, Attempt] = {}
        self._stops: list[bool] = []

    @property
    def free(self) -> bool:
        return True

    @property
    def busy(self) -> bool:
        return bool(self._attempts)

    def start(self, attempt: Attempt) -> None:
        self._attempts[self._task.remote(attempt)] = attempt

    def wait(self, seconds: float) -> list[tuple[Attempt, AttemptOutcome]]:
        while self._stops:
            at_once = self._stops.pop(0)
            for reference in self._attempts:
                ray.cancel(reference, force=at_once)
        if not self._attempts:
            return []
        ended, _ = ray.wait(list(self._attempts), num_returns=1, timeout=seconds)
        return [(self._attempts.pop(reference), _outcome(reference)) for reference in ended]

    def stop(self, *, at_once: bool) -> None:
        """Left to `wait`: the handler of a signal may have interrupted a call of Ray."""
        self._stops.append(at_once)

    def close(self) -> None:
        ray.shutdown()


def _connect(address: str) -> bool:
    """Join a cluster; whether one was started here, as none was running.

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
                f"--ray names a running cluster - there is none at {address!r}: {error} - start one, or use --ray auto"
            ) from None
        ray.init(address="local", include_dashboard=False, **quiet)
        return True


def _reach(address: str) -> None:
    """Open a connection to host:port, since Ray itself would try for minutes.

    Raises:
        OSError: Nobody answers there.
        ValueError: It is no address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host, int(port)), timeout=REACHABLE).close()


def _require(**wanted: float) -> None:
    """Hold a run's share against what this machine has: no node will join that has more.

    Raises:
        RunError: It has less.
    """
    held = ray.cluster_resources()
    for name, number in wanted.items():
        if number > held.get(name, 0):
            ray.shutdown()
            raise RunError(
                f"a run's share fits on a node - got --{name.lower()}s-per-run {number:g}, this machine has"
                f" {held.get(name, 0):g} - lower it, or join a cluster that has more"
            )


def _outcome(reference: ray.ObjectRef) -> AttemptOutcome:
    """What a task answered, or how it was lost."""
    try:
        return ray.get(reference)
    except TaskCancelledError:
        return AttemptOutcome("stopped")
    except RayError as error:
        return AttemptOutcome("died", f"{type(error).__name__}: {str(error).strip()}")
