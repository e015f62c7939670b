"""Attempts as jobs of a SLURM cluster. This is the only file that imports submitit, and only when it is asked for."""

import threading
from concurrent.futures import Future
from pathlib import Path

from lasem.errors import RunError
from lasem.sweeps._attempt import AbstractExecutor, Attempt, AttemptOutcome, make_attempt

try:
    import submitit
except ModuleNotFoundError as error:
    raise RunError(
        f"--slurm must find submitit (got: no module {error.name!r} here); pip install 'lasem[slurm]'"
    ) from None

POLL = 5.0
"""Time between two looks at the jobs, in seconds."""


class OnSlurm(AbstractExecutor):
    """Makes every attempt as a job of its own, which waits in SLURM's queue.

    Run folders must be on storage that all machines share. A job that reaches its time limit gets SIGTERM, saves its
    state after the epoch and counts as an attempt; the next attempt resumes it.

    `lasem.sweeps.on_slurm` makes it, and describes its arguments.

    Raises:
        RunError: There is no SLURM here.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cpus: int = 1,
        gpus: int = 0,
        options: dict[str, str] | None = None,
        cluster: str = "slurm",
    ) -> None:
        self.name = f"SLURM, {cpus} CPUs and {gpus} GPUs per run"
        try:
            self._executor = submitit.AutoExecutor(folder=folder / "%j", cluster=cluster)
        except RuntimeError as error:
            raise RunError(f"--slurm must find the command sbatch (got: {error}); log in to a SLURM cluster") from None
        self._executor.update_parameters(
            name="lasem",
            cpus_per_task=cpus,
            gpus_per_node=gpus,
            timeout_min=24 * 60,
            slurm_additional_parameters=options or {},
        )
        self._jobs: dict[Future[AttemptOutcome], submitit.Job[AttemptOutcome]] = {}
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, attempt: Attempt) -> "Future[AttemptOutcome]":
        outcome: Future[AttemptOutcome] = Future()
        self._jobs[outcome] = self._executor.submit(make_attempt, attempt)
        return outcome

    def stop(self, *, at_once: bool) -> None:
        for outcome, job in list(self._jobs.items()):
            if not outcome.done():
                job.cancel()  # SLURM sends SIGTERM, and SIGKILL if the job does not end

    def close(self) -> None:
        self.stop(at_once=True)
        self._closed.set()

    def _watch(self) -> None:
        """Hand out the outcomes of jobs that have ended, until the executor is closed."""
        while not self._closed.wait(POLL):
            for outcome, job in list(self._jobs.items()):
                if not outcome.done() and job.done():
                    outcome.set_result(_outcome(job))


def _outcome(job: "submitit.Job[AttemptOutcome]") -> AttemptOutcome:
    """Return what a job answered, or how it was lost."""
    error = job.exception()
    if error is None:
        return job.result()
    return AttemptOutcome("died", f"job {job.job_id} is {job.state.lower()}; its output is in {job.paths.stderr}")
