"""Executing a sweep: what is not done is attempted, what fails is tried again or noted, and the sweep goes on."""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from lasem.errors import RunError
from lasem.runs import RunFolder, RunOptions
from lasem.sweeps._executor import AbstractExecutor, Attempt, AttemptOutcome
from lasem.sweeps._folder import Beginning, Ending, SweepFolder
from lasem.sweeps._spec import Sweep

TURN = 0.2
"""Seconds after which a signal is looked for."""

MENDABLE = ("failed", "died", "stopped")
"""Kinds of ending after which another attempt may do better."""


def execute(
    sweep: Sweep,
    options: RunOptions,
    executor: AbstractExecutor,
    *,
    retries: int = 2,
    watch: Callable[[Ending], None] | None = None,
) -> list[Ending]:
    """Run what is not done yet, and return the last ending of each run that was attempted.

    The first SIGINT or SIGTERM lets runs end after their epoch, a second one at once; the sweep ends with them.

    Args:
        sweep: What to run.
        options: Where and how.
        executor: Where attempts are made; closed at the end.
        retries: Further attempts at a run whose attempt died or raised, each from the checkpoint.
        watch: Called with every ending.

    Raises:
        RunError: The sweep is being executed already, its folder cannot be written, or a run's is another spec's.
        KeyboardInterrupt: A signal has ended the sweep; `args` holds its number.
    """
    options = replace(options, out=options.out.resolve(), data=options.data and options.data.resolve())
    folder = SweepFolder.of(sweep.name, options.out)
    try:
        with folder.execution():
            (folder.path / "logs").mkdir(exist_ok=True)
            return _Execution(sweep, options, folder, executor, retries, watch).run()
    finally:
        executor.close()


class _Execution:
    """One execution of a sweep: what waits, and how runs have ended."""

    def __init__(
        self,
        sweep: Sweep,
        options: RunOptions,
        folder: SweepFolder,
        executor: AbstractExecutor,
        retries: int,
        watch: Callable[[Ending], None] | None,
    ) -> None:
        self._folder, self._executor, self._retries, self._watch = folder, executor, retries, watch
        self._labels = {run.spec.folder: run.label for run in sweep.runs}
        left = [run.spec for run in sweep.runs if not _done(RunFolder.of(run.spec, options.out))]
        self._waiting = deque(Attempt(spec, options, folder, number=1) for spec in left)
        self._endings: dict[str, Ending] = {}
        self._signals: list[int] = []

    def run(self) -> list[Ending]:
        """Until every run has ended, or a signal has ended the sweep."""
        done = len(self._labels) - len(self._waiting)
        runs = len(self._labels)
        self._folder.append(Beginning(time=time.time(), runs=runs, done=done, executor=self._executor.name))
        with _heard(self._signal):
            while self._waiting or self._executor.busy:
                while self._waiting and self._executor.free:
                    self._executor.start(self._waiting.popleft())
                for attempt, outcome in self._executor.wait(TURN):
                    self._end(attempt, outcome)
        if self._signals:
            raise KeyboardInterrupt(self._signals[0])
        return list(self._endings.values())

    def _signal(self, number: int) -> None:
        again = bool(self._signals)
        self._signals.append(number)
        self._waiting.clear()
        self._executor.stop(at_once=again)

    def _end(self, attempt: Attempt, outcome: AttemptOutcome) -> None:
        """Note how an attempt ended; where another may do better, let it wait its turn behind the others."""
        kind = "stopped" if self._signals and outcome.kind == "died" else outcome.kind
        again = kind in MENDABLE and attempt.number <= self._retries and not self._signals
        name = attempt.spec.folder
        self._endings[name] = Ending(
            time=time.time(),
            run=name,
            label=self._labels[name],
            attempt=attempt.number,
            kind=kind,
            final=not again,
            error=outcome.error,
            trace=outcome.trace,
        )
        self._folder.append(self._endings[name])
        if again:
            self._waiting.append(replace(attempt, number=attempt.number + 1))
        if self._watch is not None:
            self._watch(self._endings[name])


def _done(folder: RunFolder) -> bool:
    """Whether a run has its result; of a damaged one an attempt will tell."""
    try:
        return folder.result() is not None
    except RunError:
        return False


@contextmanager
def _heard(hear: Callable[[int], None]) -> Iterator[None]:
    """Hear SIGINT and SIGTERM, in the main thread, where alone Python can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        hear(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
