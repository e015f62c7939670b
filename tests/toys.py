"""Toys that many tests need: tiny tasks and networks, and the few steps that tests of learners repeat."""

import json
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from lasem.benchmarks import Split, Task
from lasem.learners import LearnerState
from lasem.nn import Conv, Network
from lasem.nn._import_library import import_library
from lasem.testing import assert_same_state, learn_task
from lasem.testing import make_task as make_task
from lasem.testing import tree_logits as tree_logits

SHAPE = (1, 6, 6)

learn = partial(learn_task, epochs=1)


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


def write_photos(root, names, *, images, size, suffix="png"):
    """Write one folder of random images (height, width) per class, each class darker than the one before."""
    source = np.random.default_rng(0)
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for index in range(images):
            pixels = source.integers(0, 256, (*size, 3)) // (number + 1)
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{index}.{suffix}")
    return root


def values_of(module):
    """Copy all parameters, by name."""
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def open_stream(benchmark, data=None, *, stream_seed=0, data_seed=0):
    """Construct the stream of a benchmark, with both seeds 0 unless a test compares seeds."""
    return benchmark.stream(stream_seed=stream_seed, data_seed=data_seed, data=data)


def import_timm():
    """Import timm as lasem does; skip without timm."""
    if find_spec("timm") is None:
        pytest.skip("needs timm")
    return import_library("timm", extra="timm")


def through_disk(state):
    """Copy a learner's state as a checkpoint does: tensors in their layout, and values in JSON."""
    tensors = {name: value.detach().clone() for name, value in state.tensors.items()}
    return LearnerState(tensors=tensors, values=json.loads(json.dumps(state.values)))


def assert_same(one, other):
    """Assert that two learners have the same state, bit for bit."""
    assert_same_state(one.state(), other.state())
