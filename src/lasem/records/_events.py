"""The events of a run: what happened, as one line of JSON each in ``records.jsonl``.

Epochs are counted from 1. `epoch` runs over the whole stream; `task_epoch` runs inside a task or, where candidates take
turns, inside the turn of one candidate. Positions of tasks in the stream start at 0.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from lasem.configurations import indexed

MOST_CANDIDATES = 64
"""An epoch's record lists at most this many candidates; of a larger space, the most probable ones."""


class Record(BaseModel):
    """Base class of everything that is written to disk. Records are frozen and refuse unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Whole = Annotated[int, Field(ge=0, lt=2**63)]
"""A whole number of at least 0 that any reader can store."""
Position = Annotated[int, Field(ge=0, lt=2**31)]
"""A position in the stream, or the index of a candidate, from 0."""
Index = Annotated[int, Field(ge=0)]
"""The index of a candidate, which may be one of all configurations of many groups."""
Epoch = Annotated[int, Field(ge=1, lt=2**31)]
"""The number of an epoch, from 1."""
Accuracy = Annotated[float, Field(ge=0, le=1)]
"""An accuracy as a fraction."""
Digit = Annotated[int, Field(ge=0, le=2)]
"""A stage of a configuration: 0 own, 1 shared, 2 frozen."""
Probability = Annotated[float, Field(ge=0, le=1.000001)]
"""A probability, rounded to six digits."""
Seconds = Annotated[float, Field(ge=0)]
"""A time in seconds, of at least 0."""


class TaskRecord(Record):
    """Event written when a task of the stream begins."""

    event: Literal["task"] = "task"
    task: Position
    identity: Whole
    """Number of the task itself, the same at every visit of a task that comes back."""
    name: str
    classes: Whole
    images: dict[str, Whole]
    """Number of images per split: train, valid, test."""
    candidates: list[str] | None = None
    """Names of the candidates by index. None without a search, and where a name is the digits of its index."""


class EpochRecord(Record):
    """Event written after every epoch of training on the task at position `task`."""

    event: Literal["epoch"] = "epoch"
    task: Position
    epoch: Whole
    task_epoch: Epoch
    candidate: Position | None = None
    """Index of the trained candidate where candidates take turns (brute force), else None."""
    loss: float
    valid_accuracy: Accuracy
    test_accuracy: Accuracy | None = None
    """None where the test set was not evaluated after this epoch."""
    configuration: list[Digit] | None = None
    """Configuration that was evaluated, one digit per stage; None for learners without configurations."""
    phase: str | None = None
    """Name of the training phase, for learners that train in phases (DEN)."""
    units: list[Whole] | None = None
    """Units per hidden layer, all tasks together, for learners whose network grows."""
    prior: list[tuple[Index, float]] | None = None
    """Pairs (index of candidate, probability) in order of index, at most `MOST_CANDIDATES`; None without a search."""
    marginals: list[float] | None = None
    """Probability that a group is shared, per group."""
    branch_marginals: list[tuple[Probability, Probability, Probability]] | None = None
    """Probabilities of each group's branches (own, shared, frozen); None where there is no frozen branch."""
    entropy: float | None = None
    """Entropy of the prior over the whole space, in nats."""
    margin: float | None = None
    """Prior probability of the leading candidate minus that of the runner-up."""
    spread: float | None = None
    """Mean over the epoch of the largest minus the smallest log-evidence of a batch, in nats; None without evidence."""
    evaluated: float | None = None
    """Mean number of candidates whose evidence an E-step computed; None where that was always all of them."""
    learned: float | None = None
    """Mean number of candidates that an M-step trained; None where that was always all of them."""
    skipped: float | None = None
    """Largest posterior mass (or bound on it) that a step of the epoch left out; None where nothing was left out."""
    training_seconds: Seconds
    evaluation_seconds: Seconds
    cpu_seconds: Seconds | None = None
    """CPU time of the epoch's training over all threads; None in records of old versions."""

    @property
    def branches(self) -> int:
        """Number of branches of every group: 2, or 3 with the frozen one."""
        return 2 if self.branch_marginals is None else 3

    def name(self, index: int, listed: list[str] | None) -> str:
        """Return the name of a candidate, by the candidates of the task's record; one digit per group."""
        return listed[index] if listed else indexed(index, len(self.marginals or ()), branches=self.branches)


class DecisionRecord(Record):
    """Event written when a task is committed, and again when a later task changes its configuration.

    The last decision of a task is the one that counts.
    """

    event: Literal["decision"] = "decision"
    task: Position
    epoch: Whole
    configuration: list[Digit] | None = None
    candidate: Position | None = None
    """Index of the chosen candidate, where candidates took turns."""
    tied: Whole | None = None
    """Number of other candidates that validated equally well, where candidates took turns."""
    probability: float | None = None
    """Prior probability of the chosen configuration at the end of the task."""
    units: list[Whole] | None = None
    """Units per hidden layer after the commit, for learners whose network grows or whose channels are taken."""
    selected: list[Whole] | None = None
    """Units per hidden layer that the task retrained (DEN)."""
    expanded: list[Whole] | None = None
    """Units per hidden layer that stayed of those added for the task (DEN)."""
    split: list[Whole] | None = None
    """Units per hidden layer that were split because they had drifted (DEN)."""
    margin: float | None = None
    """Prior probability of the chosen configuration minus that of the runner-up."""
    certain: Whole | None = None
    """Number of E-steps after which no other candidate could win any more; None if that was open until the end."""
    settled: Whole | None = None
    """Number of E-steps after which the chosen candidate was trained alone."""
    held: list[float] | None = None
    """How earlier tasks hold each stage: its precisions' sum times lambda; None without retention."""
    moving_cost: list[float] | None = None
    """What the distance of each stage from earlier tasks' values cost if it was shared, in nats over all images."""


class EvaluationRecord(Record):
    """Event with the test accuracy of every task so far, written after the task at position `task` was committed."""

    event: Literal["evaluation"] = "evaluation"
    task: Position
    epoch: Whole
    accuracy: list[Accuracy]
    """Test accuracies of the tasks at positions 0 to `task`, as fractions."""
    parameters: Whole | None = None
    """Values stored for all tasks together: parameters, indices of those that are stored sparsely, and what is stored
    besides, such as EWC's information about earlier tasks."""
    seconds: Seconds


class NoteRecord(Record):
    """Event with a warning or an observation that a reader of the run should know."""

    event: Literal["note"] = "note"
    text: str


class InterruptedRecord(Record):
    """Event written when an attempt ends before the stream does.

    It is always the last line of the records: resuming the run removes it.
    """

    event: Literal["interrupted"] = "interrupted"
    reason: Literal["stopped", "failed"]
    """Whether the attempt was stopped on request or failed with an error."""
    text: str
    """Message of the error, or of the stop."""
    task: Position
    """Position of the task that was open, or would have come next."""
    epoch: Whole
    """Number of epochs trained until then, over the whole stream."""
    checkpoint: Whole | None = None
    """Number of epochs in the last checkpoint; None without a checkpoint, so that the run has to start anew."""


Event = Annotated[
    TaskRecord | EpochRecord | DecisionRecord | EvaluationRecord | NoteRecord | InterruptedRecord,
    Field(discriminator="event"),
]
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


def line(event: Event) -> str:
    """Write an event as one line of JSON, without the fields that are None."""
    return event.model_dump_json(exclude_none=True) + "\n"


def parse_line(text: bytes | str) -> Event:
    """Read one line of ``records.jsonl``.

    Raises:
        ValidationError: The line is not an event (pydantic's error, a ValueError).
    """
    return _EVENT.validate_json(text)
