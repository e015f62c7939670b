"""No search: one configuration, trained as a plain network."""

from typing import Literal

from torch import Tensor

from lasem.configurations import SHARED, ConfigurationSpace, Ties, named
from lasem.errors import require
from lasem.options import options
from lasem.search._decision import Schedule
from lasem.search._evidence import cross_entropies
from lasem.search._open_task import AbstractOpenTask
from lasem.search._options import Candidates, Groups
from lasem.search._strategy import AbstractSearch, AbstractStrategy, candidate_space
from lasem.search._task_network import TaskNetwork
from lasem.search._tree import plan


class FixedSearch(AbstractSearch):
    """Trains one candidate as a plain network; there is nothing to search."""

    def __init__(self, space: ConfigurationSpace, network: TaskNetwork) -> None:
        self.space = space
        self._network = network

    def step(self, task: AbstractOpenTask, images: Tensor, labels: Tensor) -> Tensor:
        """Make one optimizer step on the cross-entropy, with dropout, plus the penalties."""
        return plain_step(task, self._network, images, labels, space=self.space)

    def start_epoch(self) -> None:
        """Do nothing: all epochs are the same."""

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
        configuration: "all", "none", "top-2", "bottom-1", "alternating" or digits, first layer first; with three
            branches also "frozen".
    """

    configuration: str = "all"

    @property
    def one_tree(self) -> bool:
        """Whether every step runs one tree: always, because there is only one path."""
        return True

    def space(self, layers: int, *, branches: int = 2) -> ConfigurationSpace:
        """Return a space with the only candidate."""
        return ConfigurationSpace.only(named(self.configuration, layers, branches=branches))

    def search(self, space: ConfigurationSpace, *, network: TaskNetwork, schedule: Schedule) -> AbstractSearch:
        """Begin to train the only candidate; nothing is searched."""
        del schedule
        return FixedSearch(space, network)


@options
class InTurn(AbstractStrategy):
    """Candidates for a learner that trains them one after another, each as a plain network.

    Attributes:
        partition: Groups of layers that decide together; None = every layer for itself.
        candidates: Configurations to choose from, as digits per group; "ordered" = those in which frozen groups come
            before shared ones and these before own ones, from the input on; None = all of them.
        ties: Which candidate wins if several validate equally well; see `ConfigurationSpace.preference`.
        first_task: Whether the first task is "searched", shares all layers without a search ("shared"), or does so and,
            once the second task has chosen, takes the same configuration, with a copy of its own of what it no longer
            shares ("as-second").
    """

    partition: Groups | None = None
    candidates: Candidates | None = None
    ties: Ties = "most-shared"
    first_task: Literal["searched", "shared", "as-second"] = "searched"

    @property
    def starts_shared(self) -> bool:
        """Whether the first task shares all layers, without a search."""
        return self.first_task == "shared"

    def space(self, layers: int, *, branches: int = 2) -> ConfigurationSpace:
        """Return all configurations of the partition, or those listed."""
        return candidate_space(layers, partition=self.partition, candidates=self.candidates, branches=branches)

    def search(self, space: ConfigurationSpace, *, network: TaskNetwork, schedule: Schedule) -> AbstractSearch:
        """Train the candidate whose turn it is, the only one of its space.

        Raises:
            SpecError: The space has several candidates.
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
        network: The network of that task, with the candidate's branches.
        images: (B, C, H, W).
        labels: (B,).
        space: A space that has this candidate only.

    Returns:
        The loss, a detached scalar.
    """
    masks = task.draw_masks(1, len(images), network.num_features)
    logits = network.head(masks.apply(network.leaves(images, plan(space), seed=network.draw_seed(task))))
    loss = cross_entropies(logits, labels, smoothing=task.label_smoothing)[0]
    for stage, penalty in network.penalties():
        if space.layer_digits[0][stage] == SHARED:
            loss = loss + penalty
    return task.step(loss)
