"""The loop over a stream: train, measure, commit, one event at a time. No files here."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from lasem.benchmarks import Split, Task, TaskStream
from lasem.errors import DataError, require
from lasem.learners import (
    AbstractLearner,
    AnswersOnTrial,
    CountsParameters,
    Grows,
    LoadsKnowledge,
    Searches,
    SearchStatus,
    TakesTurns,
    least_images,
    trainings,
)
from lasem.records import DecisionRecord, EpochRecord, EvaluationRecord, Event, NoteRecord, TaskRecord
from lasem.runs._measure import decisions
from lasem.runs._memory import memory_for
from lasem.runs._status import GrowthFields, candidate_names, growth_fields, search_fields

KEPT_BYTES = 2**30
"""Test splits of earlier tasks are kept on the device up to this size; others are made anew."""

LESS_TRAINING = "lower training.batch_size or search.memory, or let groups of layers decide together (search.partition)"
"""What makes a step of training take less memory."""


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
        epochs: Per task; where candidates take turns, per turn.
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

    @property
    def ended(self) -> bool:
        """Whether every task has been learned and measured."""
        return self.position == len(self.stream)

    @property
    def trained(self) -> int:
        """Epochs trained so far, over the whole stream and all candidates."""
        return next((event.epoch for event in reversed(self.events) if isinstance(event, EpochRecord)), 0)

    @property
    def total(self) -> int:
        """Epochs of the whole stream, over all candidates."""
        return self.epochs * sum(trainings(self.learner, self.stream.outline.identities))

    def run(self) -> Iterator[Event]:
        """Go on to the end of the stream, handing out every event as it happens.

        Raises:
            DataError: A task has too few images for a batch.
            RunError: A number is not finite, or memory does not suffice.
        """
        self.check()
        for event in [] if self.events else self._notes():
            self.events.append(event)
            yield event
        for position in range(self.position, len(self.stream)):
            for event in self._task(position):
                self.events.append(event)
                yield event

    def check(self) -> None:
        """Look for what would end the loop later on.

        Raises:
            DataError: A task has too few images for a batch.
        """
        whole = isinstance(self.epochs, int) and self.epochs >= 1
        require(whole, "a task is trained for a whole number of epochs, at least one", epochs=self.epochs)
        least = least_images(self.learner)
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
            if position == 1 and isinstance(self.learner, LoadsKnowledge):
                self.learner.load_knowledge(self.stream.knowledge)
            self.learner.begin_task(task)
            yield self._introduction(position, task)
        turns = self._turns()
        for number in range(len(own), self.epochs * len(turns or "1")):
            turn, trained = divmod(number, self.epochs)
            if number and not trained:
                self._end_turn(own)
            best = _best(own[turn * self.epochs :])
            event = self._epoch(task, position=position, task_epoch=trained + 1, best=best)
            own.append(event if turns is None else event.model_copy(update={"candidate": turn}))
            yield own[-1]
        if turns is not None:
            self._end_turn(own)
        yield from self._end(position, own)

    def _notes(self) -> list[Event]:
        """What is to be known of the stream."""
        return [NoteRecord(text=text) for text in self.stream.notes]

    def _introduction(self, position: int, task: Task) -> TaskRecord:
        return TaskRecord(
            task=position,
            identity=self.stream.outline.identities[position],
            name=task.name,
            classes=task.classes,
            images={name: len(split) for name, split in task.splits.items()},
            candidates=self._turns() or candidate_names(self._status()),
        )

    def _epoch(self, task: Task, *, position: int, task_epoch: int, best: float) -> EpochRecord:
        """Train one epoch; measure validation, and test where it improved, is due, or the task ends."""
        identity = self.stream.outline.identities[position]
        start = time.perf_counter()
        with memory_for(lambda: self._training(position, task_epoch), remedy=LESS_TRAINING):
            loss = self.learner.train_epoch()
        trained = time.perf_counter()
        valid = self._accuracy(task.valid, identity)
        every = self.evaluation.every or max(1, self.epochs // 20)
        due = valid > best or task_epoch % every == 0 or task_epoch == self.epochs
        test = self._accuracy(task.test, identity) if due else None
        return EpochRecord(
            task=position,
            epoch=self.trained + 1,
            task_epoch=task_epoch,
            loss=loss,
            valid_accuracy=valid,
            test_accuracy=test,
            configuration=self._bits(position),
            training_seconds=trained - start,
            evaluation_seconds=time.perf_counter() - trained,
            **search_fields(self._status()),
            **self._growth(),
        )

    def _training(self, position: int, task_epoch: int) -> str:
        """An epoch of training, in the words of an error."""
        status = self._status()
        configurations = 1 if status is None else len(status.names)
        return (
            f"training - task {position}, epoch {task_epoch}, batches of {self.learner.training.batch_size} images,"
            f" {configurations} configurations"
        )

    def _end(self, position: int, own: Sequence[EpochRecord]) -> Iterator[Event]:
        """Commit, and measure every task seen."""
        epoch = self.trained
        identity = self.stream.outline.identities[position]
        status = self._status()
        start = time.perf_counter()
        before = self._earlier(position, trial=True) if self.evaluation.earlier_tasks == "before-commit" else None
        seconds = time.perf_counter() - start
        self.learner.end_task()
        bits, decision = self._bits(position), None if status is None else status.decision
        yield DecisionRecord(
            task=position,
            epoch=epoch,
            configuration=bits,
            candidate=next((event.candidate for event in own if event.configuration == bits), None),
            probability=None if status is None else float(status.prior.max()),
            margin=None if status is None else status.margin,
            units=self._growth().get("units"),
            certain=decision and decision.certain,
            settled=decision and decision.settled,
        )
        yield from self._revisions(position)
        start = time.perf_counter()
        earlier = self._earlier(position, trial=False) if before is None else before
        accuracy = [*earlier, self._accuracy(self._test(position), identity)]
        seconds += time.perf_counter() - start
        held = self.learner.parameter_counts().held if isinstance(self.learner, CountsParameters) else 0
        yield EvaluationRecord(task=position, epoch=epoch, accuracy=accuracy, parameters=held, seconds=seconds)

    def _revisions(self, position: int) -> Iterator[DecisionRecord]:
        """Decisions of earlier tasks that this one has changed."""
        for earlier, decision in enumerate(decisions(self.events)[:position]):
            if decision.configuration != (bits := self._bits(earlier)):
                yield DecisionRecord(task=earlier, epoch=self.trained, configuration=bits)

    def _bits(self, position: int) -> list[int] | None:
        """Configuration of the task at a position."""
        if not isinstance(self.learner, Searches):
            return None
        return list(self.learner.configuration(self.stream.outline.identities[position]))

    def _status(self) -> SearchStatus | None:
        return self.learner.status() if isinstance(self.learner, Searches) else None

    def _growth(self) -> GrowthFields:
        return growth_fields(self.learner.growth() if isinstance(self.learner, Grows) else None)

    def _turns(self) -> list[str] | None:
        return self.learner.turns() if isinstance(self.learner, TakesTurns) else None

    def _end_turn(self, own: Sequence[EpochRecord]) -> None:
        if isinstance(self.learner, TakesTurns):
            self.learner.end_turn(_best(own[-self.epochs :]))

    def _earlier(self, position: int, *, trial: bool) -> list[float]:
        """Test accuracy of the tasks before a position."""
        identities = self.stream.outline.identities[:position]
        return [self._accuracy(self._test(i), identity, trial=trial) for i, identity in enumerate(identities)]

    def _accuracy(self, split: Split, task: int, *, trial: bool = False) -> float:
        correct = torch.zeros((), dtype=torch.int64, device=split.labels.device)
        size, learner = self.evaluation.batch_size, self.learner
        answer = learner.trial_logits if trial and isinstance(learner, AnswersOnTrial) else learner.logits
        with memory_for(lambda: f"measuring with batches of {size} images", remedy="lower evaluation.batch_size"):
            for images, labels in zip(split.images.split(size), split.labels.split(size), strict=True):
                correct += (answer(images, task).argmax(1) == labels).sum()
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


def _best(epochs: Sequence[EpochRecord]) -> float:
    """Best validation accuracy; -1 where there is none."""
    return max((event.valid_accuracy for event in epochs), default=-1.0)
