"""Toys that many tests need: tiny tasks and networks, and the few steps that tests of learners repeat."""

import torch

from lasem.benchmarks import Split, Task
from lasem.nn import Conv, Network

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


def make_backbone(*, depth=2, seed=0, shape=SHAPE, hidden=()):
    """Make a network of small convolutions, with a pool after the first."""
    layers = tuple(Conv(3, 3 + i, pool=2 if i == 0 else 1) for i in range(depth))
    return Network(layers, hidden=hidden).build(shape, seed=seed)


def values_of(module):
    """Copy all parameters, by name."""
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def open_stream(benchmark, data=None, *, stream_seed=0, data_seed=0):
    """Construct the stream of a benchmark, with both seeds 0 unless a test compares seeds."""
    return benchmark.stream(stream_seed=stream_seed, data_seed=data_seed, data=data)
