"""SIGINT and SIGTERM: the first asks a run to stop after its epoch, the second stops it at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

NOTICE = "stopping after this epoch; once more stops at once"


class Signals:
    """Receives SIGINT and SIGTERM while it is open as a context. Only the main thread of a process receives signals.

    Args:
        silent: Whether a display shows the notice, so that the first signal writes nothing itself.

    Attributes:
        number: The first signal; None before it comes.
    """

    def __init__(self, *, silent: bool = False) -> None:
        self.number: signal.Signals | None = None
        self._silent = silent

    def __enter__(self) -> "Signals":
        heard = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
        self._before = {number: signal.signal(number, self._receive) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def output_closed(self) -> None:
        """Ask the run to stop because nobody reads what it prints, as SIGPIPE would tell."""
        if self.number is None:
            self.number = signal.SIGPIPE

    def received(self) -> bool:
        """Return whether a signal has come; a run asks this after every epoch."""
        return self.number is not None

    @property
    def status(self) -> int:
        """Exit status that tells a shell of the signal: 130 for SIGINT, 143 for SIGTERM, 141 for SIGPIPE."""
        return 128 + (self.number or 0)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            raise SystemExit(128 + number)
        self.number = signal.Signals(number)
        if not self._silent:
            os.write(2, f"\n{NOTICE}\n".encode())  # not by print, which the signal may have interrupted


@contextmanager
def hold_signals() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until something is written whole; only the main thread of a process receives them."""
    known = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if threading.current_thread() is not threading.main_thread() or None in known.values():
        yield
        return
    held: list[int] = []
    try:
        for number in known:
            signal.signal(number, lambda number, frame: held.append(number))
        yield
    finally:
        for number, handler in known.items():
            signal.signal(number, handler)
        for number in held:
            signal.raise_signal(number)
