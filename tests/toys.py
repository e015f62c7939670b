"""Toys that many tests need: tiny tasks and networks, and the few steps that tests of learners repeat."""

import json

import torch

from lasem.benchmarks import Split, Task
from lasem.learners import LearnerState
from lasem.nn import Conv, Network
from lasem.search import TaskNetwork, plan

SHAPE = (1, 6, 6)


def make_task(*, seed=0, classes=3, train=12, valid=6, test=9, shape=SHAPE, identity=None, name="toy"):
    """Make a task whose classes are noisy copies of random patterns."""
    source = torch.Generator().manual_seed(seed)
    patterns = torch.rand(classes, *shape, generator=source)

    def split(number):
        labels = torch.arange(number) % classes
        noise = 0.1 * torch.randn(number, *shape, generator=source)
        return Split(images=patterns[labels] + noise, labels=labels)

    return Task(name=name, classes=classes, train=split(train), valid=split(valid), test=split(test), identity=identity)


def shifted_task(seed, *, shape=SHAPE, images=12, classes=3, identity=None):
    """Make a task of normal noise whose labels are added to the pixels; its three splits are the same images."""
    labels = torch.arange(images) % classes
    noise = torch.randn(images, *shape, generator=torch.Generator().manual_seed(seed))
    split = Split(images=noise + labels[:, None, None, None], labels=labels)
    return Task(name=f"toy {seed}", classes=classes, train=split, valid=split, test=split, identity=identity)


def double_batch(shape, *, size=5, classes=3):
    """Make images (size, *shape) in double precision and labels (size,)."""
    source = torch.Generator().manual_seed(1)
    images = torch.randn(size, *shape, generator=source, dtype=torch.float64)
    return images, torch.randint(classes, (size,), generator=source)


def make_backbone(*, depth=2, seed=0, shape=SHAPE, hidden=()):
    """Make a network of small convolutions, with a pool after the first."""
    layers = tuple(Conv(3, 3 + i, pool=2 if i == 0 else 1) for i in range(depth))
    return Network(layers, hidden=hidden).build(shape, seed=seed)


def tree_logits(backbone, images, task, *, space):
    """Evaluate all candidates in one tree, as a search does, without dropout: (K, B, classes), in the space's order."""
    network, layout = TaskNetwork(backbone, task), plan(space)
    leaves = network.head(network.leaves(images, layout))
    order = sorted(range(len(space)), key=lambda leaf: layout.candidates[leaf])
    return leaves[order]


def values_of(module):
    """Copy all parameters, by name."""
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def open_stream(benchmark, data=None, *, stream_seed=0, data_seed=0):
    """Construct the stream of a benchmark, with both seeds 0 unless a test compares seeds."""
    return benchmark.stream(stream_seed=stream_seed, data_seed=data_seed, data=data)


def learn(learner, task, epochs=1):
    """Train a learner on a task from beginning to end, and return the mean loss of each epoch."""
    learner.begin_task(task)
    losses = [learner.train_epoch() for _ in range(epochs)]
    learner.end_task()
    return losses


def through_disk(state):
    """Copy a learner's state as a checkpoint does: tensors in their layout, and values in JSON."""
    tensors = {name: value.detach().clone() for name, value in state.tensors.items()}
    return LearnerState(tensors=tensors, values=json.loads(json.dumps(state.values)))


def assert_same(one, other):
    """Assert that two learners have the same state, bit for bit."""
    assert_same_state(one.state(), other.state())


def assert_same_state(state, other):
    """Assert that two states are the same, bit for bit."""
    assert json.dumps(state.values) == json.dumps(other.values)
    assert state.tensors.keys() == other.tensors.keys()
    for name, tensor in state.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name
