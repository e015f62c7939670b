"""What a sweep keeps on disk beside its runs: who executes it, how attempts ended, which are under way."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from lasem.records import Record
from lasem.sweeps._hold import Holder, held, holder

Kind = Literal["done", "failed", "refused", "died", "stopped"]
"""How an attempt ended: with a result, by an exception, by an error that another attempt would meet again, with its
process gone, or asked to."""

BRIEF, LONG = 1.0, 300.0
"""Seconds to wait for another sweep that looks at the same file, and for the process of an earlier attempt to end."""


class Beginning(Record):
    """A sweep is executed, for the first time or again; earlier failures will be tried anew."""

    event: Literal["beginning"] = "beginning"
    time: float
    """Seconds since 1970."""
    runs: int
    done: int
    """Runs that have their result already."""
    executor: str


class Ending(Record):
    """An attempt at a run has ended."""

    event: Literal["ending"] = "ending"
    time: float
    run: str
    """Name of the run folder."""
    label: str
    attempt: int
    """Counted from 1 in each execution of the sweep."""
    kind: Kind
    final: bool
    """Whether no other attempt follows in this execution."""
    error: str | None = None
    """The message."""
    trace: str | None = None
    """Where the exception came from."""


_ENTRY: TypeAdapter[Beginning | Ending] = TypeAdapter(Annotated[Beginning | Ending, Field(discriminator="event")])


@dataclass(frozen=True)
class SweepFolder:
    """Files of one sweep: `<out>/sweeps/<name>/`.

    Attributes:
        path: The folder, which may not exist yet.
    """

    path: Path

    @staticmethod
    def of(name: str, out: Path) -> "SweepFolder":
        """The folder of a sweep below a folder of runs."""
        return SweepFolder(out / "sweeps" / name)

    @property
    def outcomes_path(self) -> Path:
        """One line of JSON per beginning and ending."""
        return self.path / "outcomes.jsonl"

    def log_path(self, run: str) -> Path:
        """What the process of a run prints, in a pool."""
        return self.path / "logs" / f"{run}.log"

    def execution(self) -> AbstractContextManager[None]:
        """Hold the sweep, so that nobody else executes it meanwhile.

        Raises:
            RunError: Someone executes it already, or the folder cannot be written.
        """
        return held(self._execution_path, patience=BRIEF)

    def executed_by(self) -> Holder | None:
        """Who executes the sweep now."""
        return holder(self._execution_path)

    def attempt(self, run: str, number: int) -> AbstractContextManager[None]:
        """Hold a run while an attempt at it is made; the process of an earlier one may still be ending.

        Raises:
            RunError: It does not end, or the folder cannot be written.
        """
        return held(self._attempt_path(run), patience=LONG, attempt=number)

    def attempted_by(self, run: str) -> Holder | None:
        """Who makes an attempt at a run now."""
        return holder(self._attempt_path(run))

    def append(self, entry: Beginning | Ending) -> None:
        """Add a line to the outcomes."""
        with self.outcomes_path.open("a", encoding="utf-8") as file:
            if isinstance(entry, Beginning) and file.tell():
                file.write("\n")  # behind a line that was torn when the sweep was killed
            file.write(entry.model_dump_json(exclude_none=True) + "\n")

    def outcomes(self) -> list[Beginning | Ending]:
        """All lines that are whole, of all executions."""
        entries: list[Beginning | Ending] = []
        for line in self.outcomes_path.read_bytes().splitlines() if self.outcomes_path.exists() else ():
            try:
                entries.append(_ENTRY.validate_json(line))
            except ValidationError:  # blank or torn
                continue
        return entries

    def endings(self) -> dict[str, Ending]:
        """The last ending of each run in the last execution."""
        found: dict[str, Ending] = {}
        for entry in self.outcomes():
            match entry:
                case Beginning():
                    found = {}
                case Ending():
                    found[entry.run] = entry
        return found

    @property
    def _execution_path(self) -> Path:
        return self.path / "execution.lock"

    def _attempt_path(self, run: str) -> Path:
        return self.path / "attempts" / f"{run}.lock"
