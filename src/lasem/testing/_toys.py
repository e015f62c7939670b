"""Toys that contract kits and other tests need: tiny tasks, small networks, and steps that tests repeat."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from lasem.benchmarks import Split, Task
from lasem.configurations import ConfigurationSpace
from lasem.learners import AbstractLearner, LearnerState, TakesTurns
from lasem.nn import (
    AbstractMechanism,
    Backbone,
    BasicBlock,
    Conv,
    HardParameterSharing,
    Network,
    NormConv,
    TransferModule,
    mlp,
    truncated_normal,
)
from lasem.search import TaskNetwork, plan
from lasem.training import Training

SMALL_TRAINING = Training(batch_size=6, epochs=2, learning_rate=0.01, decay=0.1)
"""Options for training on the tasks of `make_task`."""


def make_task(
    *,
    seed: int = 0,
    classes: int = 3,
    train: int = 12,
    valid: int = 6,
    test: int = 9,
    shape: Sequence[int] = (1, 6, 6),
    identity: int | None = None,
    name: str = "toy",
) -> Task:
    """Make a task whose classes are noisy copies of random patterns.

    Args:
        seed: Seed of patterns and noise.
        classes: Number of classes.
        train: Number of training images; each class has its share of them.
        valid: Number of validation images.
        test: Number of test images.
        shape: Shape of an image, (C, H, W).
        identity: Number that all visits of the task have in common; None if it comes once.
        name: Name of the task.
    """
    source = torch.Generator().manual_seed(seed)
    patterns = torch.rand(classes, *shape, generator=source)

    def split(number: int) -> Split:
        labels = torch.arange(number) % classes
        noise = 0.1 * torch.randn(number, *shape, generator=source)
        return Split(images=patterns[labels] + noise, labels=labels)

    return Task(name=name, classes=classes, train=split(train), valid=split(valid), test=split(test), identity=identity)


def learn_task(learner: AbstractLearner, task: Task, *, epochs: int = 2) -> list[float]:
    """Train a learner on a task from beginning to end, in all turns if it takes turns, and return its losses.

    Args:
        learner: The learner; no task is open.
        task: The task.
        epochs: Number of epochs, or epochs per turn.

    Returns:
        The mean loss of every epoch.
    """
    learner.begin_task(task)
    turns = learner.turns() if isinstance(learner, TakesTurns) else None
    losses: list[float] = []
    for turn in range(len(turns or "1")):
        losses += [learner.train_epoch() for _ in range(epochs)]
        if isinstance(learner, TakesTurns):
            learner.end_turn(turn % 3 / 3)
    learner.end_task()
    return losses


def answers(learner: AbstractLearner, tasks: Sequence[Task], trained: int) -> list[Tensor]:
    """Return the logits of the first tasks' test images, (images, classes) for each of `trained` tasks."""
    return [learner.logits(tasks[task].test.images, task) for task in range(trained)]


def tree_logits(backbone: Backbone, images: Tensor, task: int, *, space: ConfigurationSpace) -> Tensor:
    """Evaluate all candidates in one tree, as a search does, without dropout.

    Args:
        backbone: A backbone on which the task is open.
        images: A batch, (B, C, H, W).
        task: Identity of the task.
        space: The candidates.

    Returns:
        (K, B, classes) logits, in the order of the space.
    """
    network, layout = TaskNetwork(backbone, task), plan(space)
    leaves = network.head(network.leaves(images, layout))
    order = sorted(range(len(space)), key=lambda leaf: layout.candidates[leaf])
    return leaves[order]


def assert_same_state(one: LearnerState, other: LearnerState, *, layouts: bool = False) -> None:
    """Assert that two states are the same, bit for bit.

    Args:
        one: A state.
        other: The state that it must equal.
        layouts: Whether tensors must also lie in memory in the same order.
    """
    assert json.dumps(one.values) == json.dumps(other.values)
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name
        assert not layouts or tensor.stride() == other.tensors[name].stride(), name


@dataclass(frozen=True)
class WrappedNetwork(Network):
    """A network of modules as users write them: the convolutions of its table with the batch norm of torch."""

    def build(
        self, shape: tuple[int, int, int], *, mechanism: AbstractMechanism | None = None, seed: int = 0
    ) -> Backbone:
        """Make the backbone for images of a shape, (C, H, W)."""
        sizes = [shape[0], *(layer.channels for layer in self.layers)]
        stages = [
            TransferModule(_Wrapped(inputs, layer.channels), mechanism or HardParameterSharing(), own=self.own)
            for inputs, layer in zip(sizes, self.layers, strict=False)
        ]
        return Backbone(stages, shape=shape, head=self._linear, seed=seed)

    def _linear(self, features: int, classes: int, source: Generator) -> nn.Module:
        return mlp((features, classes), source=source)


@dataclass(frozen=True)
class _Wrapped:
    """Builds a convolution with batch norm and ReLU from modules of torch."""

    inputs: int
    outputs: int

    def __call__(self, source: Generator) -> nn.Module:
        conv = nn.Conv2d(self.inputs, self.outputs, 3, padding=1, bias=False)
        conv.weight = truncated_normal(tuple(conv.weight.shape), source=source)
        return nn.Sequential(conv, nn.BatchNorm2d(self.outputs), nn.ReLU())


SMALL_NETWORKS: Mapping[str, Network] = {
    "plain": Network((Conv(3, 4, pool=2), Conv(3, 6, pool=2)), hidden=(5,)),
    "skips": Network((Conv(3, 4, pool=2), Conv(3, 4), Conv(3, 4, pool=2, skip=2)), hidden=(5,)),
    "batch norm": Network((NormConv(3, 8), BasicBlock(8, stride=2, average=True)), hidden=()),
    "wrapped modules": WrappedNetwork((NormConv(3, 4), NormConv(3, 5)), hidden=()),
    "three branches": Network((Conv(3, 4, pool=2), Conv(3, 6, pool=2)), hidden=(5,), own="lora", frozen=True),
}
"""One small network of every kind that stages can make, by name."""
