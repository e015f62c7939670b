"""Attempts in processes of their own, so many at once: one that is killed takes no other with it."""

import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from lasem.sweeps._executor import AbstractExecutor, Attempt, AttemptOutcome, make_as_a_process

LATE = ("torch._dynamo", "sklearn.datasets")
"""What runs import when they come to it; imported before processes fork, it costs each of them nothing."""


@dataclass(frozen=True)
class _Worker:
    """A process that makes one attempt.

    Attributes:
        attempt: What it does.
        process: Itself.
        answer: Where its outcome comes from.
    """

    attempt: Attempt
    process: BaseProcess
    answer: Connection


class ProcessPool(AbstractExecutor):
    """Attempts in processes of this machine, which share out the cores.

    Args:
        workers: Processes at once.
        threads: Of the CPU for each; by default those that torch would use, shared out. A run that suits fewer takes
            fewer.
    """

    def __init__(self, workers: int, threads: int | None = None) -> None:
        self.name = f"{workers} processes"
        self._number = workers
        self.threads = threads or max(1, torch.get_num_threads() // workers)
        self._workers: list[_Worker] = []
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__, *LATE])

    @property
    def free(self) -> bool:
        return len(self._workers) < self._number

    @property
    def busy(self) -> bool:
        return bool(self._workers)

    def start(self, attempt: Attempt) -> None:
        answer, asked = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_work, args=(attempt, asked, self.threads), name=attempt.spec.folder)
        process.start()
        asked.close()
        self._workers.append(_Worker(attempt, process, answer))

    def wait(self, seconds: float) -> list[tuple[Attempt, AttemptOutcome]]:
        ended = set(wait([worker.process.sentinel for worker in self._workers], timeout=seconds))
        over = [worker for worker in self._workers if worker.process.sentinel in ended]
        self._workers = [worker for worker in self._workers if worker not in over]
        return [(worker.attempt, _outcome(worker)) for worker in over]

    def stop(self, *, at_once: bool) -> None:
        for worker in self._workers:
            if at_once:
                worker.process.kill()
            else:
                worker.process.terminate()

    def close(self) -> None:
        self.stop(at_once=True)
        for worker in self._workers:
            worker.process.join()
        self._workers = []


def _outcome(worker: _Worker) -> AttemptOutcome:
    """What a process that has ended says, or how it died."""
    worker.process.join()
    try:
        if worker.answer.poll():
            return worker.answer.recv()
    except EOFError:
        pass
    finally:
        worker.answer.close()
    code = worker.process.exitcode or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    log = worker.attempt.folder.log_path(worker.attempt.spec.folder)
    return AttemptOutcome("died", f"its process {how} - what it printed is in {log}")


def _work(attempt: Attempt, answer: Connection, threads: int) -> None:
    """Make an attempt, in a process of its own."""
    os.setpgid(0, 0)  # Ctrl-C reaches the sweep, which asks its runs to stop
    threading.Thread(target=_stop_when_orphaned, daemon=True).start()
    log = os.open(attempt.folder.log_path(attempt.spec.folder), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    torch.set_num_threads(threads)
    answer.send(make_as_a_process(attempt))


def _stop_when_orphaned() -> None:
    """Ask this process to stop when the sweep that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
