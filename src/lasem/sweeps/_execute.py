"""Executing a sweep: open runs are attempted, failed attempts are repeated or noted, and the sweep goes on."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from lasem.errors import RunError
from lasem.files import write_atomically
from lasem.runs import RunFolder, RunOptions, exclusive
from lasem.sweeps._attempt import AbstractExecutor, Attempt, AttemptOutcome
from lasem.sweeps._folder import Beginning, Ending, SweepFolder
from lasem.sweeps._plan import Sweep

TURN = 0.2
"""Time in seconds after which signals are handled, at the latest."""

REPEATABLE = ("failed", "died", "stopped")
"""Kinds of ending after which another attempt may succeed."""


def execute(
    sweep: Sweep,
    options: RunOptions,
    executor: AbstractExecutor,
    *,
    retries: int = 2,
    watch: Callable[[Ending], None] | None = None,
) -> list[Ending]:
    """Run what is not done yet, and return the last ending of each run that was attempted.

    The first SIGINT or SIGTERM lets every run end after its epoch, a second one ends them at once; then the sweep ends.

    Args:
        sweep: The runs.
        options: Execution options of every run.
        executor: Makes the attempts; it is closed at the end.
        retries: Number of further attempts at a run whose attempt died or raised; each resumes from the checkpoint.
        watch: Called with every ending.

    Raises:
        RunError: The sweep is being executed already, its folder cannot be written, or a run's folder has another spec.
        KeyboardInterrupt: A signal has ended the sweep; `args` contains its number.
    """
    options = replace(options, out=options.out.resolve(), data=options.data and options.data.resolve())
    folder = SweepFolder.of(sweep.name, options.out)
    try:
        folder.create()
        with exclusive(folder):
            write_atomically(folder.plan_path, sweep.plan.model_dump_json(indent=1).encode())
            return _Execution(sweep, options, folder, executor, retries, watch).run()
    finally:
        executor.close()


class _Execution:
    """One execution of a sweep: the attempts that are open, and how runs have ended."""

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
        open_runs = [run.spec for run in sweep.runs if not _done(RunFolder.of(run.spec, options.out))]
        self._first = [Attempt(spec, options, folder, number=1) for spec in open_runs]
        self._open: dict[Future[AttemptOutcome], Attempt] = {}
        self._endings: dict[str, Ending] = {}
        self._signals: list[int] = []

    def run(self) -> list[Ending]:
        """Make attempts until every run has ended, or a signal has ended the sweep."""
        runs, done = len(self._labels), len(self._labels) - len(self._first)
        self._folder.append(Beginning(time=time.time(), runs=runs, done=done, executor=self._executor.name))
        with _handling(self._signals.append):
            handled = 0
            for attempt in self._first:
                self._submit(attempt)
            while self._open:
                if len(self._signals) > handled:
                    handled = len(self._signals)
                    self._executor.stop(at_once=handled > 1)
                wait(self._open, timeout=TURN, return_when=FIRST_COMPLETED)
                for future in [future for future in self._open if future.done()]:
                    self._end(self._open.pop(future), future)
        if self._signals:
            raise KeyboardInterrupt(self._signals[0])
        return list(self._endings.values())

    def _submit(self, attempt: Attempt) -> None:
        """Hand an attempt to the executor, unless the sweep is about to end."""
        if not self._signals:
            self._open[self._executor.submit(attempt)] = attempt

    def _end(self, attempt: Attempt, future: "Future[AttemptOutcome]") -> None:
        """Note how an attempt ended; if another one may succeed, let it begin behind the others."""
        if future.cancelled():  # it has not begun, so there is nothing to note
            return
        outcome = future.result()
        kind = "stopped" if self._signals and outcome.kind == "died" else outcome.kind
        again = kind in REPEATABLE and attempt.number <= self._retries and not self._signals
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
            self._submit(replace(attempt, number=attempt.number + 1))
        if self._watch is not None:
            self._watch(self._endings[name])


def _done(folder: RunFolder) -> bool:
    """Return whether a run has its result; an attempt will tell what is wrong with a damaged one."""
    try:
        return folder.result() is not None
    except RunError:
        return False


@contextmanager
def _handling(note: Callable[[int], None]) -> Iterator[None]:
    """Note SIGINT and SIGTERM instead of ending, in the main thread, which alone receives signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        note(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
