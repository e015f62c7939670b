"""No search: one configuration trained as a plain network, and the logits of given ones."""

from torch import Tensor

from lasem.configurations import ConfigurationSpace, named
from lasem.errors import require
from lasem.nn import Backbone
from lasem.options import options
from lasem.search._decision import Schedule
from lasem.search._evidence import cross_entropies
from lasem.search._open_task import AbstractOpenTask
from lasem.search._options import Candidates, Groups
from lasem.search._strategy import AbstractSearch, AbstractStrategy, candidate_space
from lasem.search._task_network import TaskNetwork
from lasem.search._tree import in_space_order, indices, leaf_features, plan


class FixedSearch(AbstractSearch):
    """Trains one candidate as a plain network; there is nothing to search."""

    def __init__(self, space: ConfigurationSpace, network: TaskNetwork) -> None:
        self.space = space
        self._network = network

    def step(self, task: AbstractOpenTask, images: Tensor, labels: Tensor) -> Tensor:
        """Make one optimizer step on the cross-entropy, with dropout, plus the penalties."""
        return plain_step(task, self._network, images, labels, space=self.space)

    def start_epoch(self) -> None:
        """Do nothing."""

    def leader(self) -> int:
        """Return 0, the index of the only candidate."""
        return 0

    def log_prior(self) -> None:
        """Return None: nothing is searched."""

    def state(self) -> dict[str, Tensor]:
        """Return nothing: there is no state."""
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

    def search(self, space: ConfigurationSpace, *, network: TaskNetwork, schedule: Schedule) -> AbstractSearch:
        """Train the only candidate."""
        del schedule
        return FixedSearch(space, network)


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
        return candidate_space(layers, partition=self.partition, candidates=self.candidates)

    def search(self, space: ConfigurationSpace, *, network: TaskNetwork, schedule: Schedule) -> AbstractSearch:
        """Train the candidate whose turn it is, the only one of its space.

        Raises:
            SpecError: The space holds several candidates.
        """
        del schedule
        require(
            len(space) == 1,
            "candidates in turn must be opened one by one",
            remedy="give the space of one candidate, or use the learner BruteForce",
            candidates=len(space),
        )
        return FixedSearch(space, network)


def plain_step(
    task: AbstractOpenTask, network: TaskNetwork, images: Tensor, labels: Tensor, *, space: ConfigurationSpace
) -> Tensor:
    """Make one optimizer step of one candidate alone: cross-entropy, with dropout, plus penalties of what it shares.

    Args:
        task: The open task.
        network: Its network, with the candidate's branches.
        images: (B, C, H, W).
        labels: (B,).
        space: Holds the candidate, and no other.

    Returns:
        The loss, a detached scalar.
    """
    loss = cross_entropies(candidate_logits(task, network, images, space=space), labels)[0]
    for stage, penalty in network.penalties():
        if space.layer_bits[0][stage]:
            loss = loss + penalty
    return task.step(loss)


def candidate_logits(
    task: AbstractOpenTask, network: TaskNetwork, images: Tensor, *, space: ConfigurationSpace
) -> Tensor:
    """Evaluate every candidate in one pass, with dropout: (B, C, H, W) -> (K, B, classes)."""
    layout = plan(space)
    masks = task.draw_masks(len(space), len(images), network.num_features)
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
