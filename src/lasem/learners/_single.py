"""SNN: a single network, head included, for all tasks."""

from dataclasses import replace

from torch import Tensor, nn

from lasem.benchmarks import Task
from lasem.errors import DataError
from lasem.learners._interface import AbstractLearner, LearnerState
from lasem.learners._retention import Retention, RetentionOptions, RetentionStatus
from lasem.learners._selective import SelectiveTransfer
from lasem.learners._selective_state import SelectiveState
from lasem.learners._status import ParameterCounts
from lasem.nn import Backbone
from lasem.search import Fixed
from lasem.training import Training, require_trained

ONLY = 0
"""Identity of the only task that the network itself knows."""


class SingleState(SelectiveState):
    """JSON values of a single network.

    Attributes:
        classes_of: Number of classes of every task, by identity; the network itself knows one task only.
    """

    classes_of: dict[int, int]


class SingleNetwork(AbstractLearner):
    """Fine-tunes one network on every task: each task is another visit of the same one.

    Args:
        backbone: Stages and heads; new.
        classes: Largest number of classes of a task of the stream; a task with fewer reads only its own logits.
        training: How a task is trained.
        seed: Seed of batches and dropout.
        retention: Hold the network, head included, near what earlier tasks need, as in the experiments of Kirkpatrick
            et al. (2017) on permuted images; None lets it move freely.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        classes: int,
        training: Training | None = None,
        seed: int = 0,
        retention: RetentionOptions | None = None,
    ) -> None:
        self.classes = classes
        self.training = training or Training()
        # Retention belongs to shared knowledge: with it, the network's layers are the shared ones.
        strategy = Fixed("none" if retention is None else "all")
        self._inner = SelectiveTransfer(backbone, strategy, training=self.training, seed=seed)
        if retention is not None:
            self._inner.retention = Retention(retention, head=ONLY)
        self._classes_of: dict[int, int] = {}

    @property
    def backbone(self) -> Backbone:
        """The network, with the parameters of its only task."""
        return self._inner.backbone

    def begin_task(self, task: Task) -> None:
        """Train the network further, with a new optimizer.

        Raises:
            DataError: The task has more classes than the head, too few training images, or images that do not fit.
            LasemError: Another task is open.
        """
        if task.classes > self.classes:
            raise DataError(
                f"a task must have at most as many classes as the head of the single network, {self.classes}"
                f" (got {task.classes} in task '{task.name}'); pass the largest number of classes as `classes`"
            )
        identity = self._inner.task.identity_of(task)
        self._inner.begin_task(self._as_first(task))
        self._classes_of[identity] = task.classes

    def _as_first(self, task: Task) -> Task:
        """Give a task the identity and the head that all tasks have here."""
        return replace(task, identity=ONLY, classes=self.classes)

    def train_epoch(self) -> float:
        """Train the network for one epoch and return the mean loss of its batches."""
        return self._inner.train_epoch()

    def end_task(self) -> None:
        """Close the open task; the network stays as it is."""
        self._inner.end_task()

    def logits(self, images: Tensor, task: int) -> Tensor:
        """Answer with the network's first logits, as many as the task has classes."""
        return self._inner.logits(images, ONLY)[:, : self._known(task)]

    def network(self, task: int) -> nn.Module:
        """Return the network as it is now, with the task's logits only."""
        return nn.Sequential(self._inner.network(ONLY), _First(self._known(task)))

    def _known(self, task: int) -> int:
        """Number of classes of a task."""
        require_trained(task, self._classes_of)
        return self._classes_of[task]

    def retained(self) -> RetentionStatus | None:
        """Return how earlier tasks hold the layers while a task is open; None without retention."""
        return self._inner.retained()

    def parameter_counts(self) -> ParameterCounts:
        """Count the network's parameters; without retention, all of them belong to the first task."""
        return self._inner.parameter_counts()

    def state(self) -> LearnerState:
        """Return the network's state, and the tasks' numbers of classes."""
        state = self._inner.state()
        values = SingleState(**dict(state.read(SelectiveState)), classes_of=self._classes_of)
        return LearnerState.of(values, state.tensors)

    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Continue from a state of a learner that was built alike."""
        self._inner.restore(state, task=task and self._as_first(task))
        self._classes_of = state.read(SingleState).classes_of


class _First(nn.Module):
    """Selects the first logits of many."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, logits: Tensor) -> Tensor:
        """(B, all classes) -> (B, classes)."""
        return logits[:, : self.classes]
