"""A run's events put in order by task, and the measures they give."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lasem.metrics import LearningCurve, Measures, Reference, accuracy_matrix, measures
from lasem.records import DecisionRecord, EpochRecord, EvaluationRecord, Event, TaskRecord, chosen_epochs


@dataclass(frozen=True)
class TaskHistory:
    """What happened to the task at one position of the stream."""

    position: int
    task: TaskRecord | None
    epochs: tuple[EpochRecord, ...]
    """By candidate in turn and task epoch; of an epoch repeated after a resumption, the later record."""
    decision: DecisionRecord | None
    evaluation: EvaluationRecord | None
    """Accuracies of all tasks after this one was learned."""

    @property
    def name(self) -> str:
        """The task's name, else its position."""
        return self.task.name if self.task else f"task {self.position}"

    @property
    def chosen(self) -> list[EpochRecord]:
        """The task's own training: of candidates that took turns, that of the chosen or leading one."""
        return chosen_epochs(self.epochs, self.decision)

    @property
    def curve(self) -> LearningCurve:
        """Accuracies of the task's own training by its epochs; NaN where a record is missing."""
        chosen = self.chosen
        last = chosen[-1].task_epoch if chosen else 0
        valid, test = np.full(last, np.nan), np.full(last, np.nan)
        for record in chosen:
            valid[record.task_epoch - 1] = record.valid_accuracy
            test[record.task_epoch - 1] = np.nan if record.test_accuracy is None else record.test_accuracy
        return LearningCurve(valid, test)

    def candidate(self, index: int) -> str:
        """Name of a candidate: its bits, first group first."""
        if self.task and self.task.candidates:
            return self.task.candidates[index]
        groups = next((len(record.marginals) for record in self.epochs if record.marginals), 0)
        return f"{index:0{groups}b}" if groups else str(index)


def task_histories(events: Sequence[Event]) -> list[TaskHistory]:
    """The tasks that a run has begun, by position; of a record written twice, the later one."""
    tasks: dict[int, TaskRecord] = {}
    epochs: dict[int, dict[tuple[int, int], EpochRecord]] = {}
    decisions: dict[int, DecisionRecord] = {}
    evaluations: dict[int, EvaluationRecord] = {}
    for event in events:
        match event:
            case TaskRecord():
                tasks[event.task] = event
            case EpochRecord():
                epochs.setdefault(event.task, {})[event.candidate or 0, event.task_epoch] = event
            case DecisionRecord():
                decisions[event.task] = event
            case EvaluationRecord():
                evaluations[event.task] = event
            case _:
                pass
    last = max((*tasks, *epochs, *decisions, *evaluations), default=-1)
    return [
        TaskHistory(
            position=t,
            task=tasks.get(t),
            epochs=tuple(record for _, record in sorted(epochs.get(t, {}).items())),
            decision=decisions.get(t),
            evaluation=evaluations.get(t),
        )
        for t in range(last + 1)
    ]


def measured(tasks: Sequence[TaskHistory], *, reference: Reference) -> Measures:
    """Compute every measure of the tasks that a run has begun."""
    rows = {task.position: task.evaluation.accuracy for task in tasks if task.evaluation}
    identities = [task.task.identity if task.task else -1 - task.position for task in tasks]
    matrix = accuracy_matrix(rows, len(tasks))
    return measures(matrix, [task.curve for task in tasks], identities=identities, reference=reference)
