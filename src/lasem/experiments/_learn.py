"""The loop over a stream: train, measure, commit, one event at a time. No files here."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, TypedDict

import numpy as np
import torch

from lasem.benchmarks import Split, Task, TaskStream
from lasem.errors import DataError, require
from lasem.learners import AbstractLearner, SearchStatus
from lasem.metrics import LearningCurve, Measures, accuracy_matrix, measures
from lasem.records import (
    MOST_CANDIDATES,
    DecisionRecord,
    EpochRecord,
    EvaluationRecord,
    Event,
    Parameters,
    TaskRecord,
)

KEPT_BYTES = 2**30
"""Test splits of earlier tasks are kept on the device up to this size; others are made anew."""


@dataclass(frozen=True)
class Evaluation:
    """What is measured, and when.

    Attributes:
        every: Test the current task every so many epochs; 0 = a twentieth of the epochs.
        earlier_tasks: Measure earlier tasks "after-commit", or "before-commit" with all that the last task changed.
        batch_size: Images per batch.
    """

    every: int = 0
    earlier_tasks: Literal["after-commit", "before-commit"] = "after-commit"
    batch_size: int = 500


@dataclass
class Loop:
    """A learner on its way through a stream. The events so far say where it stands; there is no other state.

    Attributes:
        learner: New, or restored to where the events end.
        stream: Tasks in order.
        epochs: Per task.
        evaluation: What is measured.
        events: What has happened; a finished epoch or evaluation is a place to go on from.
    """

    learner: AbstractLearner
    stream: TaskStream
    epochs: int
    evaluation: Evaluation = field(default_factory=Evaluation)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tests: dict[int, Split] = {}

    @property
    def position(self) -> int:
        """The task that is open or comes next; the number of tasks once the stream has ended."""
        return sum(isinstance(event, EvaluationRecord) for event in self.events)

    def run(self) -> Iterator[Event]:
        """Go on to the end of the stream, handing out every event as it happens.

        Raises:
            DataError: A task has too few images for a batch.
            RunError: A loss is not finite.
        """
        self.check()
        for position in range(self.position, len(self.stream)):
            for event in self._task(position):
                self.events.append(event)
                yield event

    def check(self) -> None:
        """Look for what would end the loop later on.

        Raises:
            DataError: A task has too few images for a batch.
        """
        require(self.epochs >= 1, "a task is trained for at least one epoch", epochs=self.epochs)
        least = self.learner.least_images
        for position, images in enumerate(self.stream.train_images):
            if images < least:
                raise DataError(
                    f"training needs at least one batch, {least} images - got {images} in 'train' of task {position}"
                    " - lower batch_size or give more images"
                )

    def open_task(self) -> Task | None:
        """The task that was begun but not evaluated when the events end."""
        begun = sum(isinstance(event, TaskRecord) for event in self.events)
        return self.stream[self.position] if begun > self.position else None

    def _task(self, position: int) -> Iterator[Event]:
        """Learn one task, from its start or from the last finished epoch."""
        task = self.stream[position]
        own = [event for event in self.events if isinstance(event, EpochRecord) and event.task == position]
        if self.open_task() is None:
            if position == 1:
                self.learner.load_knowledge(self.stream.knowledge)
            self.learner.begin_task(task)
            yield self._introduction(position, task)
        best = max((event.valid_accuracy for event in own), default=-1.0)
        for task_epoch in range(len(own) + 1, self.epochs + 1):
            event = self._epoch(task, position=position, task_epoch=task_epoch, best=best)
            best = max(best, event.valid_accuracy)
            yield event
        yield from self._end(position)

    def _introduction(self, position: int, task: Task) -> TaskRecord:
        return TaskRecord(
            task=position,
            identity=self.stream.outline.identities[position],
            name=task.name,
            classes=task.classes,
            images={name: len(split) for name, split in task.splits.items()},
            candidates=_candidate_names(self.learner.status()),
        )

    def _epoch(self, task: Task, *, position: int, task_epoch: int, best: float) -> EpochRecord:
        """Train one epoch; measure validation, and test where it improved, is due, or the task ends."""
        identity = self.stream.outline.identities[position]
        start = time.perf_counter()
        loss = self.learner.train_epoch()
        trained = time.perf_counter()
        valid = self._accuracy(task.valid, identity)
        every = self.evaluation.every or max(1, self.epochs // 20)
        due = valid > best or task_epoch % every == 0 or task_epoch == self.epochs
        test = self._accuracy(task.test, identity) if due else None
        bits = self.learner.configuration(identity)
        return EpochRecord(
            task=position,
            epoch=position * self.epochs + task_epoch,
            task_epoch=task_epoch,
            loss=loss,
            valid_accuracy=valid,
            test_accuracy=test,
            configuration=None if bits is None else list(bits),
            training_seconds=trained - start,
            evaluation_seconds=time.perf_counter() - trained,
            **_search_fields(self.learner.status()),
        )

    def _end(self, position: int) -> Iterator[Event]:
        """Commit, and measure every task seen."""
        epoch = (position + 1) * self.epochs
        identity = self.stream.outline.identities[position]
        status = self.learner.status()
        start = time.perf_counter()
        before = self._earlier(position, trial=True) if self.evaluation.earlier_tasks == "before-commit" else None
        seconds = time.perf_counter() - start
        self.learner.end_task()
        bits = self.learner.configuration(identity)
        yield DecisionRecord(
            task=position,
            epoch=epoch,
            configuration=None if bits is None else list(bits),
            probability=None if status is None else float(status.prior.max()),
            margin=None if status is None else status.margin,
        )
        start = time.perf_counter()
        earlier = self._earlier(position, trial=False) if before is None else before
        accuracy = [*earlier, self._accuracy(self._test(position), identity)]
        seconds += time.perf_counter() - start
        yield EvaluationRecord(task=position, epoch=epoch, accuracy=accuracy, seconds=seconds)

    def _earlier(self, position: int, *, trial: bool) -> list[float]:
        """Test accuracy of the tasks before a position."""
        identities = self.stream.outline.identities[:position]
        return [self._accuracy(self._test(i), identity, trial=trial) for i, identity in enumerate(identities)]

    def _accuracy(self, split: Split, task: int, *, trial: bool = False) -> float:
        correct = torch.zeros((), dtype=torch.int64, device=split.labels.device)
        size = self.evaluation.batch_size
        for images, labels in zip(split.images.split(size), split.labels.split(size), strict=True):
            correct += (self.learner.logits(images, task, trial=trial).argmax(1) == labels).sum()
        return int(correct) / len(split)

    def _test(self, position: int) -> Split:
        """A task's test split, kept where there is room."""
        if position in self._tests:
            return self._tests[position]
        split = self.stream[position].test
        held = sum(kept.images.nbytes for kept in self._tests.values())
        if held + split.images.nbytes <= KEPT_BYTES:
            self._tests[position] = split
        return split


def _candidate_names(status: SearchStatus | None) -> list[str] | None:
    """Names of the candidates, where they are not simply their indices in binary."""
    if status is None:
        return None
    groups = len(status.marginals)
    if len(status.names) != 2**groups:
        return status.names
    binary = [f"{index:0{groups}b}" for index in range(2**groups)]
    return None if status.names == binary else status.names


class _SearchFields(TypedDict, total=False):
    prior: list[tuple[int, float]]
    marginals: list[float]
    entropy: float


def _search_fields(status: SearchStatus | None) -> _SearchFields:
    """The fields of an epoch's record that tell of the search."""
    if status is None:
        return {}
    most = np.sort(np.argsort(-status.prior, kind="stable")[:MOST_CANDIDATES])
    return {
        "prior": [(int(index), _rounded(float(status.prior[index]))) for index in most],
        "marginals": [_rounded(float(value)) for value in status.marginals],
        "entropy": status.entropy,
    }


def _rounded(value: float) -> float:
    """Six significant digits: enough to draw, a third of the bytes."""
    return float(f"{value:.6g}")


def measure(events: Sequence[Event], *, identities: Sequence[int], reference: Literal["end", "peak"]) -> Measures:
    """All measures of the events so far."""
    rows = {event.task: event.accuracy for event in events if isinstance(event, EvaluationRecord)}
    epochs: list[list[EpochRecord]] = [[] for _ in identities]
    for event in events:
        if isinstance(event, EpochRecord):
            epochs[event.task].append(event)
    curves = [
        LearningCurve(
            valid=np.array([event.valid_accuracy for event in own]),
            test=np.array([np.nan if event.test_accuracy is None else event.test_accuracy for event in own]),
        )
        for own in epochs
    ]
    matrix = accuracy_matrix(rows, len(identities))
    return measures(matrix, curves, identities=identities, reference=reference)


def parameters(learner: AbstractLearner) -> Parameters:
    """Numbers of parameters, as a result holds them."""
    counts = asdict(learner.parameter_counts())
    counts.pop("rollback")
    return Parameters(**counts)


@dataclass(frozen=True)
class Outcome:
    """What `learn` returns: the measures, and the events they were taken from."""

    measures: Measures
    events: list[Event]

    @property
    def configurations(self) -> list[list[int] | None]:
        """Per task one bit per stage, 1 = shared."""
        return [event.configuration for event in self.events if isinstance(event, DecisionRecord)]


def learn(
    learner: AbstractLearner,
    stream: TaskStream,
    *,
    epochs: int,
    evaluation: Evaluation | None = None,
    watch: Callable[[Event], None] | None = None,
) -> Outcome:
    """Learn all tasks of a stream in order.

    Args:
        learner: New.
        stream: Tasks in order.
        epochs: Per task.
        evaluation: What is measured, and when.
        watch: Called with every event as it happens.
    """
    loop = Loop(learner, stream, epochs=epochs, evaluation=evaluation or Evaluation())
    for event in loop.run():
        if watch is not None:
            watch(event)
    found = measure(loop.events, identities=stream.outline.identities, reference="end")
    return Outcome(measures=found, events=loop.events)
