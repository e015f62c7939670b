"""The history of a run: its events, one after another, put in order by task, and the measures they give.

Adding an event takes constant time, and without `keep_epochs` an epoch takes some 16 bytes: a run may have several
hundred thousand epochs, and asks after each of them where it stands.
"""

from array import array
from collections.abc import Iterable, Sequence
from math import nan

import numpy as np

from lasem.configurations import indexed
from lasem.metrics import LearningCurve, Measures, Reference, accuracy_matrix, measures
from lasem.records._events import (
    DecisionRecord,
    EpochRecord,
    EvaluationRecord,
    Event,
    InterruptedRecord,
    NoteRecord,
    TaskRecord,
)
from lasem.records._search_track import SearchTrack


class Turn:
    """The training of one candidate, or of the whole task where candidates do not take turns.

    Attributes:
        candidate: Index of the candidate; None where candidates do not take turns.
        best_valid: Best validation accuracy so far; -1 before the first epoch.
        configuration: The configuration of the last epoch; None for learners without configurations.
    """

    def __init__(self, candidate: int | None = None) -> None:
        self.candidate = candidate
        self.best_valid = -1.0
        self.configuration: list[int] | None = None
        self._valid, self._test = array("d"), array("d")

    def add(self, event: EpochRecord) -> None:
        """Take in one epoch. An epoch that was repeated after resuming replaces the earlier one."""
        missing = event.task_epoch - len(self._valid)
        for values in (self._valid, self._test):
            values.extend([nan] * missing)
        self._valid[event.task_epoch - 1] = event.valid_accuracy
        self._test[event.task_epoch - 1] = nan if event.test_accuracy is None else event.test_accuracy
        self.best_valid = max(self.best_valid, event.valid_accuracy)
        self.configuration = event.configuration

    @property
    def epochs(self) -> int:
        """Number of epochs of this turn."""
        return len(self._valid)

    @property
    def curve(self) -> LearningCurve:
        """Learning curve of this turn, with NaN for what was not measured."""
        return LearningCurve(np.array(self._valid), np.array(self._test))


class TaskHistory:
    """What happened to the task at one position of the stream.

    Attributes:
        position: Position in the stream, from 0.
        task: The event with which the task began; None where the records lack it.
        decision: The latest decision; None while the task is open.
        evaluation: Test accuracies of all tasks so far, measured after this one was learned; None until then.
        turns: The training of every candidate by its index; a single entry 0 where candidates do not take turns.
        track: How the search has come to its decision.
        branches: Number of branches that the task searched: 2, or 3 with the frozen one.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self.task: TaskRecord | None = None
        self.decision: DecisionRecord | None = None
        self.evaluation: EvaluationRecord | None = None
        self.turns: dict[int, Turn] = {}
        self.track = SearchTrack()
        self._chosen: int | None = None
        self._groups, self.branches = 0, 2
        self._epochs: dict[tuple[int, int], EpochRecord] = {}
        self._sorted: tuple[EpochRecord, ...] | None = None

    @property
    def name(self) -> str:
        """Name of the task, or its position where the records lack the name."""
        return self.task.name if self.task else f"task {self.position}"

    @property
    def identity(self) -> int:
        """Number of the task itself, the same at every visit; a negative number where the records lack it."""
        return self.task.identity if self.task else -1 - self.position

    @property
    def epochs(self) -> tuple[EpochRecord, ...]:
        """Epochs by candidate and task epoch; empty in a history without `keep_epochs`."""
        if self._sorted is None:
            self._sorted = tuple(event for _, event in sorted(self._epochs.items()))
        return self._sorted

    @property
    def num_epochs(self) -> int:
        """Number of epochs trained on this task, over all candidates."""
        return sum(turn.epochs for turn in self.turns.values())

    @property
    def chosen_turn(self) -> int | None:
        """Candidate whose training counts as that of the task: the chosen one.

        Before the decision it is the candidate with the best validation accuracy so far, the first of several. None
        before the first epoch.
        """
        if self._chosen in self.turns:
            return self._chosen
        return max(self.turns, key=lambda candidate: self.turns[candidate].best_valid, default=None)

    @property
    def chosen(self) -> list[EpochRecord]:
        """Epochs of the task's own training: where candidates took turns, those of the chosen or leading one."""
        return [event for event in self.epochs if (event.candidate or 0) == self.chosen_turn]

    @property
    def curve(self) -> LearningCurve:
        """Learning curve of the task's own training, with NaN for what was not measured."""
        turn = self.chosen_turn
        return Turn().curve if turn is None else self.turns[turn].curve

    def candidate(self, index: int) -> str:
        """Return the name of a candidate, which is one digit per group, the first group first."""
        if self.task and self.task.candidates:
            return self.task.candidates[index]
        return indexed(index, self._groups, branches=self.branches) if self._groups else str(index)

    def add(self, event: TaskRecord | EpochRecord | DecisionRecord | EvaluationRecord, *, keep: bool) -> None:
        """Take in one event of this task; `keep` says whether the records of epochs are stored."""
        match event:
            case TaskRecord():
                self.task = event
            case EpochRecord():
                candidate = event.candidate or 0
                self.turns.setdefault(candidate, Turn(event.candidate)).add(event)
                self.track.add(event)
                self._groups = self._groups or len(event.marginals or ())
                self.branches = event.branches
                if keep:
                    self._epochs[candidate, event.task_epoch] = event
                    self._sorted = None
            case DecisionRecord():
                self.decision = event
                # a later change of the configuration says nothing about which candidate was trained
                self._chosen = self._chosen if event.candidate is None else event.candidate
            case EvaluationRecord():
                self.evaluation = event


class History:
    """The events of a run in order by task, updated one event at a time.

    Args:
        events: Events so far.
        keep_epochs: Store the record of every epoch, as reports need. Without it the history has the same measures and
            counts, in a small share of the memory.

    Attributes:
        tasks: The tasks that were begun, by position.
        position: Position of the task that is open or comes next; the number of tasks once the stream has ended.
        num_epochs: Number of epochs trained, over the whole stream and all candidates.
        latest_epoch: The last epoch; None before the first.
        training_seconds, evaluation_seconds: Wall-clock time spent so far.
        cpu_seconds: CPU time of training so far; None where an epoch lacks it, as in records of old versions.
        notes: Texts of the notes.
        interruption: Why the last attempt ended early; None where it did not.
    """

    def __init__(self, events: Iterable[Event] = (), *, keep_epochs: bool = True) -> None:
        self.tasks: list[TaskHistory] = []
        self.position = 0
        self.num_epochs = 0
        self.latest_epoch: EpochRecord | None = None
        self.training_seconds = 0.0
        self.evaluation_seconds = 0.0
        self.cpu_seconds: float | None = 0.0
        self.notes: list[str] = []
        self.interruption: InterruptedRecord | None = None
        self._keep_epochs = keep_epochs
        self._empty = True
        for event in events:
            self.add(event)

    def __bool__(self) -> bool:
        """Whether there was any event."""
        return not self._empty

    def add(self, event: Event) -> None:
        """Take in the next event; where a record was written twice, the later one counts."""
        self._empty = False
        self.interruption = event if isinstance(event, InterruptedRecord) else None
        match event:
            case NoteRecord():
                self.notes.append(event.text)
                return
            case InterruptedRecord():
                return
            case EpochRecord():
                self.num_epochs, self.latest_epoch = event.epoch, event
                self.training_seconds += event.training_seconds
                self.evaluation_seconds += event.evaluation_seconds
                before, cpu = self.cpu_seconds, event.cpu_seconds
                self.cpu_seconds = None if before is None or cpu is None else before + cpu
            case EvaluationRecord():
                self.position = event.task + 1
                self.evaluation_seconds += event.seconds
            case _:
                pass
        self._task(event.task).add(event, keep=self._keep_epochs)

    @property
    def open_task(self) -> TaskHistory | None:
        """The task that was begun and not yet evaluated; None between tasks."""
        return self.tasks[self.position] if self.position < len(self.tasks) else None

    @property
    def decisions(self) -> list[DecisionRecord]:
        """Latest decision of every task that has ended, by position."""
        return [task.decision for task in self.tasks if task.decision is not None]

    @property
    def configurations(self) -> list[list[int] | None]:
        """Configuration of every task that was begun, one digit per stage; None where there is none yet."""
        return [task.decision.configuration if task.decision else None for task in self.tasks]

    def _task(self, position: int) -> TaskHistory:
        """Return the history of the task at a position, new where nothing has happened there yet."""
        while len(self.tasks) <= position:
            self.tasks.append(TaskHistory(len(self.tasks)))
        return self.tasks[position]


def measures_of(history: History, *, reference: Reference = "end") -> Measures:
    """Compute every measure of the tasks that a run has begun.

    Args:
        history: Events so far, of a run that is finished or not.
        reference: Denominator of the forgetting ratio: accuracy at the end of a task's own training, or its peak there.
    """
    tasks: Sequence[TaskHistory] = history.tasks
    rows = {task.position: task.evaluation.accuracy for task in tasks if task.evaluation}
    matrix = accuracy_matrix(rows, len(tasks))
    return measures(
        matrix, [task.curve for task in tasks], identities=[task.identity for task in tasks], reference=reference
    )
