"""SNN: a single network, head included, for all tasks."""

from dataclasses import replace
from typing import cast

from torch import Tensor, nn

from lasem.benchmarks import Task
from lasem.errors import DataError, LasemError
from lasem.learners._learner import AbstractLearner, LearnerState, ParameterCounts, Training
from lasem.learners._selective import SelectiveTransfer
from lasem.nn import Backbone
from lasem.search import Fixed


class SingleNetwork(AbstractLearner):
    """Fine-tunes one network on every task: each task is another visit of the same one.

    Args:
        backbone: Stages and heads; new.
        classes: Most classes that a task of the stream has; a task with fewer reads only its own logits.
        training: How a task is trained.
        seed: Seed of batches and dropout.
    """

    def __init__(self, backbone: Backbone, *, classes: int, training: Training | None = None, seed: int = 0) -> None:
        self.classes = classes
        self.training = training or Training()
        self._inner = SelectiveTransfer(backbone, Fixed("none"), training=self.training, seed=seed)
        self._classes_of: dict[int, int] = {}
        self._visits = 0

    def begin_task(self, task: Task) -> None:
        """Go on with the network, with a new optimizer.

        Raises:
            DataError: The task has more classes than the head.
        """
        if task.classes > self.classes:
            raise DataError(
                f"a single network has one head, here of {self.classes} classes"
                f" - got {task.classes} in task '{task.name}' - pass the largest number of classes as `classes`"
            )
        self._inner.begin_task(replace(task, identity=0, classes=self.classes))
        self._classes_of[self._visits if task.identity is None else task.identity] = task.classes
        self._visits += 1

    def train_epoch(self) -> float:
        """As a plain network."""
        return self._inner.train_epoch()

    def end_task(self) -> None:
        """Nothing is dropped."""
        self._inner.end_task()

    def logits(self, images: Tensor, task: int, *, trial: bool = False) -> Tensor:
        """The network's first logits, as many as the task has classes."""
        return self._inner.logits(images, 0, trial=trial)[:, : self._known(task)]

    def configuration(self, task: int) -> None:
        """None: nothing is chosen."""
        del task

    def network(self, task: int) -> nn.Module:
        """The network as it is now, with the task's logits only."""
        return nn.Sequential(self._inner.network(0), _First(self._known(task)))

    def _known(self, task: int) -> int:
        """Number of classes of a task."""
        if task not in self._classes_of:
            raise LasemError(
                f"a learner answers for tasks that it has met - got task {task}"
                f" - tasks met: {sorted(self._classes_of) or 'none'}"
            )
        return self._classes_of[task]

    def parameter_counts(self) -> ParameterCounts:
        """Everything belongs to the first task."""
        return self._inner.parameter_counts()

    def state(self) -> LearnerState:
        """That of the network, and the tasks' numbers of classes."""
        state = self._inner.state()
        state.values["classes_of"] = {str(task): classes for task, classes in self._classes_of.items()}
        return state

    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Go on from a state."""
        self._inner.restore(state, task=task and replace(task, identity=0, classes=self.classes))
        self._classes_of = {int(key): size for key, size in cast(dict[str, int], state.values["classes_of"]).items()}
        self._visits = len(cast(list[int], state.values["visits"]))


class _First(nn.Module):
    """The first classes of a longer row of logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, logits: Tensor) -> Tensor:
        """(B, all classes) -> (B, classes)."""
        return logits[:, : self.classes]
