"""Where attempts at runs are made. One interface: this process, a pool of processes, or Ray."""

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lasem.benchmarks import Outline
from lasem.errors import LasemError, RunStopped
from lasem.preflight import Limits, require_memory
from lasem.runs import RunOptions, Signals, choose_device, run
from lasem.specs import Spec
from lasem.sweeps._folder import Kind, SweepFolder

OF_THE_MACHINE = (OSError, MemoryError, RuntimeError)
"""Causes of an error that another attempt may not meet: a full disk, or memory that others took, on a GPU too."""


@dataclass(frozen=True)
class Attempt:
    """One try at a run; the same again goes on from its checkpoint.

    Attributes:
        spec: What is run.
        options: Where and how, with absolute paths.
        folder: Of the sweep.
        number: From 1.
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
        error: What was wrong.
        trace: Where it came from.
    """

    kind: Kind
    error: str | None = None
    trace: str | None = None


class AbstractExecutor(ABC):
    """Makes attempts and hands out how they ended."""

    name: str
    """In a few words, for the log."""

    @property
    @abstractmethod
    def free(self) -> bool:
        """Whether it takes another attempt now."""

    @property
    @abstractmethod
    def busy(self) -> bool:
        """Whether an attempt has not been handed out by `wait` yet."""

    @abstractmethod
    def start(self, attempt: Attempt) -> None:
        """Take an attempt."""

    @abstractmethod
    def wait(self, seconds: float) -> list[tuple[Attempt, AttemptOutcome]]:
        """Attempts that have ended; where there are none, wait for one, as long as that at most."""

    @abstractmethod
    def stop(self, *, at_once: bool) -> None:
        """Let every attempt end after its epoch, or at once. What has not begun does not begin."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing behind."""


class InProcess(AbstractExecutor):
    """One attempt after another, in this process."""

    name = "one process"

    def __init__(self) -> None:
        self._taken: Attempt | None = None
        self._stopping = False

    @property
    def free(self) -> bool:
        return self._taken is None

    @property
    def busy(self) -> bool:
        return self._taken is not None

    def start(self, attempt: Attempt) -> None:
        self._taken = attempt

    def wait(self, seconds: float) -> list[tuple[Attempt, AttemptOutcome]]:
        """Make the attempt, however long it takes."""
        attempt, self._taken = self._taken, None
        return [] if attempt is None else [(attempt, make(attempt, stop=lambda: self._stopping))]

    def stop(self, *, at_once: bool) -> None:
        """Called by the handler of a signal, while an attempt may be under way."""
        self._taken, self._stopping = None, True
        if at_once:
            raise KeyboardInterrupt

    def close(self) -> None:
        self._taken = None


def make(attempt: Attempt, stop: Callable[[], bool]) -> AttemptOutcome:
    """Make an attempt in this process; whatever ends a run by itself is an outcome.

    Args:
        attempt: The attempt.
        stop: Asked after every epoch whether to end there.
    """
    try:
        with attempt.folder.attempt(attempt.spec.folder, attempt.number):
            run(attempt.spec, attempt.options, inspect=_memory_check(attempt), stop=stop)
    except RunStopped:
        return AttemptOutcome("stopped")
    except LasemError as error:
        return AttemptOutcome("failed" if isinstance(error.__cause__, OF_THE_MACHINE) else "refused", str(error))
    except Exception as error:
        return AttemptOutcome("failed", f"{type(error).__name__}: {error}", traceback.format_exc())
    return AttemptOutcome("done")


def _memory_check(attempt: Attempt) -> Callable[[Outline], None]:
    """The check of a run's memory, on the device of the attempt."""
    device = choose_device(attempt.options.device)
    return partial(require_memory, attempt.spec, limits=Limits.of(device), device=device)


def make_as_a_process(attempt: Attempt) -> AttemptOutcome:
    """Make an attempt in a process that has nothing else to do: signals to it ask the run to stop."""
    try:
        with Signals() as signals:
            return make(attempt, stop=signals.received)
    except (KeyboardInterrupt, SystemExit):
        return AttemptOutcome("stopped")
