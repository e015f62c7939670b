"""Attempts in processes of this machine."""

import subprocess
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from lasem.sweeps._attempt import AbstractExecutor, Attempt, AttemptOutcome, make_attempt


class LocalProcesses(AbstractExecutor):
    """Makes every attempt in a process of its own on this machine; a process that is killed takes no other with it.

    Args:
        workers: Number of processes at a time.
        threads: Most CPU threads of each; by default the threads that torch would use are divided among them. A run
            with a small network takes one thread anyway.
    """

    def __init__(self, workers: int = 1, threads: int = 0) -> None:
        self.name = f"{workers} processes" if workers > 1 else "one process"
        self.threads = threads or max(1, _usual_threads() // workers)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="attempt")
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stopping: bool | None = None
        self._lock = threading.Lock()

    def submit(self, attempt: Attempt) -> "Future[AttemptOutcome]":
        return self._pool.submit(make_attempt, attempt, threads=self.threads, started=self._started)

    def stop(self, *, at_once: bool) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._stopping = at_once
            for process in self._processes:
                self._end(process)

    def close(self) -> None:
        self.stop(at_once=True)
        self._pool.shutdown()

    def _started(self, process: "subprocess.Popen[bytes]") -> None:
        """Note a process, and end it at once if the sweep was stopped while it was started."""
        with self._lock:
            self._processes = [other for other in self._processes if other.poll() is None] + [process]
            if self._stopping is not None:
                self._end(process)

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        """Send a process the signal that ends it after its epoch, or at once."""
        if self._stopping:
            process.kill()
        else:
            process.terminate()


def _usual_threads() -> int:
    """Return the number of threads that torch would use, which is imported only where runs are made."""
    import torch

    return torch.get_num_threads()
