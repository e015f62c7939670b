"""A task that a small network learns quickly, and a learner for it."""

import torch

from lasem.benchmarks import Split, Task
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Conv, Network
from lasem.search import EM

SHAPE, CLASSES = (2, 6, 6), 3


def make_task() -> Task:
    """Classes that a small network learns quickly: each has a bright quarter of its own."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(24) % CLASSES
    images = 0.1 * torch.randn(24, *SHAPE, generator=generator)
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * (label // 2) : 3 * (label // 2) + 3, 3 * (label % 2) : 3 * (label % 2) + 3] += 1
    split = Split(images=images, labels=labels)
    return Task(name="quarters", classes=CLASSES, train=split, valid=split, test=split)


def make_learner(strategy, *, keep=0.5, epochs=30, rate=0.05, branches=2) -> SelectiveTransfer:
    network = Network((Conv(3, 6), Conv(3, 6, pool=2), Conv(3, 6)), hidden=(8,), frozen=branches == 3)
    backbone = network.build(SHAPE, seed=3)
    training = Training(batch_size=6, learning_rate=rate, keep=keep, epochs=epochs)
    return SelectiveTransfer(backbone, strategy, training=training, seed=1)


def opened(strategy: EM, **options) -> SelectiveTransfer:
    """The same with the task open, from initial values so unequal that some configurations are better than others."""
    learner = make_learner(strategy, **options)
    learner.begin_task(make_task())
    with torch.no_grad():
        for number, parameter in enumerate(learner.backbone.parameters()):
            parameter.mul_(3 + number % 4)
    return learner
