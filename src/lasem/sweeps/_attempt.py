"""One attempt at a run: a process of the command `lasem run`, and what its exit status says."""

import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lasem.files import write_atomically
from lasem.runs import RunFolder, RunOptions, Spec, holder
from lasem.sweeps._folder import Kind, SweepFolder

PATIENCE = 300.0
"""Longest wait, in seconds, for the process of an earlier attempt at the same run to end."""

STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
"""Exit statuses of a run that was asked to stop and has saved its state."""

KINDS: dict[int, Kind] = {0: "done", 1: "failed", 2: "refused", 75: "failed", **dict.fromkeys(STOPPED, "stopped")}
"""How an attempt ended, by the exit status of `lasem run`. Any other status means that the process died."""


@dataclass(frozen=True)
class Attempt:
    """One try at a run. The next try resumes from the checkpoint of this one.

    Attributes:
        spec: The experiment.
        options: Execution options, with absolute paths.
        folder: Folder of the sweep.
        number: Number of the attempt in this execution of the sweep, from 1.
    """

    spec: Spec
    options: RunOptions
    folder: SweepFolder
    number: int


@dataclass(frozen=True)
class AttemptOutcome:
    """How an attempt ended.

    Attributes:
        kind: See `Kind`.
        error: What was wrong, in words.
        trace: Traceback of an exception.
    """

    kind: Kind
    error: str | None = None
    trace: str | None = None


class AbstractExecutor(ABC):
    """Makes attempts, some at a time, and hands out how each of them ended.

    Attributes:
        name: What the log of the sweep calls it.
    """

    name: str

    @abstractmethod
    def submit(self, attempt: Attempt) -> "Future[AttemptOutcome]":
        """Accept an attempt, which begins behind those that were accepted before."""

    @abstractmethod
    def stop(self, *, at_once: bool) -> None:
        """Let every attempt end after its epoch, or at once. Attempts that have not begun never begin."""

    @abstractmethod
    def close(self) -> None:
        """End whatever still runs, and leave no process behind."""


def make_attempt(
    attempt: Attempt, *, threads: int = 0, started: Callable[[subprocess.Popen[bytes]], None] | None = None
) -> AttemptOutcome:
    """Make an attempt in a process of its own, and wait for it to end.

    What the process prints is appended to the run's log file. Its standard input is a pipe from this process: when it
    closes, however this process ends, the run notices, finishes its epoch and saves.

    Args:
        attempt: The attempt.
        threads: Most CPU threads of the process; 0 lets torch decide.
        started: Called with the process as soon as it runs.
    """
    if not _wait_for_earlier(RunFolder.of(attempt.spec, attempt.options.out)):
        return AttemptOutcome(
            "refused", f"another process has been at this run for {PATIENCE:.0f} s; wait for it to end"
        )
    name = attempt.spec.folder
    write_atomically(attempt.folder.spec_path(name), attempt.spec.toml().encode())
    log = attempt.folder.log_path(name)
    with log.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            command(attempt),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=_environment(threads),
            start_new_session=True,  # Ctrl-C reaches the sweep alone, which then asks its runs to stop
        )
    try:
        if started is not None:
            started(process)
        # With a timeout, Python looks after the process in short turns, in which Ray and submitit can interrupt it.
        status = process.wait(timeout=float("inf"))
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        if process.stdin is not None:
            process.stdin.close()
    with log.open("rb") as printed:
        printed.seek(begin)
        return _outcome(status, printed.read().decode(errors="replace"), log)


def command(attempt: Attempt) -> list[str]:
    """Return the command of an attempt."""
    options, every = attempt.options, attempt.options.checkpoint_every
    interval = f"{every.total_seconds():.0f}s" if isinstance(every, timedelta) else str(every)
    words = ["run", str(attempt.folder.spec_path(attempt.spec.folder)), "--until-stdin-closes", "--quiet"]
    words += ["--out", str(options.out), "--device", options.device, "--checkpoint-every", interval]
    words += ["--threads", str(options.threads)]
    words += [] if options.data is None else ["--data", str(options.data)]
    words += ["--capture"] if options.capture else []
    return [sys.executable, "-P", "-m", "lasem.cli", *words]


def _environment(threads: int) -> dict[str, str]:
    """Return the environment of an attempt: whatever can be imported here can be imported there."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    environment.pop("LASEM_DATA", None)  # the command names the folder, or names none for the hub
    return environment | ({"OMP_NUM_THREADS": str(threads)} if threads else {})


def _wait_for_earlier(folder: RunFolder) -> bool:
    """Wait until no process is at a run, and return whether that has happened.

    An attempt of a sweep that was killed, or whose machine lost its connection, may still be finishing its epoch.
    """
    end = time.monotonic() + PATIENCE
    while holder(folder) is not None:
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def _outcome(status: int, printed: str, log: Path) -> AttemptOutcome:
    """Return how an attempt ended, from the exit status of its process and what it has printed."""
    kind = KINDS.get(status)
    if kind is None:
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return AttemptOutcome("died", f"the process {how}; its output is in {log}")
    if kind in ("done", "stopped"):
        return AttemptOutcome(kind)
    if status == 1:
        trace = printed[printed.find("Traceback (most recent call last)") :].strip()
        return AttemptOutcome(kind, (trace.splitlines() or ["an exception"])[-1], trace)
    return AttemptOutcome(kind, printed.rpartition("error: ")[2].strip())
