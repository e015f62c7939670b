"""Search strategies: how the configuration of a task is found while it trains."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from lasem.configurations import ConfigurationSpace, Partition
from lasem.errors import require
from lasem.nn import Backbone
from lasem.search._capture import LeafFeatures
from lasem.search._decision import Decision, Schedule
from lasem.search._dropout import DropoutMasks
from lasem.search._skipping import Effort
from lasem.search._tree import Plan, leaf_features


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
