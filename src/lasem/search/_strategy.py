"""Search strategies: how the configuration of a task is found while it trains."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from lasem.configurations import ConfigurationSpace, Partition
from lasem.errors import LasemError, require
from lasem.search._decision import Decision, Schedule
from lasem.search._open_task import AbstractOpenTask
from lasem.search._options import Candidates, HeldOut, list_candidates
from lasem.search._skipping import Effort
from lasem.search._task_network import TaskNetwork


class AbstractSearch(ABC):
    """The search of one task, from its first batch to its decision.

    Attributes:
        space: The candidates.
        redraws: Whether `space` changes while the task trains, because candidates are drawn anew.
    """

    space: ConfigurationSpace
    redraws: ClassVar[bool] = False

    @abstractmethod
    def step(self, task: AbstractOpenTask, images: Tensor, labels: Tensor) -> Tensor:
        """Learn from one batch.

        Args:
            task: The open task, which makes the optimizer steps.
            images: (B, C, H, W).
            labels: (B,).

        Returns:
            The loss, a detached scalar.

        Raises:
            RunError: The loss or a gradient is not finite; see `AbstractOpenTask.step`.
        """

    @abstractmethod
    def start_epoch(self) -> None:
        """Prepare for the first batch of an epoch."""

    @abstractmethod
    def leader(self) -> int:
        """Return the index of the candidate that would be committed now."""

    @abstractmethod
    def log_prior(self) -> Tensor | None:
        """Return the log-probability of every candidate, (K,); None if nothing is searched."""

    def prior(self) -> Tensor | None:
        """Return the probability of every candidate, (K,); None if nothing is searched."""
        log_prior = self.log_prior()
        return None if log_prior is None else log_prior.exp()

    def marginals(self) -> Tensor | None:
        """Return the probability of every group's branches, (G, branches); None where it follows from the prior."""
        return None

    def set_prior(self, prior: Tensor) -> None:
        """Replace the prior of a search that has one, which is `EM`.

        The new prior weighs as many batches as the task has trained on. So one that is set before the first batch
        decides the first posterior, and then gives way to it, as the uniform prior does.

        Args:
            prior: (K,) positive numbers in the order of the candidates; their sum is made 1.

        Raises:
            LasemError: The search has no prior that could be set, or there is not one positive number per candidate.
        """
        raise LasemError(
            f"a search must have a prior for it to be set (got {type(self).__name__}, {len(prior)} numbers); use EM"
        )

    @property
    def log_posterior(self) -> Tensor | None:
        """Log-probability of every candidate given the last batch, (K,); None if the search computes none."""
        return None

    @property
    def decision(self) -> Decision:
        """What is known of the outcome before the search ends."""
        return Decision()

    @property
    def spread(self) -> float | None:
        """Mean over the current epoch of the largest minus the smallest log-evidence of a batch, in nats.

        None for a search that computes no evidence.
        """
        return None

    @property
    def effort(self) -> Effort | None:
        """Work of the current epoch's E-steps; None for a search without E-steps."""
        return None

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return everything that a search remembers. The tensors are live: writing into them restores the search."""


class AbstractStrategy(ABC):
    """A way of choosing which layers a task shares: a class of options that opens a search for every task.

    Attributes:
        held_out: Images that the search sees besides the training batches: none, the task's validation split, or half
            of its training split, which the weights then do without.
    """

    held_out: HeldOut = "none"

    @property
    def one_tree(self) -> bool:
        """Whether every step runs the same candidates in one tree, so that steps can be compiled; see `capture`."""
        return False

    @abstractmethod
    def space(self, layers: int, *, branches: int = 2) -> ConfigurationSpace:
        """Return the candidates for a network with this many stages.

        Args:
            layers: Number of stages.
            branches: Number of branches of every stage: 2, or 3 if the network offers the frozen one.

        Raises:
            SpecError: The options do not fit this number of stages.
        """

    def num_configurations(self, layers: int, *, branches: int = 2) -> int:
        """Return the number of configurations that a search chooses from; those of `space` unless it draws others."""
        return len(self.space(layers, branches=branches))

    @property
    def starts_shared(self) -> bool:
        """Whether the first task shares all layers, without a search."""
        return False

    def check_epochs(self, epochs: int | None) -> None:  # noqa: B027 - most strategies do with any number
        """Check that the options fit the number of epochs of a task.

        Args:
            epochs: Number of epochs; None if it is not known.

        Raises:
            SpecError: An option looks ahead and the number is not known, or the task is too short.
        """

    @abstractmethod
    def search(self, space: ConfigurationSpace, *, network: TaskNetwork, schedule: Schedule) -> AbstractSearch:
        """Begin the search of one task.

        Args:
            space: The candidates.
            network: The network with the task open.
            schedule: How long the task will be trained.
        """


def candidate_space(
    layers: int,
    *,
    partition: Partition | None,
    candidates: Candidates | None = None,
    branches: int = 2,
) -> ConfigurationSpace:
    """Return the candidates of a partition of this many layers.

    Args:
        layers: Number of stages of the network.
        partition: Groups of layers that decide together; None for groups of one layer each.
        candidates: (K, G) digits, or "ordered"; None for all configurations.
        branches: Number of branches, 2 or 3.

    Raises:
        SpecError: The partition has another number of layers, or a candidate does not fit it.
    """
    groups = layer_groups(layers, partition)
    digits = list_candidates(candidates, groups=groups.num_groups, branches=branches)
    if digits is None:
        return ConfigurationSpace.full(groups, branches=branches)
    return ConfigurationSpace(groups, digits, branches)


def layer_groups(layers: int, partition: Partition | None) -> Partition:
    """Return a partition of this many layers; without one, groups of one layer each.

    Raises:
        SpecError: The partition has another number of layers.
    """
    groups = partition or Partition.single(layers)
    require(
        groups.num_layers == layers,
        f"a partition must cover all {layers} layers of the network",
        remedy=f"name every layer from 1 to {layers} once",
        partition=str(groups),
    )
    return groups
