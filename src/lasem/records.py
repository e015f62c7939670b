"""What a run leaves behind: one JSON line per event, and a result at the end.

Records are read without torch: by the report, by ``lasem show`` and by whoever opens the files. Epochs are counted
from 1; `epoch` runs over the whole stream, `task_epoch` inside a task, and where candidates take turns, inside a turn.
Positions of tasks in the stream start at 0.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

MOST_CANDIDATES = 64
"""Of a larger configuration space, an epoch's record keeps this many most probable candidates."""


class Record(BaseModel):
    """Base of everything written: frozen, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskRecord(Record):
    """A task of the stream begins."""

    event: Literal["task"] = "task"
    task: int
    identity: int
    """The same number for every visit of the same task."""
    name: str
    classes: int
    images: dict[str, int]
    """Number of images per split: train, valid, test."""
    candidates: list[str] | None = None
    """Names of the candidates by index; None where nothing is searched, or where an index is its name in binary."""


class EpochRecord(Record):
    """One epoch of training on the task at position `task`."""

    event: Literal["epoch"] = "epoch"
    task: int
    epoch: int
    task_epoch: int
    candidate: int | None = None
    """Which candidate was trained, by index, where they take turns; None elsewhere."""
    loss: float
    valid_accuracy: float
    test_accuracy: float | None = None
    """None where the test set was not evaluated after this epoch."""
    configuration: list[int] | None = None
    """The configuration evaluated: one bit per stage, 1 = shared; None for learners without."""
    phase: str | None = None
    """What the task was in, for learners that train in phases (DEN)."""
    units: list[int] | None = None
    """Units of every hidden layer, all tasks together, for learners whose network grows."""
    prior: list[tuple[int, float]] | None = None
    """(index of candidate, probability), by index; of a large space the most probable; None without a search."""
    marginals: list[float] | None = None
    """Per group, the probability that it is shared."""
    entropy: float | None = None
    """Entropy of the prior over the whole space, in nats."""
    evaluated: float | None = None
    """Candidates whose evidence an E-step computed, mean over the epoch; None where it was always all of them."""
    learned: float | None = None
    """Candidates that an M-step went back through, mean over the epoch; None where it was always all of them."""
    skipped: float | None = None
    """Most posterior mass, or the bound on it, that a step of the epoch left out; None where nothing was."""
    training_seconds: float
    evaluation_seconds: float


class DecisionRecord(Record):
    """A task ended: the configuration that was committed; of several for one task, the last one holds."""

    event: Literal["decision"] = "decision"
    task: int
    epoch: int
    configuration: list[int] | None = None
    candidate: int | None = None
    """Its index, where candidates took turns."""
    probability: float | None = None
    units: list[int] | None = None
    """Units of every hidden layer then, for learners whose network grows."""
    margin: float | None = None
    """Its prior less that of the runner-up."""
    certain: int | None = None
    """E-steps after which no other candidate could win any more; None where that was not known before the end."""
    settled: int | None = None
    """E-steps after which it was trained alone."""


class EvaluationRecord(Record):
    """Test accuracy of every task seen so far, after the task at position `task` was learned."""

    event: Literal["evaluation"] = "evaluation"
    task: int
    epoch: int
    accuracy: list[float]
    """By position in the stream, 0 to `task`."""
    parameters: int | None = None
    """Numbers held for all tasks then: parameters, and the places of those that are stored sparsely."""
    seconds: float


class NoteRecord(Record):
    """Something a reader should know: a warning, an observation."""

    event: Literal["note"] = "note"
    text: str


class InterruptedRecord(Record):
    """An attempt ended before the stream did; the last line of the records until the run goes on, which cuts it off."""

    event: Literal["interrupted"] = "interrupted"
    reason: Literal["stopped", "failed"]
    """Stopped as it was asked to, or failed by an error."""
    text: str
    """The message."""
    task: int
    """Position of the task that was open or would have come next."""
    epoch: int
    """Epochs trained until then, over the whole stream."""
    checkpoint: int | None = None
    """Epochs that the last checkpoint holds; None where there is none, so that the run starts anew."""


Event = Annotated[
    TaskRecord | EpochRecord | DecisionRecord | EvaluationRecord | NoteRecord | InterruptedRecord,
    Field(discriminator="event"),
]
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class ResumptionRecord(Record):
    """A line of ``resumptions.jsonl``: a run was gone on with."""

    time: str
    """In UTC, ISO 8601."""
    host: str
    epoch: int
    """Epochs trained before; 0 where there was no checkpoint and the run starts anew."""
    checkpoint: str | None = None
    """Name of its file."""
    environment: dict[str, str | int]
    """Versions, device, threads and command of this attempt, as in ``environment.json``."""
    warnings: list[str]
    """What may make the result another than that of an undisturbed run, and checkpoints that were damaged."""


class Series(Record):
    """A measure per task and its mean; None where undefined."""

    per_task: list[float | None]
    mean: float | None


class PeakAccuracy(Record):
    """Peak per-task accuracy, with the epoch selected by validation and by test accuracy."""

    validation: Series
    test: Series


class ForgettingRatio(Series):
    """Catastrophic forgetting ratio: at the end per task, its mean, and the mean as tasks arrive."""

    curve: list[float | None]
    """Item k - 1: mean over the tasks before k, after task k was learned (k = 1, 2, ...)."""
    reference: Literal["end", "peak"]
    """Accuracy at the end of a task's own training, or its peak there."""


class Parameters(Record):
    """Numbers of parameters held."""

    shared: int
    per_task: list[int]
    """Own branches, mappings and head of each task, as committed."""
    search: int
    """Most parameters trained at once while a task was learned."""
    rollback: int | None = None
    """Most values kept aside to put back what a task does not share; None in results that do not hold it."""
    beside: int = 0
    """Values held from task to task that are no parameters, such as EWC's information about earlier tasks."""


class Grown(Record):
    """How much was held after every task, for all tasks together."""

    parameters: list[int]
    units: list[list[int]] | None = None
    """Per task, units of each hidden layer, nearest the input first; None where widths are fixed."""


class Seconds(Record):
    """Wall-clock time."""

    training: float
    evaluation: float


class Result(Record):
    """The end of a run: what tables are made of."""

    name: str
    learner: str
    benchmark: str
    network: str
    profile: str
    seed: int
    device: str
    complete: bool
    tasks: list[str]
    accuracy: list[list[float | None]]
    """R[i][j]: test accuracy of task j after task i was learned; None for j > i."""
    peak_accuracy: PeakAccuracy
    final_accuracy: float | None
    average_incremental_accuracy: float | None
    forgetting_ratio: ForgettingRatio
    backward_transfer: float | None
    forgetting: float | None
    forward_transfer: float | None
    epochs_to_98_percent: list[int | None]
    configurations: list[list[int]] | None
    """Per task one bit per stage, 1 = shared, first stage first; None for learners without."""
    parameters: Parameters
    growth: Grown | None = None
    """None in results that do not hold it."""
    seconds: Seconds
    undefined: dict[str, str]
    """Why a measure above is None: its name and the reason."""


def chosen_epochs(epochs: Sequence[EpochRecord], decision: DecisionRecord | None) -> list[EpochRecord]:
    """The epochs that are a task's own training: of candidates that took turns, those of the chosen one.

    Args:
        epochs: Of one task, in order.
        decision: None while it is learned: then the candidate that validates best so far, the first of several.
    """
    if not epochs or epochs[0].candidate is None:
        return list(epochs)
    chosen = decision or max(epochs, key=lambda record: record.valid_accuracy)
    return [record for record in epochs if record.candidate == chosen.candidate]


def line(event: Event) -> str:
    """Write an event as one line of JSON, without fields that are None."""
    return event.model_dump_json(exclude_none=True) + "\n"


def read(path: Path) -> tuple[list[Event], list[str]]:
    """Read the events of a ``records.jsonl``, and a warning for each line that is not one.

    A run that is killed may leave a torn last line; the rest of the file stays readable.
    """
    events: list[Event] = []
    warnings: list[str] = []
    for number, text in _lines(path):
        try:
            events.append(_EVENT.validate_json(text))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            warnings.append(f"{path}, line {number}: not a record ({reason}); left out")
    return events, warnings


def read_result(path: Path) -> Result | None:
    """Read a ``result.json``; None where there is none yet."""
    return Result.model_validate_json(path.read_bytes()) if path.exists() else None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number, from 1, and text of the lines that are not blank."""
    if path.exists():
        with path.open("rb") as file:
            yield from ((number, text) for number, text in enumerate(file, start=1) if text.strip())
