"""Bookkeeping that every learner needs: which tasks were trained in which order, and the training of the open one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import final

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from lasem.benchmarks import Task
from lasem.errors import LasemError, RunError
from lasem.optimizers import OPTIMIZERS, optimizer_tensors, restore_optimizer
from lasem.search import AbstractOpenTask, Batch, DropoutMasks
from lasem.training._batches import Batches, HeldOut, HeldOutBatches
from lasem.training._fit import require_fit
from lasem.training._options import Training
from lasem.training._state import TrainingState
from lasem.training._steps import OptimizerSteps


@dataclass
class _Visit:
    """What exists only while a task is open."""

    task: Task
    identity: int
    batches: Batches
    masks: Generator
    held_out: HeldOutBatches | None
    steps: OptimizerSteps
    epoch: int = 0


@final
class TaskTraining(AbstractOpenTask):
    """Trains one task after another: a learner makes one object, and opens and closes every task with it.

    `begin` makes a new optimizer; an epoch takes the batches of `batches`, makes a step for each, and ends with
    `end_epoch`; `end` closes the task. Batches and dropout masks follow from the seed and the place in the stream
    alone, so a learner that was restored from `values` and `tensors` continues bit for bit.

    Args:
        training: How a task is trained.
        seed: Seed of batches and dropout.
        shape: (C, H, W) of the images that the network was built for.
        like: Any tensor with the network's dtype, on its device.

    Attributes:
        training: How a task is trained.
        seed: Seed of batches and dropout.
        order: Identity of the task at each position of the stream, the open one included.
        classes: Number of classes by identity.
        epochs_trained: Epochs trained over the whole stream.
        most_trained: Most parameters trained at once.
    """

    def __init__(self, training: Training, *, seed: int, shape: Sequence[int], like: Tensor) -> None:
        self.training = training
        self.seed = seed
        self._shape = tuple(shape)
        self._like = like
        self._visit: _Visit | None = None
        self.order: list[int] = []
        self.classes: dict[int, int] = {}
        self.epochs_trained = 0
        self.most_trained = 0

    # Tasks

    def identity_of(self, task: Task) -> int:
        """Return the identity of a task that comes next: its own, or else its position in the stream."""
        return len(self.order) if task.identity is None else task.identity

    def classes_of(self, identity: int) -> int:
        """Return the number of classes of a task.

        Raises:
            LasemError: The learner has not been trained on it.
        """
        if identity not in self.classes:
            raise LasemError(
                f"a learner must have been trained on a task to answer for it (got task {identity});"
                f" tasks trained: {sorted(self.classes) or 'none'}"
            )
        return self.classes[identity]

    def at_first_visits(self, sizes: Mapping[int, int]) -> list[int]:
        """Return each position's size, by identity, where its task came for the first time; 0 elsewhere."""
        return [sizes[task] if task not in self.order[:i] else 0 for i, task in enumerate(self.order)]

    # The open task

    def check(self, task: Task, *, held_out: HeldOut = "none") -> Batches:
        """Check that a task can be opened, and return its batches; nothing is changed.

        Args:
            task: The task.
            held_out: What its search sees besides the training batches; see `AbstractStrategy`.

        Raises:
            DataError: There are too few images, or they do not fit the network.
            LasemError: Another task is open.
        """
        require_fit(task, shape=self._shape, like=self._like)
        if self._visit is not None:
            raise LasemError(
                f"one task must end before the next begins (got task {self.identity_of(task)} while task"
                f" {self._visit.identity} is open); call end_task first"
            )
        size, visit = self.training.batch_size, len(self.order)
        return Batches(task, size=size, held_out=held_out, seed=self.seed, visit=visit)

    def begin(self, task: Task, parameters: Sequence[nn.Parameter], *, held_out: HeldOut = "none") -> None:
        """Open a task with a new optimizer over these parameters.

        Raises:
            DataError: There are too few images, or they do not fit the network.
            LasemError: Another task is open.
        """
        batches, identity = self.check(task, held_out=held_out), self.identity_of(task)
        self._visit = _Visit(
            task=task,
            identity=identity,
            batches=batches,
            masks=batches.masks(0),
            held_out=batches.held_out(0),
            steps=self._new_steps(parameters),
        )
        self.order.append(identity)
        self.classes[identity] = task.classes

    def renew_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Begin a new optimizer over other parameters of the open task, at the current learning rate."""
        self._opened.steps = self._new_steps(parameters)
        return self.optimizer

    def _new_steps(self, parameters: Sequence[nn.Parameter]) -> OptimizerSteps:
        self.most_trained = max(self.most_trained, sum(parameter.numel() for parameter in parameters))
        return OptimizerSteps(OPTIMIZERS[self.training.optimizer](list(parameters), self.learning_rate))

    def end(self) -> None:
        """Close the open task: drop its optimizer and the gradients."""
        self.optimizer.zero_grad(set_to_none=True)
        self._visit = None

    def abandon(self) -> None:
        """Close the open task as if it had not begun."""
        self.epochs_trained -= self._opened.epoch
        self.end()
        identity = self.order.pop()
        if identity not in self.order:
            del self.classes[identity]

    @property
    def open_identity(self) -> int | None:
        """Identity of the open task; None if no task is open."""
        return None if self._visit is None else self._visit.identity

    @property
    def task(self) -> Task:
        """The task that is being trained."""
        return self._opened.task

    @property
    def identity(self) -> int:
        """Identity of the open task: the number that all its visits share."""
        return self._opened.identity

    @property
    def epoch(self) -> int:
        """Number of epochs trained on this visit of the open task."""
        return self._opened.epoch

    @property
    def batches_per_epoch(self) -> int:
        """Number of training batches in an epoch of the open task."""
        return self._opened.batches.number

    @property
    def optimizer(self) -> Optimizer:
        """Optimizer of the open task."""
        return self._opened.steps.optimizer

    @property
    def finite(self) -> Tensor:
        """() whether all losses and gradients of the open task have been finite, on the parameters' device."""
        return self._opened.steps.finite

    @property
    def _opened(self) -> _Visit:
        if self._visit is None:
            raise LasemError("a task must be open for this (got none); call begin_task first")
        return self._visit

    # An epoch

    def batches(self) -> Iterator[Batch]:
        """Shuffle the open task's images, and yield every complete batch of the next epoch."""
        visit = self._opened
        visit.masks, visit.held_out = visit.batches.masks(visit.epoch), visit.batches.held_out(visit.epoch)
        for number, batch in enumerate(visit.batches.epoch(visit.epoch), start=1):
            visit.steps.begin_batch(number)
            yield batch

    def unlabeled_batches(self) -> Iterator[Tensor]:
        """Yield batches of all training images of the open task, to estimate statistics on: always the same ones."""
        return self._opened.batches.unlabeled()

    def held_out_batch(self) -> Batch | None:
        """Return the next batch of held-out images; None if nothing is held out."""
        held_out = self._opened.held_out
        return None if held_out is None else held_out.next()

    @property
    def masks(self) -> Generator:
        """Source of this epoch's dropout masks."""
        return self._opened.masks

    @masks.setter
    def masks(self, source: Generator) -> None:
        self._opened.masks = source

    def draw_masks(self, candidates: int, batch: int, features: int) -> DropoutMasks:
        """Draw the dropout masks of one optimizer step: for each candidate, one for (B, F) features."""
        return DropoutMasks.draw(candidates, batch, features, keep=self.training.keep, source=self._opened.masks)

    def dropout(self, features: Tensor) -> Tensor:
        """Drop features before a head: (B, F) -> (B, F)."""
        return self.draw_masks(1, *features.shape).apply(features.unsqueeze(0)).squeeze(0)

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next optimizer step."""
        return self.training.rate(self.epochs_trained)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss, a scalar, to those of the next optimizer step."""
        self._opened.steps.backward(loss)

    def step(self, *losses: Tensor) -> Tensor:
        """Make one optimizer step on the sum of these losses and of those given to `backward` since the last step.

        Returns:
            That sum, a detached scalar.

        Raises:
            RunError: The sum or a gradient is not finite, and parameters lie on the host. They have not moved then. On
                another device `end_epoch` raises, and parameters stay as they were until then.
        """
        steps = self._opened.steps
        for loss in losses:
            steps.backward(loss)
        total = steps.step(self.learning_rate)
        if steps.on_host and not steps.finite:
            raise self._not_finite(steps.batch, float(total))
        return total

    def end_epoch(self, losses: Sequence[Tensor]) -> float:
        """Count the epoch, and return the mean loss of its batches.

        Args:
            losses: One detached scalar per batch.

        Raises:
            RunError: A loss or a gradient was not finite. Parameters are those from before that batch.
        """
        visit = self._opened
        batch = visit.steps.first_failed_batch()  # on a device, the first time in the epoch that anyone waits for it
        if batch is not None:
            raise self._not_finite(batch, float(losses[batch - 1]))
        visit.epoch += 1
        self.epochs_trained += 1
        return float(torch.stack(list(losses)).mean())

    def _not_finite(self, batch: int, loss: float) -> RunError:
        visit = self._opened
        came = f"{loss:.4g} with a gradient that is not finite" if isfinite(loss) else f"{loss}"
        return RunError(
            f"losses and gradients must be finite (got {came} in task {len(self.order) - 1} ('{visit.task.name}'),"
            f" epoch {visit.epoch + 1} of the task, batch {batch}); lower training.learning_rate or check the scale of"
            " the images"
        )

    # State

    def values(self) -> TrainingState:
        """Return the JSON values that `restore` takes."""
        return TrainingState(
            visits=list(self.order),
            classes=dict(self.classes),
            epochs_trained=self.epochs_trained,
            most_trained=self.most_trained,
            epoch=None if self._visit is None else self._visit.epoch,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return the state of the open task's optimizer; nothing if no task is open."""
        return {} if self._visit is None else optimizer_tensors(self.optimizer)

    def restore(self, values: TrainingState) -> None:
        """Take over the tasks that had ended; then a learner begins the open task, if any, and calls `resume`."""
        self.order = list(values.ended)
        self.classes = dict(values.classes)
        self.epochs_trained = values.epochs_trained
        self.most_trained = values.most_trained

    def resume(self, values: TrainingState, tensors: Mapping[str, Tensor]) -> None:
        """Take over how far the open task had been trained; called after `restore` and `begin`."""
        if self._visit is not None:
            self._visit.epoch = values.epoch or 0
            restore_optimizer(self.optimizer, tensors)
