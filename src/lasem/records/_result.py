"""The result of a finished run: the measures, and what else tables are made of."""

from pathlib import Path

from pydantic import model_validator

from lasem.metrics import Measures
from lasem.records._events import Digit, Record, Whole
from lasem.records._events import Seconds as Duration


class ResumptionRecord(Record):
    """A line of ``resumptions.jsonl``, written whenever a run is resumed."""

    time: str
    """Time in UTC, in the format of ISO 8601."""
    host: str
    epoch: int
    """Number of epochs trained before; 0 without a checkpoint, so that the run starts anew."""
    checkpoint: str | None = None
    """Name of the checkpoint's file."""
    environment: dict[str, str | int]
    """Versions, device, threads and command of this attempt, as in ``environment.json``."""
    warnings: list[str]
    """Damaged checkpoints, and what may make the result differ from that of an undisturbed run."""


class Parameters(Record):
    """Numbers of parameters that a run stored and trained."""

    shared: Whole
    per_task: list[Whole]
    """Number of parameters in the own branches, mappings and head of each task, as committed."""
    search: Whole
    """Largest number of parameters that were trained at once."""
    rollback: Whole | None = None
    """Largest number of values stored to restore what a task does not share; None in results of old versions."""
    beside: Whole = 0
    """Values stored from task to task that are no parameters, such as EWC's information about earlier tasks."""

    @property
    def held(self) -> int:
        """Number of all values that are stored from task to task."""
        return self.shared + sum(self.per_task) + self.beside


class Grown(Record):
    """Size of what was stored after every task, for all tasks together."""

    parameters: list[Whole]
    units: list[list[Whole]] | None = None
    """Units of each hidden layer after each task, the layer nearest the input first; None where widths are fixed."""


class Seconds(Record):
    """Time that a run took: wall clock, and CPU time."""

    training: Duration
    evaluation: Duration
    cpu: Duration | None = None
    """CPU time of training over all threads; None in results of old versions."""


class RunFacts(Record):
    """Which run a result belongs to."""

    name: str
    learner: str
    benchmark: str
    network: str
    profile: str
    seed: Whole
    device: str
    complete: bool
    tasks: list[str]
    """Names of the tasks, in the order of the stream."""


class Result(Measures, RunFacts):
    """The content of ``result.json``: the measures of a finished run, and what they belong to."""

    # RunFacts is the second base, so that its fields come first in the file.

    configurations: list[list[Digit]] | None
    """Configuration of each task, one digit per stage, first stage first; None for learners without."""
    parameters: Parameters
    growth: Grown | None = None
    """Growth with every task; None in results of old versions."""
    seconds: Seconds

    @model_validator(mode="after")
    def _covers_its_tasks(self) -> "Result":
        """Refuse lists that cover another number of tasks than the names do, which only a damaged file has."""
        tasks, grown = len(self.tasks), self.growth
        sizes = [len(self.accuracy), *([] if self.configurations is None else [len(self.configurations)])]
        most = [len(self.parameters.per_task), *(map(len, (grown.parameters, grown.units or ())) if grown else ())]
        if set(sizes) - {tasks} or max(most) > tasks:
            raise ValueError(f"all lists must cover the {tasks} tasks (got lengths {sorted({*sizes, *most})})")
        return self


def read_result(path: Path) -> Result | None:
    """Read a ``result.json``; None where there is none yet.

    Raises:
        ValidationError: The file is damaged (pydantic's error, a ValueError).
    """
    return Result.model_validate_json(path.read_bytes()) if path.exists() else None
