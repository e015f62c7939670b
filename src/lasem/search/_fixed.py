"""No search: one configuration trained as a plain network, and the logits of given ones."""

import torch
from torch import Tensor

from lasem.configurations import ConfigurationSpace, named
from lasem.errors import require
from lasem.nn import Backbone
from lasem.options import options
from lasem.search._decision import Schedule
from lasem.search._evidence import cross_entropies
from lasem.search._options import Candidates, Groups
from lasem.search._strategy import AbstractSearch, AbstractStrategy, OpenTask, space_of
from lasem.search._tree import in_space_order, indices, leaf_features, plan


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


@options
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


@options
class InTurn(AbstractStrategy):
    """Candidates for a learner that trains them one after another, each as a plain network.

    Attributes:
        partition: Groups of layers that decide together; None = every layer for itself.
        candidates: Configurations to choose from, as bits per group; None = all of them.
    """

    partition: Groups | None = None
    candidates: Candidates | None = None

    def space(self, layers: int) -> ConfigurationSpace:
        """All configurations of the partition, or those listed."""
        return space_of(layers, partition=self.partition, candidates=self.candidates)

    def search(self, space: ConfigurationSpace, *, device: torch.device, schedule: Schedule) -> AbstractSearch:
        """The training of one candidate: a space of its own."""
        del device, schedule
        require(len(space) == 1, "candidates in turn are opened one by one", candidates=len(space))
        return FixedSearch(space)


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
