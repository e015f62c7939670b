"""Search strategies: how the configuration of a task is found while it trains."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from lasem.configurations import ConfigurationSpace, Partition, named
from lasem.errors import require
from lasem.nn import Backbone
from lasem.search._capture import LeafFeatures
from lasem.search._decision import Decision, Schedule
from lasem.search._dropout import DropoutMasks
from lasem.search._evidence import cross_entropies
from lasem.search._skipping import Effort
from lasem.search._tree import Plan, in_space_order, indices, leaf_features, plan


@dataclass(frozen=True)
class OpenTask:
    """The network of the task that is being learned, as a search sees it.

    Attributes:
        backbone: Holds both branches of every stage, with the task open.
        task: Its identity.
        keep: Probability by which dropout keeps a feature.
        masks: Source of the dropout masks.
        update: Makes one optimizer step on the sum of losses, scalars that it takes one after another, each with its
            backward pass before the next is computed; that sum, detached.
        learning_rate: Of that step.
        held_out: Gives the next batch of held-out images and labels, of a training batch's size where there are as
            many; None where the strategy holds nothing out.
        features: Runs the backbone; see `capture`.
    """

    backbone: Backbone
    task: int
    keep: float
    masks: Generator
    update: Callable[[Iterable[Tensor]], Tensor]
    learning_rate: float = 0.0
    held_out: Callable[[], tuple[Tensor, Tensor]] | None = None
    features: LeafFeatures = leaf_features

    def leaves(self, images: Tensor, layout: Plan) -> Tensor:
        """Run a batch through every path: (B, C, H, W) -> (K, B, F), in the order of the leaves."""
        return self.features(self.backbone, images, self.task, layout=layout)

    @property
    def head(self) -> nn.Module:
        """The task's output layers: (..., F) -> (..., classes)."""
        return self.backbone.heads[str(self.task)]

    def draw_masks(self, candidates: int, batch: int) -> DropoutMasks:
        """Dropout masks of one optimizer step, a row per candidate."""
        features = self.backbone.num_features
        return DropoutMasks.draw(candidates, batch, features, keep=self.keep, source=self.masks)


class AbstractSearch(ABC):
    """The search of one task, from its first batch to its decision."""

    space: ConfigurationSpace

    @abstractmethod
    def step(self, network: OpenTask, images: Tensor, labels: Tensor) -> Tensor:
        """Learn from one minibatch, (B, C, H, W) and (B,); the loss, a detached scalar."""

    @abstractmethod
    def start_epoch(self) -> None:
        """An epoch begins."""

    @abstractmethod
    def leader(self) -> int:
        """Index of the candidate that would be committed now."""

    @abstractmethod
    def log_prior(self) -> Tensor | None:
        """Log-probability of every candidate, (K,); None where nothing is searched."""

    @property
    def log_posterior(self) -> Tensor | None:
        """Log-probability of every candidate given the last batch, (K,); None where none is computed."""
        return None

    @property
    def decision(self) -> Decision:
        """What is known of the outcome before the search ends."""
        return Decision()

    @property
    def effort(self) -> Effort | None:
        """Work of the current epoch's E-steps; None where there are none."""
        return None

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """All that a search remembers, live: copying values into it restores the search."""


class AbstractStrategy(ABC):
    """A way of choosing; it holds options only, and opens a search per task.

    Attributes:
        held_out: Images that the search sees besides the batches of training: none, the task's validation split, or
            half of its training split, which the weights then do without.
    """

    held_out: Literal["none", "valid", "half"] = "none"

    @property
    def one_tree(self) -> bool:
        """Whether every step runs the same candidates in one tree, which can be captured."""
        return False

    @abstractmethod
    def space(self, layers: int) -> ConfigurationSpace:
        """The candidates for a network of so many stages."""

    @abstractmethod
    def search(self, space: ConfigurationSpace, *, device: torch.device, schedule: Schedule) -> AbstractSearch:
        """Begin to search the configuration of one task."""


class FixedSearch(AbstractSearch):
    """No search: one candidate, trained as a plain network."""

    def __init__(self, space: ConfigurationSpace) -> None:
        self.space = space

    def step(self, network: OpenTask, images: Tensor, labels: Tensor) -> Tensor:
        """One optimizer step on the cross-entropy, with dropout, plus the penalties."""
        return plain_step(network, images, labels, self.space)

    def start_epoch(self) -> None:
        """Nothing."""

    def leader(self) -> int:
        """The only candidate."""
        return 0

    def log_prior(self) -> None:
        """None."""

    def state(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class Fixed(AbstractStrategy):
    """The same static configuration for every task.

    Attributes:
        configuration: "all", "none", "top-2", "bottom-1", "alternating" or bits, first layer first.
    """

    configuration: str = "all"

    @property
    def one_tree(self) -> bool:
        """One path."""
        return True

    def space(self, layers: int) -> ConfigurationSpace:
        """One candidate."""
        return ConfigurationSpace.only(named(self.configuration, layers))

    def search(self, space: ConfigurationSpace, *, device: torch.device, schedule: Schedule) -> AbstractSearch:
        """Nothing to search."""
        del device, schedule
        return FixedSearch(space)


@dataclass(frozen=True)
class InTurn(AbstractStrategy):
    """Candidates for a learner that trains them one after another, each as a plain network.

    Attributes:
        partition: Groups of layers that decide together; None = every layer for itself.
        candidates: Configurations to choose from, as bits per group; None = all of them.
    """

    partition: Partition | None = None
    candidates: tuple[tuple[int, ...], ...] | None = None

    def space(self, layers: int) -> ConfigurationSpace:
        """All configurations of the partition, or those listed."""
        return space_of(layers, partition=self.partition, candidates=self.candidates)

    def search(self, space: ConfigurationSpace, *, device: torch.device, schedule: Schedule) -> AbstractSearch:
        """The training of one candidate: a space of its own."""
        del device, schedule
        require(len(space) == 1, "candidates in turn are opened one by one", candidates=len(space))
        return FixedSearch(space)


def space_of(
    layers: int, *, partition: Partition | None, candidates: tuple[tuple[int, ...], ...] | None = None
) -> ConfigurationSpace:
    """The candidates of a partition of so many layers.

    Args:
        layers: Of the network.
        partition: Groups of layers that decide together; None = every layer for itself.
        candidates: Bits per group; None = all configurations.

    Raises:
        SpecError: The partition is of another number of layers, or a candidate does not fit it.
    """
    groups = partition or Partition.single(layers)
    require(
        groups.num_layers == layers,
        f"a partition covers all {layers} layers of the network",
        remedy=f"name every layer from 1 to {layers} once",
        partition=str(groups),
    )
    return ConfigurationSpace.full(groups) if candidates is None else ConfigurationSpace(groups, candidates)


def plain_step(network: OpenTask, images: Tensor, labels: Tensor, space: ConfigurationSpace) -> Tensor:
    """One optimizer step of one candidate alone: cross-entropy, with dropout, plus the penalties of what it shares.

    Args:
        network: With the candidate's branches.
        images: (B, C, H, W).
        labels: (B,).
        space: Holds the candidate, and no other.
    """
    loss = cross_entropies(candidate_logits(network, images, space), labels)[0]
    for stage, penalty in network.backbone.penalties(network.task):
        if space.layer_bits[0][stage]:
            loss = loss + penalty
    return network.update([loss])


def candidate_logits(network: OpenTask, images: Tensor, space: ConfigurationSpace) -> Tensor:
    """Logits of every candidate with dropout: (B, C, H, W) -> (K, B, classes)."""
    layout = plan(space)
    masks = network.draw_masks(len(space), len(images))
    leaves = network.leaves(images, layout)
    return in_space_order(network.head(masks.apply(leaves, indices(layout.candidates, leaves.device))), layout)


def configuration_logits(backbone: Backbone, images: Tensor, task: int, *, space: ConfigurationSpace) -> Tensor:
    """Evaluate every candidate in one pass, without dropout: (B, C, H, W) -> (K, B, classes).

    Args:
        backbone: With the task open, or committed (then only its own configuration can be evaluated).
        images: A batch.
        task: Identity of the task.
        space: The candidates.
    """
    layout = plan(space)
    return in_space_order(backbone.heads[str(task)](leaf_features(backbone, images, task, layout=layout)), layout)
