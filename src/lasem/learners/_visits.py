"""The visits of a stream: for learners that change the network itself, what training one task after another takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from lasem.benchmarks import Task
from lasem.errors import LasemError
from lasem.learners._batches import Batches, HeldOut
from lasem.learners._fit import require_fit
from lasem.learners._learner import LearnerState, Training
from lasem.learners._optimizers import OPTIMIZERS, optimizer_tensors, restore_optimizer
from lasem.learners._updates import Updates
from lasem.search import DropoutMasks


@dataclass
class Visit:
    """What exists only while a task is learned.

    Attributes:
        epoch: Epochs trained on this visit.
    """

    task: Task
    identity: int
    updates: Updates
    batches: Batches
    epoch: int = 0

    @property
    def optimizer(self) -> Optimizer:
        """That of its updates."""
        return self.updates.optimizer


class Visits:
    """Which tasks came in which order, and the training of the open one.

    Args:
        training: How a task is trained.
        seed: Seed of batches and dropout.
        shape: (C, H, W) of the images that the network was built for.
        like: Of the network's dtype, on its device.
    """

    def __init__(self, training: Training, *, seed: int, shape: Sequence[int], like: Tensor) -> None:
        self.training = training
        self.seed = seed
        self._shape = shape
        self._like = like
        self.order: list[int] = []
        """Identity of the task at each position."""
        self.classes: dict[int, int] = {}
        """Number of classes by identity."""
        self.epochs_trained = 0
        self.most_trained = 0
        """Most parameters trained at once."""
        self._open: Visit | None = None

    @property
    def opened(self) -> Visit:
        """The open visit.

        Raises:
            LasemError: No task is open.
        """
        if self._open is None:
            raise LasemError("this needs an open task - there is none - call begin_task first")
        return self._open

    @property
    def learning(self) -> int | None:
        """Identity of the open task."""
        return None if self._open is None else self._open.identity

    def identity(self, task: Task) -> int:
        """The task's own, or else its position in the stream."""
        return len(self.order) if task.identity is None else task.identity

    def known(self, task: int) -> int:
        """Number of classes of a task that was met.

        Raises:
            LasemError: It was not.
        """
        if task not in self.classes:
            raise LasemError(
                f"a learner answers for tasks that it has met - got task {task}"
                f" - tasks met: {sorted(self.classes) or 'none'}"
            )
        return self.classes[task]

    def counted(self, sizes: Mapping[int, int]) -> list[int]:
        """Per position what its task holds, by identity, at the task's first visit; 0 at later ones."""
        return [sizes[task] if task not in self.order[:i] else 0 for i, task in enumerate(self.order)]

    def check(self, task: Task, *, held_out: HeldOut = "none") -> Batches:
        """The batches of a task that is about to be opened; nothing is changed.

        Raises:
            DataError: There are too few images, or they do not fit the network.
            LasemError: Another task is open.
        """
        require_fit(task, shape=self._shape, like=self._like)
        if self._open is not None:
            raise LasemError(
                f"one task is learned at a time - task {self.identity(task)} came while task {self._open.identity} is"
                " open - end that first"
            )
        size = self.training.batch_size
        return Batches(task, size=size, held_out=held_out, seed=self.seed, visit=len(self.order))

    def open(self, task: Task, parameters: Sequence[nn.Parameter], batches: Batches) -> None:
        """Begin a visit, with a new optimizer over these parameters."""
        identity = self.identity(task)
        optimizer = OPTIMIZERS[self.training.optimizer](list(parameters), self.training.learning_rate)
        self._open = Visit(task=task, identity=identity, updates=Updates(optimizer), batches=batches)
        self.order.append(identity)
        self.classes[identity] = task.classes
        self.most_trained = max(self.most_trained, sum(parameter.numel() for parameter in parameters))

    def train_epoch(self, loss_of: Callable[[Tensor, Tensor, Generator], Tensor]) -> float:
        """Shuffle, then make an optimizer step on every complete batch; the mean loss.

        Args:
            loss_of: From images (B, C, H, W), labels (B,) and the source of dropout masks to a scalar loss.

        Raises:
            RunError: A loss or a gradient is not finite. The parameters are those from before that batch.
        """
        visit, rate = self.opened, self.training.rate(self.epochs_trained)
        masks = visit.batches.masks(visit.epoch)
        loss = visit.updates.epoch(
            visit.batches.epoch(visit.epoch),
            lambda images, labels: visit.updates.step([loss_of(images, labels, masks)], rate=rate),
            place=f"task {len(self.order) - 1} ('{visit.task.name}'), epoch {visit.epoch + 1} of the task",
        )
        visit.epoch += 1
        self.epochs_trained += 1
        return loss

    def dropout(self, features: Tensor, masks: Generator) -> Tensor:
        """Drop features before a head: (B, F) -> (B, F)."""
        batch, size = features.shape
        drawn = DropoutMasks.draw(1, batch, size, keep=self.training.keep, source=masks)
        return drawn.apply(features.unsqueeze(0)).squeeze(0)

    def close(self) -> None:
        """End the visit; drop its optimizer and the gradients."""
        self.opened.optimizer.zero_grad(set_to_none=True)
        self._open = None

    def state(self) -> LearnerState:
        """The visits so far, and the open one's optimizer."""
        values: dict[str, object] = {
            "visits": list(self.order),
            "classes": {str(identity): classes for identity, classes in self.classes.items()},
            "epochs_trained": self.epochs_trained,
            "most_trained": self.most_trained,
            "epoch": None if self._open is None else self._open.epoch,
        }
        return LearnerState(
            tensors={} if self._open is None else optimizer_tensors(self._open.optimizer), values=values
        )

    def past(self, state: LearnerState, *, ended: bool = False) -> list[tuple[int, int]]:
        """(identity, classes) of each task of a state, in order of arrival.

        Args:
            state: Of an equal learner.
            ended: Leave out the last visit, which is open.
        """
        classes = cast(dict[str, int], state.values["classes"])
        order = _order(state)[:-1] if ended else _order(state)
        return [(identity, classes[str(identity)]) for identity in dict.fromkeys(order)]

    def restore(
        self, state: LearnerState, *, task: Task | None, trained: Callable[[int], Sequence[nn.Parameter]]
    ) -> None:
        """Take over a state of `state`.

        Args:
            state: Of an equal learner.
            task: The task that was open then; None where none was.
            trained: What a visit of a task, by identity, trains; called once the earlier visits are known.
        """
        values = state.values
        self.order = _order(state) if task is None else _order(state)[:-1]
        if task is not None:
            batches = self.check(task)
            self.open(task, trained(self.identity(task)), batches)
            self.opened.epoch = cast(int, values["epoch"])
            restore_optimizer(self.opened.optimizer, state.tensors)
        self.classes = {int(key): size for key, size in cast(dict[str, int], values["classes"]).items()}
        self.epochs_trained = cast(int, values["epochs_trained"])
        self.most_trained = cast(int, values["most_trained"])


def _order(state: LearnerState) -> list[int]:
    return list(cast(list[int], state.values["visits"]))
