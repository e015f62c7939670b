"""Building the learner of a spec, and what the learner is built from."""

from dataclasses import replace
from typing import Any

import torch

from lasem.benchmarks import Outline
from lasem.errors import require
from lasem.learners import AbstractLearner, Setup
from lasem.nn import AbstractMechanism, AnyNetwork
from lasem.runs._spec import Spec
from lasem.search import AbstractStrategy


def build_mechanism(spec: Spec) -> AbstractMechanism:
    """Return the mechanism of a spec; hard parameter sharing if its learner reads none."""
    return spec.mechanism.options


def build_strategy(spec: Spec) -> AbstractStrategy:
    """Return the strategy of a spec over the stages of its network, where a spec counts the network's layers.

    Raises:
        SpecError: The partition does not fit the network.
    """
    return strategy_on(spec.network.options, spec.strategy.options)


def strategy_on(network: AnyNetwork, strategy: AbstractStrategy) -> AbstractStrategy:
    """Return a strategy with its partition in stages of a network, where a spec counts layers.

    Raises:
        SpecError: The partition does not fit the network.
    """
    options: Any = strategy
    partition = getattr(strategy, "partition", None)
    return strategy if partition is None else replace(options, partition=network.stage_partition(partition))


def build_learner(spec: Spec, outline: Outline, *, device: torch.device, capture: bool = False) -> AbstractLearner:
    """Build a new learner for streams of an outline.

    Args:
        spec: One experiment.
        outline: Outline of its stream.
        device: Where tensors go.
        capture: Whether the steps of every task are compiled.

    Raises:
        SpecError: The learner's steps cannot be captured, or its options do not go together.
    """
    require(
        not capture or (spec.learner.kind == "selective" and build_strategy(spec).one_tree),
        "captured steps must be those of a learner that runs the same candidates in one tree in every step, as static"
        " configurations do, and LASEM without epsilon and memory",
        remedy="do without --capture",
        learner=spec.learner.name,
    )
    setup = Setup(
        network=spec.network.options,
        outline=outline,
        mechanism=build_mechanism(spec),
        strategy=build_strategy(spec),
        training=spec.training,
        seed=spec.seeds.training,
        device=device,
        capture=capture,
        retention=spec.retention,
    )
    return spec.learner.options.build(setup)
