"""A learner: classifies by the nearest class mean, which moves toward the mean of the images in every epoch."""

import torch
from torch import Tensor, nn

from lasem.benchmarks import Task
from lasem.learners import AbstractLearner, AbstractLearnerOptions, LearnerState, Setup
from lasem.options import Fraction, options
from lasem.training import Training


@options
class NearestMeanOptions(AbstractLearnerOptions):
    """Options in the section `[nearest-mean]`; `step` is the share of the way to the mean that an epoch goes."""

    step: Fraction = 0.5

    def build(self, setup: Setup) -> AbstractLearner:
        """Build a new learner."""
        return NearestMean(self.step, setup.training)


class NearestMean(AbstractLearner):
    """Stores (classes, pixels) means per task in the seven methods that every learner has."""

    def __init__(self, step: float, training: Training) -> None:
        self.step, self.training, self.means, self.task = step, training, {}, None

    def begin_task(self, task: Task) -> None:
        self.task = task
        self.means.setdefault(task.identity, torch.zeros(task.classes, task.train.images[0].numel()))

    def train_epoch(self) -> float:
        train, means = self.task.train, self.means[self.task.identity]
        targets = torch.stack([train.images[train.labels == label].mean(0).flatten() for label in range(len(means))])
        means += self.step * (targets - means)
        return float((targets - means).square().mean())  # a runner only asks for a finite number

    def end_task(self) -> None:
        self.task = None

    def logits(self, images: Tensor, task: int) -> Tensor:
        return self.network(task)(images).detach()

    def network(self, task: int) -> nn.Module:
        means = self.means[task]
        linear = nn.Linear(*means.T.shape)  # -|x - m|^2 is 2 x m - |m|^2, less the |x|^2 that all classes have
        linear.weight, linear.bias = nn.Parameter(2 * means), nn.Parameter(-means.square().sum(1))
        return nn.Sequential(nn.Flatten(), linear)

    def state(self) -> LearnerState:
        return LearnerState(tensors={f"means.{task}": means for task, means in self.means.items()})

    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        self.means = {int(name.removeprefix("means.")): means.clone() for name, means in state.tensors.items()}
        self.task = task
