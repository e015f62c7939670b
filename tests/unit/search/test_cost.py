"""What a step takes, counted, against the tree as it is laid out, divided and run."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quarters import opened
from torch.utils._python_dispatch import TorchDispatchMode

from lasem.configurations import ConfigurationSpace, Partition
from lasem.nn import Conv, Network
from lasem.search import EM, Fixed, em_multiply_adds, plan, static_multiply_adds, tree_nodes, tree_sizes
from lasem.search._parts import Budget, kept_bytes, node_bytes

LAYERS = Network((Conv(3, 6), Conv(3, 6, pool=2), Conv(3, 6)), hidden=(8,)).layer_multiply_adds((2, 6, 6))
"""Of the network that `quarters` trains."""


@st.composite
def spaces(draw):
    """Any partition of up to six layers, with all of its configurations or some."""
    marks = draw(st.lists(st.integers(0, 3), min_size=1, max_size=6))
    groups = [tuple(i + 1 for i, mark in enumerate(marks) if mark == group) for group in set(marks)]
    space = ConfigurationSpace.full(Partition(tuple(groups)))
    members = draw(st.lists(st.sampled_from(range(len(space))), min_size=1, unique=True))
    return draw(st.sampled_from([(space, None), (space.subset(members), space.subset(members).candidates)]))


@given(spaces())
def test_nodes_are_those_of_the_tree(drawn):
    space, listed = drawn
    assert list(tree_nodes(space.partition, listed)) == [step.nodes for step in plan(space).steps]


@given(spaces(), st.lists(st.integers(1, 9), min_size=7, max_size=7), st.floats(0, 1))
def test_divisions_are_those_of_the_search(drawn, sizes, share):
    space, listed = drawn
    per_node = sizes[: space.partition.num_layers + 1]
    counted = tree_sizes(space.partition, listed, per_node)
    whole, single = (kept_bytes(plan(one), per_node) for one in (space, space.subset([0])))
    limit = int(single + share * (whole - single))
    budget = Budget(space, limit)
    budget._per_node = per_node
    parts = budget.divide(tuple(range(len(space))), None, None)
    layouts = [part.layout for part in parts]
    most = max(kept_bytes(layout, per_node) for layout in layouts)
    found = next(size for size in counted if kept_of(size, per_node) <= limit)
    assert (found.parts, kept_of(found, per_node)) == (len(parts), most)
    nodes = [[step.nodes for step in layout.steps] for layout in layouts]
    assert list(found.total) == [sum(counts) for counts in zip(*nodes, strict=True)]


def kept_of(size, per_node):
    return sum(a * b for a, b in zip([*size.widest, size.widest[-1]], per_node, strict=True))


def test_a_space_of_any_size_is_counted_without_listing_it():
    nodes = tree_nodes(Partition.single(200))
    assert nodes == tuple(2**layer for layer in range(1, 201))
    assert [size.parts for size in tree_sizes(Partition.single(200), None, [1] * 201)] == [1, *nodes]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"m_steps": 3},
        {"partition": Partition.parse("{1,3},{2}")},
        {"candidates": ((0, 0, 0), (0, 1, 1), (1, 1, 0))},
    ],
)
@pytest.mark.parametrize("divided", [False, True])
def test_multiply_adds_are_those_that_a_step_makes(options, divided):
    learner = opened(EM(**options))
    images, labels = next(learner.task.batches())
    partition, per_node = options.get("partition") or Partition.single(3), node_bytes(learner.backbone, images, 0)
    sizes = tree_sizes(partition, options.get("candidates"), per_node)
    size = next(one for one in sizes if one.parts > 1) if divided else sizes[0]
    if divided:
        learner = opened(EM(**options, memory=kept_of(size, per_node) / 2**20))
        learner.begin_epoch()
        made(learner, images, labels)  # the first step measures what a node keeps
    counted = em_multiply_adds(LAYERS, size, m_steps=options.get("m_steps", 1))
    assert made(learner, images, labels) == len(images) * counted


def test_multiply_adds_of_one_network_are_those_that_its_step_makes():
    learner = opened(Fixed("all"))
    images, labels = next(learner.task.batches())
    assert made(learner, images, labels) == len(images) * static_multiply_adds(LAYERS)


class Convolutions(TorchDispatchMode):
    """Counts multiply-adds of what is dispatched."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            self.count += result.numel() * args[1][0].numel()
        elif func is torch.ops.aten.convolution_backward.default:
            self.count += sum(args[-1][:2]) * args[0].numel() * args[2][0].numel()
        return result


def made(learner, images, labels):
    """Multiply-adds of the convolutions of a step."""
    with Convolutions() as convolutions:
        learner.train_step(images, labels)
    return convolutions.count
