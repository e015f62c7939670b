"""Numbers of events under names, as all trackers show them. A step is an epoch of the stream."""

from typing import NamedTuple

from lasem.configurations import FROZEN
from lasem.records import DecisionRecord, EpochRecord, EvaluationRecord, Event, TaskRecord


class Scalars(NamedTuple):
    """Numbers of one event.

    Attributes:
        step: Epoch of the stream, from 1.
        task: Position of the task.
        values: Numbers by name.
    """

    step: int
    task: int
    values: dict[str, float]


class ScalarReader:
    """Makes numbers of events; it remembers the names of the open task's candidates."""

    def __init__(self) -> None:
        self._names: list[str] | None = None

    def read(self, event: Event) -> Scalars | None:
        """Return the numbers of an event; None if it has none."""
        match event:
            case TaskRecord():
                self._names = event.candidates
                return None
            case EpochRecord():
                return Scalars(event.epoch, event.task, self._epoch(event))
            case DecisionRecord():
                decision = {"decision/probability": event.probability, "decision/margin": event.margin}
                return Scalars(event.epoch, event.task, _known(decision))
            case EvaluationRecord():
                per_task = {f"task_accuracy/{task:02}": accuracy for task, accuracy in enumerate(event.accuracy)}
                mean = sum(event.accuracy) / len(event.accuracy)
                return Scalars(event.epoch, event.task, {**per_task, "accuracy/mean_of_tasks_so_far": mean})
            case _:
                return None

    def _epoch(self, event: EpochRecord) -> dict[str, float]:
        measures = {
            "loss/train": event.loss,
            "accuracy/validation": event.valid_accuracy,
            "accuracy/test": event.test_accuracy,
            "search/entropy": event.entropy,
        }
        shared = {f"sharing/group_{group:02}": p for group, p in enumerate(event.marginals or [], start=1)}
        frozen = {
            f"frozen/group_{group:02}": p[FROZEN] for group, p in enumerate(event.branch_marginals or [], start=1)
        }
        prior = {f"configuration/{event.name(index, self._names)}": p for index, p in event.prior or []}
        return _known({**measures, **shared, **frozen, **prior})


def _known(values: dict[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}
