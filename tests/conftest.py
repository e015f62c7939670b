"""What several tests build: tiny tasks, streams and backbones."""

import pytest
import torch

from lasem.benchmarks import Split, Task
from lasem.nn import Conv, Network

SHAPE = (1, 6, 6)


@pytest.fixture(scope="session", autouse=True)
def single_thread():
    torch.set_num_threads(1)


def _task(*, seed=0, classes=3, train=12, valid=6, test=9, shape=SHAPE, identity=None, name="toy"):
    """A task whose classes are noisy copies of random patterns."""
    source = torch.Generator().manual_seed(seed)
    patterns = torch.rand(classes, *shape, generator=source)

    def split(number):
        labels = torch.arange(number) % classes
        noise = 0.1 * torch.randn(number, *shape, generator=source)
        return Split(images=patterns[labels] + noise, labels=labels)

    return Task(name=name, classes=classes, train=split(train), valid=split(valid), test=split(test), identity=identity)


def _backbone(*, depth=2, seed=0, shape=SHAPE, hidden=()):
    """Small convolutions, with a pool after the first."""
    layers = tuple(Conv(3, 3 + i, pool=2 if i == 0 else 1) for i in range(depth))
    return Network(layers, hidden=hidden).build(shape, seed=seed)


def _values(module):
    """Copies of all parameters by name."""
    return {name: value.detach().clone() for name, value in module.named_parameters()}


@pytest.fixture(scope="session")
def make_task():
    return _task


@pytest.fixture(scope="session")
def make_backbone():
    return _backbone


@pytest.fixture(scope="session")
def values_of():
    return _values
