"""The loop over a task stream: train, measure, commit, and say so with one event at a time. It writes no files."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from lasem.benchmarks import Task, TaskStream
from lasem.errors import DataError, RunError, require
from lasem.learners import (
    AbstractLearner,
    CountsTies,
    Grows,
    LoadsKnowledge,
    Retains,
    Searches,
    SearchStatus,
    TakesTurns,
    least_images,
    parameter_counts,
    trainings,
)
from lasem.records import (
    DecisionRecord,
    EpochRecord,
    EvaluationRecord,
    Event,
    History,
    NoteRecord,
    TaskHistory,
    TaskRecord,
)
from lasem.runs._evaluation import Evaluation, Evaluator
from lasem.runs._memory_errors import memory_for
from lasem.runs._status import GrowthFields, candidate_names, decided_growth, growth_fields, search_fields

LESS_TRAINING = "lower training.batch_size or search.memory, or let groups of layers decide together (search.partition)"
"""Advice that makes a step of training take less memory."""


@dataclass
class Loop:
    """A learner on its way through a stream of tasks. It measures, and yields what happens as events.

    Attributes:
        learner: A new learner, or one that was restored to where the history ends.
        stream: Tasks in order.
        epochs: Epochs per task; where candidates take turns, epochs per turn.
        evaluation: What is measured, and when.
        history: What has happened so far. The loop goes on after its last finished epoch or evaluation.
    """

    learner: AbstractLearner
    stream: TaskStream
    epochs: int
    evaluation: Evaluation = field(default_factory=Evaluation)
    history: History = field(default_factory=lambda: History(keep_epochs=False))

    def __post_init__(self) -> None:
        self._evaluator = Evaluator(self.learner, self.stream, self.evaluation)

    @property
    def ended(self) -> bool:
        """Whether every task has been learned and measured."""
        return self.history.position == len(self.stream)

    @property
    def total(self) -> int:
        """Number of epochs of the whole stream, over all candidates."""
        return self.epochs * sum(trainings(self.learner, self.stream.outline.identities))

    def run(self) -> Iterator[Event]:
        """Train to the end of the stream, and yield every event as it happens.

        Raises:
            DataError: A task has too few images for a batch.
            RunError: A number is not finite, or memory does not suffice.
        """
        self.check()
        for event in self._events():
            self.history.add(event)
            yield event

    def _events(self) -> Iterator[Event]:
        """Yield what happens next; each event is in the history before the next one is asked for."""
        if not self.history:
            yield from (NoteRecord(text=text) for text in self.stream.notes)
        for position in range(self.history.position, len(self.stream)):
            yield from self._task(position)

    def check(self) -> None:
        """Check beforehand what would end the loop later.

        Raises:
            DataError: A task has too few images for a batch.
            RunError: The learner of a new run has learned tasks already.
        """
        known = len(parameter_counts(self.learner).per_task)
        if known and not self.history:
            raise RunError(f"a learner must be new (got one that has learned before, {known} tasks); make another one")
        whole = isinstance(self.epochs, int) and self.epochs >= 1
        require(whole, "a task must be trained for a whole number of epochs, at least one", epochs=self.epochs)
        least = least_images(self.learner)
        for position, images in enumerate(self.stream.train_images):
            if images < least:
                raise DataError(
                    f"a task must have at least one batch of training images, {least} here"
                    f" (got {images} in 'train' of task {position}); lower batch_size or give more images"
                )

    def open_task(self) -> Task | None:
        """Return the task that was begun but not evaluated yet; None between tasks."""
        return self.stream[self.history.position] if self.history.open_task else None

    def _task(self, position: int) -> Iterator[Event]:
        """Learn one task, from its start or from the last finished epoch."""
        task = self.stream[position]
        if self.history.open_task is None:
            if position == 1 and isinstance(self.learner, LoadsKnowledge):
                self.learner.load_knowledge(self.stream.knowledge)
            self.learner.begin_task(task)
            yield self._introduction(position, task)
        own = self.history.tasks[position]
        candidates = self._turns()
        for number in range(own.num_epochs, self.epochs * len(candidates or ("the task",))):
            turn, trained = divmod(number, self.epochs)
            if number and not trained:
                self._end_turn(own.turns[turn - 1].best_valid)
            best = own.turns[turn].best_valid if trained else -1.0
            event = self._epoch(task, position=position, task_epoch=trained + 1, best=best)
            yield event if candidates is None else event.model_copy(update={"candidate": turn})
        if candidates is not None:
            self._end_turn(own.turns[len(candidates) - 1].best_valid)
        yield from self._end(position, own)

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
        """Train one epoch and validate. Test if validation has improved, a test is due, or the task ends."""
        identity = self.stream.outline.identities[position]
        start, cpu = time.perf_counter(), time.process_time()
        with memory_for(lambda: self._training(position, task_epoch), remedy=LESS_TRAINING):
            loss = float(self.learner.train_epoch())
        trained, cpu = time.perf_counter(), time.process_time() - cpu
        if not math.isfinite(loss):  # learners of lasem notice that earlier, and name the batch
            raise RunError(
                f"the loss of an epoch must be finite (got {loss} in epoch {task_epoch} of task {position});"
                " lower the learning rate"
            )
        valid = self._evaluator.accuracy(task.valid, identity)
        every = self.evaluation.every or max(1, self.epochs // 20)
        due = valid > best or task_epoch % every == 0 or task_epoch == self.epochs
        test = self._evaluator.accuracy(task.test, identity) if due and self.evaluation.while_training else None
        return EpochRecord(
            task=position,
            epoch=self.history.num_epochs + 1,
            task_epoch=task_epoch,
            loss=loss,
            valid_accuracy=valid,
            test_accuracy=test,
            configuration=self._configuration(position),
            training_seconds=trained - start,
            evaluation_seconds=time.perf_counter() - trained,
            cpu_seconds=cpu,
            **search_fields(self._status()),
            **self._growth(),
        )

    def _training(self, position: int, task_epoch: int) -> str:
        """Describe an epoch of training for an error."""
        status = self._status()
        configurations = 1 if status is None else len(status.names)
        return (
            f"training task {position} in epoch {task_epoch} with batches of {self.learner.training.batch_size} images"
            f" and {configurations} configurations"
        )

    def _end(self, position: int, own: TaskHistory) -> Iterator[Event]:
        """Commit the task, and measure every task so far."""
        epoch = self.history.num_epochs
        status = self._status()
        start = time.perf_counter()
        before = self._evaluator.on_trial(position) if self.evaluation.earlier_tasks == "before-commit" else None
        seconds = time.perf_counter() - start
        tied = self.learner.tied() if isinstance(self.learner, CountsTies) else None
        retained = self.learner.retained() if isinstance(self.learner, Retains) else None
        self.learner.end_task()
        configuration, decision = self._configuration(position), None if status is None else status.decision
        yield DecisionRecord(
            task=position,
            epoch=epoch,
            configuration=configuration,
            candidate=_trained_as(configuration, own),
            tied=tied,
            probability=None if status is None else float(status.prior.max()),
            margin=None if status is None else status.margin,
            **decided_growth(self.learner.growth() if isinstance(self.learner, Grows) else None),
            certain=decision and decision.certain,
            settled=decision and decision.settled,
            held=retained and retained.held,
            moving_cost=retained and retained.cost,
        )
        yield from self._revisions(position)
        start = time.perf_counter()
        earlier = self._evaluator.earlier(position, last=self._last_accuracy(position)) if before is None else before
        accuracy = [*earlier, self._evaluator.test(position)]
        seconds += time.perf_counter() - start
        held = parameter_counts(self.learner).held
        yield EvaluationRecord(task=position, epoch=epoch, accuracy=accuracy, parameters=held, seconds=seconds)

    def _last_accuracy(self, position: int) -> list[float]:
        """Return the test accuracies of the tasks before a position, as the last of them left them."""
        last = self.history.tasks[position - 1].evaluation if position else None
        return list(last.accuracy) if last else []

    def _revisions(self, position: int) -> Iterator[DecisionRecord]:
        """Yield decisions of earlier tasks whose configuration this task has changed."""
        for earlier, decision in enumerate(self.history.decisions[:position]):
            if decision.configuration != (configuration := self._configuration(earlier)):
                yield DecisionRecord(task=earlier, epoch=self.history.num_epochs, configuration=configuration)

    def _configuration(self, position: int) -> list[int] | None:
        """Return the configuration of the task at a position; None for learners without configurations."""
        if not isinstance(self.learner, Searches):
            return None
        return list(self.learner.configuration(self.stream.outline.identities[position]))

    def _status(self) -> SearchStatus | None:
        return self.learner.status() if isinstance(self.learner, Searches) else None

    def _growth(self) -> GrowthFields:
        return growth_fields(self.learner.growth() if isinstance(self.learner, Grows) else None)

    def _turns(self) -> list[str] | None:
        return self.learner.turns() if isinstance(self.learner, TakesTurns) else None

    def _end_turn(self, valid_accuracy: float) -> None:
        if isinstance(self.learner, TakesTurns):
            self.learner.end_turn(valid_accuracy)


def _trained_as(configuration: list[int] | None, task: TaskHistory) -> int | None:
    """Return the candidate that was trained with this configuration; None where candidates do not take turns."""
    return next((turn.candidate for turn in task.turns.values() if turn.configuration == configuration), None)
