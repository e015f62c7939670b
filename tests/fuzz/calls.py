"""Calls of a learner in an odd order, or with images that it was not made for."""

import random

import numpy as np
import torch

from lasem.benchmarks import TaskStream
from lasem.errors import LasemError
from lasem.learners import LEARNERS, AbstractLearner, LearnerState, Setup
from lasem.nn import HardParameterSharing
from lasem.search import DARTS, EM, Fixed
from lasem.testing import SMALL_NETWORKS, SMALL_TRAINING, make_task

SHAPE = (1, 8, 8)
STRATEGIES = {"selective": (EM(), DARTS(), Fixed("top-1"))}


def call(draw: random.Random) -> None:
    """Make up to five calls of a learner; a call that ends with an error of lasem is answered by the next call."""
    kind = draw.choice(sorted(LEARNERS))
    strategy = draw.choice(STRATEGIES.get(kind, (Fixed("all"),)))
    setup = Setup(
        network=SMALL_NETWORKS["plain"],
        outline=_outline(),
        mechanism=HardParameterSharing(),
        strategy=strategy,
        training=SMALL_TRAINING,
    )
    learner = LEARNERS[kind]().build(setup)
    for _ in range(draw.randrange(1, 6)):
        try:
            draw.choice(CALLS)(draw, learner)
        except LasemError:
            continue


def _outline():
    return TaskStream.of([make_task(seed=seed, classes=2, shape=SHAPE) for seed in range(3)]).outline


def _images(draw: random.Random) -> object:
    """Draw images: fitting ones half of the time."""
    if draw.random() < 0.5:
        return torch.rand(2, *SHAPE)
    shape = draw.choice(((2, *SHAPE), (0, *SHAPE), (2, 3, 8, 8), (2, 1, 7, 8), SHAPE, (8,), (), (2, 1, 8, 8, 1)))
    images = torch.rand(shape)
    changed = (
        images,
        images.double(),
        (images * 255).to(torch.uint8),
        images.half(),
        images.numpy(),
        images.tolist(),
        images * float("nan"),
        None,
        np.zeros(3),
        images.to_sparse() if images.ndim else images,
        images.clone().requires_grad_(),
    )
    return draw.choice(changed)


def _begin(draw: random.Random, learner: AbstractLearner) -> None:
    shape = SHAPE if draw.random() < 0.8 else draw.choice(((1, 8, 9), (3, 8, 8)))
    learner.begin_task(make_task(seed=draw.randrange(3), classes=draw.choice((1, 2, 3)), shape=shape))


def _train(draw: random.Random, learner: AbstractLearner) -> None:
    mode = draw.choice((torch.enable_grad, torch.enable_grad, torch.no_grad, torch.inference_mode))
    with mode():
        learner.train_epoch()


def _end(draw: random.Random, learner: AbstractLearner) -> None:
    learner.end_task()


def _ask(draw: random.Random, learner: AbstractLearner) -> None:
    learner.logits(_images(draw), draw.choice((0, 0, 1, -1, 7, None, "0", 0.5)))  # type: ignore[arg-type]


def _network(draw: random.Random, learner: AbstractLearner) -> None:
    learner.network(draw.choice((0, 0, 1, -1, 7)))


def _restore(draw: random.Random, learner: AbstractLearner) -> None:
    state = learner.state()
    tensors, values = dict(state.tensors), dict(state.values)
    for part in (tensors, values):
        if part and draw.random() < 0.5:
            del part[draw.choice(sorted(part))]
    if tensors and draw.random() < 0.3:
        tensors[draw.choice(sorted(tensors))] = torch.zeros(draw.choice(((), (2, 2))))
    if values and draw.random() < 0.3:
        values[draw.choice(sorted(values))] = draw.choice((None, -1, "x", [], {}))
    learner.restore(LearnerState(tensors=tensors, values=values), task=None)


CALLS = (_begin, _begin, _train, _train, _end, _ask, _ask, _network, _restore)
