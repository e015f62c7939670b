"""Files of a sweep besides its runs: who executes it, how attempts ended, what their processes printed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from lasem.errors import RunError
from lasem.files import append, writing
from lasem.records import Record

Kind = Literal["done", "failed", "refused", "died", "stopped"]
"""How an attempt ended.

"done": with a result. "failed": with an exception, or an error of the machine. "refused": with an error that another
attempt would meet again. "died": its process or machine is gone. "stopped": it was asked to stop.
"""


class Beginning(Record):
    """Line of the log: an execution of the sweep begins. Runs that failed before are attempted again."""

    event: Literal["beginning"] = "beginning"
    time: float
    """Time of the event, in seconds since 1970."""
    runs: int
    done: int
    """Number of runs that already have a result."""
    executor: str


class Ending(Record):
    """Line of the log: an attempt at a run has ended."""

    event: Literal["ending"] = "ending"
    time: float
    """Time of the event, in seconds since 1970."""
    run: str
    """Name of the run's own folder."""
    label: str
    attempt: int
    """Number of the attempt in this execution of the sweep, from 1."""
    kind: Kind
    final: bool
    """Whether no other attempt follows in this execution."""
    error: str | None = None
    """What was wrong, in words."""
    trace: str | None = None
    """Traceback of an exception, if there was one."""


_ENTRY: TypeAdapter[Beginning | Ending] = TypeAdapter(Annotated[Beginning | Ending, Field(discriminator="event")])


@dataclass(frozen=True)
class SweepFolder:
    """Files of one sweep, in `<out>/sweeps/<name>/`.

    Attributes:
        path: The folder; it may not exist yet.
    """

    path: Path

    @staticmethod
    def of(name: str, out: Path) -> "SweepFolder":
        """Return the folder of a sweep below a folder of runs."""
        return SweepFolder(out / "sweeps" / name)

    @property
    def outcomes_path(self) -> Path:
        """File with one line of JSON per beginning and ending."""
        return self.path / "outcomes.jsonl"

    @property
    def lock_path(self) -> Path:
        """File that is locked while the sweep is executed."""
        return self.path / "lock"

    @property
    def holder_path(self) -> Path:
        """File that says who executes the sweep."""
        return self.path / "holder.json"

    @property
    def plan_path(self) -> Path:
        """File that names the runs of the last execution."""
        return self.path / "plan.json"

    def log_path(self, run: str) -> Path:
        """Return the file with what the processes of a run have printed."""
        return self.path / "logs" / f"{run}.log"

    def spec_path(self, run: str) -> Path:
        """Return the file with the resolved spec of a run, which its process reads."""
        return self.path / "specs" / f"{run}.toml"

    def create(self) -> None:
        """Make the folder and those in it.

        Raises:
            RunError: It cannot be written.
        """
        with writing(self.path):
            for name in ("logs", "specs"):
                (self.path / name).mkdir(parents=True, exist_ok=True)

    def append(self, entry: Beginning | Ending) -> None:
        """Add a line to the log.

        Raises:
            RunError: It cannot be written.
        """
        # An empty line goes first, because the last line is torn if the sweep was killed while it wrote.
        gap = b"\n" if isinstance(entry, Beginning) and self.outcomes_path.exists() else b""
        append(self.outcomes_path, gap + entry.model_dump_json(exclude_none=True).encode() + b"\n")

    def outcomes(self) -> list[Beginning | Ending]:
        """Return all entries of the log that are whole, of all executions.

        Raises:
            RunError: It cannot be read.
        """
        try:
            lines = self.outcomes_path.read_bytes().splitlines() if self.outcomes_path.exists() else []
        except OSError as error:
            raise RunError(
                f"{self.outcomes_path} must be a file that can be read (got {error.strerror}); move it away"
            ) from None
        entries: list[Beginning | Ending] = []
        for line in lines:
            try:
                entries.append(_ENTRY.validate_json(line))
            except ValidationError:  # blank or torn
                continue
        return entries

    def endings(self) -> dict[str, Ending]:
        """Return the last ending of each run in the last execution, by the name of the run folder."""
        found: dict[str, Ending] = {}
        for entry in self.outcomes():
            match entry:
                case Beginning():
                    found = {}
                case Ending():
                    found[entry.run] = entry
        return found
