"""Bookkeeping that every learner needs: which tasks were trained in which order, and the training of the open one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import final

from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from lasem.benchmarks import Task
from lasem.errors import DataError, LasemError
from lasem.optimizers import optimizer_tensors, restore_optimizer
from lasem.search import AbstractOpenTask, Batch, DropoutMasks
from lasem.training._batches import Batches, HeldOut
from lasem.training._fit import (
    require_closed,
    require_crop,
    require_fit,
    require_images,
    require_labels,
    require_trained,
)
from lasem.training._groups import Layers, make_optimizer
from lasem.training._options import Training
from lasem.training._state import TrainingState
from lasem.training._steps import OptimizerSteps
from lasem.training._visit import Visit


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
        layers: The network's layers, for learning rates that differ between them; None if the learner has one rate.
        freezes_items: Whether the learner holds items of parameters by gradients of 0; weight decay would move them.
        fits_heads: Whether the learner fits heads before training where the options ask for it.

    Attributes:
        training: How a task is trained.
        seed: Seed of batches and dropout.
        order: Identity of the task at each position of the stream, the open one included.
        classes: Number of classes by identity.
        epochs_trained: Epochs trained over the whole stream.
        most_trained: Most parameters trained at once.

    Raises:
        SpecError: The options ask for what the learner does not have.
    """

    def __init__(
        self,
        training: Training,
        *,
        seed: int,
        shape: Sequence[int],
        like: Tensor,
        layers: Layers | None = None,
        freezes_items: bool = False,
        fits_heads: bool = False,
    ) -> None:
        training.require_support(layers=layers is not None, weight_decay=not freezes_items, fits_heads=fits_heads)
        self.training, self._layers = training, layers
        self.seed = seed
        self._shape, self._like = tuple(shape), like
        self._visit: Visit | None = None
        self.order: list[int] = []
        self.classes: dict[int, int] = {}
        self.epochs_trained = self.most_trained = 0

    def identity_of(self, task: Task) -> int:
        """Return the identity of a task that comes next: its own, or else its position in the stream."""
        if not isinstance(task, Task):
            raise DataError(f"a task must be a lasem.benchmarks.Task (got {type(task).__name__}); make one of the data")
        return len(self.order) if task.identity is None else task.identity

    def classes_of(self, identity: int) -> int:
        """Return the number of classes of a task.

        Raises:
            LasemError: The learner has not been trained on it.
        """
        require_trained(identity, self.classes)
        return self.classes[identity]

    def check_images(self, images: Tensor, task: int) -> None:
        """Check that a learner can answer for images of a task.

        Raises:
            DataError: The images do not fit the network.
            LasemError: The learner has not been trained on the task.
        """
        self.classes_of(task)
        require_images(images, shape=self._shape, like=self._like)

    def check(self, task: Task, *, held_out: HeldOut = "none") -> Batches:
        """Check that a task can be opened, and return its batches; nothing is changed.

        Args:
            task: The task.
            held_out: What its search sees besides the training batches; see `AbstractStrategy`.

        Raises:
            DataError: There are too few images, they do not fit the network, or the task had other classes before.
            LasemError: Another task is open.
        """
        known = self.classes.get(self.identity_of(task), task.classes)
        if known != task.classes:
            raise DataError(
                f"visits of one task must have the same number of classes (got {task.classes} after {known}, task"
                f" '{task.name}'); give the task another identity"
            )
        require_fit(task, shape=self._shape, like=self._like)
        require_crop(self.training.random_crop, shape=self._shape)
        require_closed(self.open_identity, following=self.identity_of(task))
        size, visit = self.training.batch_size, len(self.order)
        return Batches(task, size=size, held_out=held_out, seed=self.seed, visit=visit)

    def begin(self, task: Task, parameters: Sequence[nn.Parameter], *, held_out: HeldOut = "none") -> None:
        """Open a task with a new optimizer over these parameters; it raises what `check` raises."""
        batches, identity = self.check(task, held_out=held_out), self.identity_of(task)
        steps, position = self._new_steps(parameters), len(self.order)
        self._visit = Visit(task, identity=identity, position=position, batches=batches, steps=steps)
        self.order.append(identity)
        self.classes[identity] = task.classes

    def renew_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Begin a new optimizer over other parameters of the open task."""
        self._opened.steps = self._new_steps(parameters)
        return self.optimizer

    def _new_steps(self, parameters: Sequence[nn.Parameter]) -> OptimizerSteps:
        self.most_trained = max(self.most_trained, sum(parameter.numel() for parameter in parameters))
        optimizer = make_optimizer(self.training, parameters, layers=self._layers)
        return OptimizerSteps(optimizer, clip_norm=self.training.clip_norm)

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
    def sources(self) -> Batches:
        """Images of the open task, from which batches are drawn."""
        return self._opened.batches

    @property
    def optimizer(self) -> Optimizer:
        """Optimizer of the open task."""
        return self._opened.steps.optimizer

    @property
    def finite(self) -> Tensor:
        """() whether all losses and gradients of the open task have been finite, on the parameters' device."""
        return self._opened.steps.finite

    @property
    def _opened(self) -> Visit:
        if self._visit is None:
            raise LasemError("a task must be open for this (got none); call begin_task first")
        return self._visit

    def begin_epoch(self) -> None:
        """Begin the next epoch: with dropout masks and held-out batches of its own, at its learning rate.

        Raises:
            LasemError: No task is open, the epoch before was interrupted, or gradients are switched off.
        """
        self._opened.begin_epoch()

    def batches(self, *, features: bool = False) -> Iterator[Batch]:
        """Shuffle images, or features kept of them, and yield each complete batch; begin the epoch if need be."""
        return self._opened.iter_batches(features=features, training=self.training)

    @property
    def rows(self) -> Tensor:
        """Rows of the batch that `batches` has yielded last, among the task's training images, (B,).

        Raises:
            LasemError: No batch has been taken.
        """
        rows = self._opened.rows
        if rows is None:
            raise LasemError("a batch must be taken for this (got none); iterate over batches first")
        return rows

    def take_batch(self, images: Tensor, labels: Tensor) -> None:
        """Check and count a batch of a loop of the user's own.

        Raises:
            LasemError: No task is open, no epoch was begun, or the batch does not fit the network.
        """
        require_images(images, shape=self._shape, like=self._like)
        require_labels(labels, images=images, classes=self.task.classes)
        self._opened.take_batch()

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

    def draw_masks(self, candidates: int, batch: int, features: int) -> DropoutMasks:
        """Draw the dropout masks of one optimizer step: for each candidate, one for (B, F) features."""
        return DropoutMasks.draw(candidates, batch, features, keep=self.training.keep, source=self._opened.masks)

    def draw_seed(self) -> int:
        """Return a seed for the random numbers of the next optimizer step; every call returns another one."""
        return self._opened.draw_seed()

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next optimizer step."""
        return self.training.rate(self.epochs_trained) * self._opened.schedule_factor(self.training)

    @property
    def label_smoothing(self) -> float:
        """Share of a label that the training loss spreads over all classes."""
        return self.training.label_smoothing

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss, a scalar, to those of the next optimizer step."""
        self._opened.steps.backward(loss)

    def step(self, *losses: Tensor) -> Tensor:
        """Make one optimizer step on these losses and those given to `backward`; see `AbstractOpenTask.step`.

        Raises:
            RunError: The sum or a gradient is not finite, and parameters lie on the host.
        """
        return self._opened.step(losses, learning_rate=self.learning_rate)

    def end_epoch(self, losses: Sequence[Tensor]) -> float:
        """Count the epoch, which lets the learning rate decay, and return the mean loss of its batches.

        Args:
            losses: One detached scalar per batch.

        Raises:
            LasemError: No epoch was begun, or there is no loss.
            RunError: A loss or a gradient was not finite. Parameters are those from before that batch.
        """
        mean = self._opened.end_epoch(losses)
        self.epochs_trained += 1
        return mean

    def values(self) -> TrainingState:
        """Return the JSON values that `restore` takes.

        Raises:
            LasemError: An epoch has begun and not ended.
        """
        if self._visit is not None:
            self._visit.require_between_epochs()
        return TrainingState(
            visits=list(self.order),
            classes=dict(self.classes),
            epochs_trained=self.epochs_trained,
            most_trained=self.most_trained,
            epoch=None if self._visit is None else self._visit.epoch,
            optimizer=None if self._visit is None else self.training.optimizer,
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
