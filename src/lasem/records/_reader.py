"""Readers of ``records.jsonl``: a whole file at once, or a file that is still being written, piece by piece."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from lasem.errors import brief
from lasem.records._events import Event, parse_line
from lasem.records._history import History
from lasem.records._order import Order

LONGEST_LINE = 2**26
"""Most bytes of one line; a longer one is no record."""

MOST_WARNINGS = 3
"""Largest number of lines that a warning names one by one; the others are counted."""


class EventReader:
    """Reads the events that were appended to a file since the last look.

    Args:
        path: A ``records.jsonl``, which may not exist yet.

    Attributes:
        offset: Number of bytes read so far, always at the start of a line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self._warnings: list[str] = []
        self._faults = 0
        self._lines = 0
        self._last = b""
        self._order = Order()

    @property
    def warnings(self) -> list[str]:
        """A warning for each of the first lines that are not events, and one that counts the others."""
        more = self._faults - len(self._warnings)
        return self._warnings + ([f"{self.path}: {more:,} more lines are no records; left out"] if more else [])

    def new_events(self, *, whole: bool = False) -> Iterator[Event]:
        """Yield the events behind those that were read already.

        Args:
            whole: Nothing more is expected, so a last line without an end is read, too, or gets a warning. Otherwise
                it may still be being written and is left for the next call.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.offset)
            while text := file.readline(LONGEST_LINE):
                too_long = len(text) == LONGEST_LINE and not text.endswith(b"\n")
                if not text.endswith(b"\n") and not whole and not too_long:
                    return
                self.offset += len(text)
                self._lines += 1
                self._last = text
                while too_long and (rest := file.readline(LONGEST_LINE)):
                    self.offset += len(rest)
                    self._last, too_long = rest, not rest.endswith(b"\n")
                if text.strip():
                    yield from self._parsed(text)

    def was_rewritten(self) -> bool:
        """Whether what was read already is no longer there: resuming a run cuts its records to the checkpoint."""
        if not self._last:
            return False
        if not self.path.exists():
            return True
        with self.path.open("rb") as file:
            file.seek(self.offset - len(self._last))
            return file.read(len(self._last)) != self._last

    def _parsed(self, text: bytes) -> Iterator[Event]:
        """Yield the event of one line, or note why the line has none."""
        try:
            event = parse_line(text)
        except ValidationError as error:
            reason = error.errors(include_url=False, include_input=False)[0]["msg"]
        else:
            reason = self._order.fault(event)
            if reason is None:
                yield event
                return
        self._faults += 1
        if len(self._warnings) < MOST_WARNINGS:
            self._warnings.append(f"{self.path}, line {self._lines}: not a record ({brief(reason)}); left out")


class HistoryReader:
    """Reads the history of a run that may still be going on; each call reads only what is new.

    Args:
        path: A ``records.jsonl``, which may not exist yet.
        keep_epochs: Store the record of every epoch, see `History`.
    """

    def __init__(self, path: Path, *, keep_epochs: bool = True) -> None:
        self._path = path
        self._keep_epochs = keep_epochs
        self._begin()

    def read(self) -> History:
        """Return the history up to now. It is the same object at every call, until the run is resumed."""
        if self._events.was_rewritten():
            self._begin()
        for event in self._events.new_events():
            self._history.add(event)
        return self._history

    @property
    def warnings(self) -> list[str]:
        """A warning for each of the first lines that are not events, and one that counts the others."""
        return self._events.warnings

    def _begin(self) -> None:
        self._events = EventReader(self._path)
        self._history = History(keep_epochs=self._keep_epochs)


def read_events(path: Path) -> tuple[list[Event], list[str]]:
    """Read the events of a ``records.jsonl``, and warnings about lines that are not events.

    A run that is killed may leave a torn last line; the rest of the file stays readable. Without a file there is no
    event.
    """
    reader = EventReader(path)
    return list(reader.new_events(whole=True)), reader.warnings
