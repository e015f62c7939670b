"""A copy of a learner, made while a task is open, trains on exactly as the original."""

import copy
import pickle

import pytest
import torch

from lasem.learners import (
    APD,
    DEN,
    APDOptions,
    DENOptions,
    PlainNetwork,
    Training,
)
from lasem.nn import Conv, Network

SHAPE = (1, 6, 6)
NETWORK = Network((Conv(3, 6, pool=2), Conv(3, 5)), hidden=(7,))
EPOCHS = 10
LEARNERS = {
    "den": (DEN, DENOptions(expand=3, l1=1e-3, loss_threshold=0.0)),
    "apd": (APD, APDOptions(sparsity=0.01)),
}
COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda learner: pickle.loads(pickle.dumps(learner))}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())
@pytest.mark.parametrize(("kind", "options"), LEARNERS.values(), ids=LEARNERS.keys())
def test_a_copy_made_after_any_epoch_trains_on_exactly_as_the_original(kind, options, copied, make_task):
    training = Training(batch_size=4, learning_rate=1e-2, optimizer="adam", epochs=EPOCHS)
    original = kind(PlainNetwork(NETWORK, shape=SHAPE), options=options, training=training)
    first, second = make_task(seed=0), make_task(seed=1)
    original.begin_task(first)
    for _ in range(EPOCHS):
        original.train_epoch()
    original.end_task()
    original.begin_task(second)
    copies = []
    for _ in range(EPOCHS):  # in DEN, some of them in every phase
        copies.append(copied(original))
        original.train_epoch()
    original.end_task()
    for done, other in enumerate(copies):
        for _ in range(EPOCHS - done):
            other.train_epoch()
        other.end_task()
        for task in range(2):
            assert torch.equal(other.logits(first.test.images, task), original.logits(first.test.images, task))
