"""What every learner does: four verbs, and what a runner may ask in between."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from lasem.benchmarks import Task
from lasem.errors import SpecError, nearest
from lasem.learners._optimizers import OPTIMIZERS
from lasem.options import NonNegative, Positive, Probability, Rate, options
from lasem.search import Decision, Effort


@options
class Training:
    """How a task is trained.

    Attributes:
        batch_size: Images per minibatch; an incomplete last batch is left out.
        learning_rate: At the first epoch of the stream.
        decay: lr_e = learning_rate / (1 + e decay), e = epochs trained so far over the whole stream.
        optimizer: Key of `OPTIMIZERS`; its state is new for every task.
        keep: Probability by which dropout keeps a feature, before the head.
        epochs: Of a task, for searches and phases that look ahead; None where the runner alone knows. The runner keeps
            to it.
    """

    batch_size: Positive = 10
    learning_rate: Rate = 1e-4
    decay: NonNegative = 0.0
    optimizer: str = "rmsprop-tf"
    keep: Probability = 0.5
    epochs: Positive | None = None

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise SpecError(
                f"optimizer must be the name of one (got {self.optimizer!r}); {nearest(self.optimizer, OPTIMIZERS)}"
            )

    def rate(self, epochs: int) -> float:
        """Learning rate after so many epochs of the stream."""
        return self.learning_rate / (1 + epochs * self.decay)


@dataclass(frozen=True)
class SearchStatus:
    """Where the search of the open task stands.

    Attributes:
        names: (K,) candidates as strings of bits, one per group.
        prior: (K,) probabilities.
        marginals: (G,) per group, the probability that it is shared.
        effort: Work of the current epoch; None where it is always the same.
        decision: What is known of the outcome before the task ends; None where that is never known.
    """

    names: list[str]
    prior: NDArray[np.float64]
    marginals: NDArray[np.float64]
    effort: Effort | None = None
    decision: Decision | None = None

    @property
    def entropy(self) -> float:
        """Of the prior, in nats."""
        positive = self.prior[self.prior > 0]
        return float(-(positive * np.log(positive)).sum())

    @property
    def margin(self) -> float:
        """Largest probability less the runner-up's; 1 where there is no other candidate."""
        ordered = np.sort(self.prior)
        return float(ordered[-1] - ordered[-2]) if len(ordered) > 1 else 1.0


@dataclass(frozen=True)
class Growth:
    """What a learner that changes its network has made of it.

    Attributes:
        phase: What the open task is in, for learners that train in phases; None elsewhere, and where no task is open.
        units: Of every hidden layer, all tasks together.
    """

    phase: str | None
    units: list[int]


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters held.

    Attributes:
        shared: Knowledge that tasks read.
        per_task: By position in the stream: own branches, mappings and head, as committed.
        search: Most parameters trained at once for one task.
        rollback: Most values kept aside while a task was learned, to put back what it does not share; where candidates
            train in turn, with the best one's parameters.
        beside: Values held from task to task that are no parameters, such as EWC's information about earlier tasks.
    """

    shared: int
    per_task: list[int]
    search: int
    rollback: int
    beside: int = 0

    @property
    def held(self) -> int:
        """Numbers held from task to task, all in all."""
        return self.shared + sum(self.per_task) + self.beside


@dataclass
class LearnerState:
    """All that a learner needs to go on: tensors by name, and JSON values."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, object] = field(default_factory=dict)


class AbstractLearner(ABC):
    """Learns tasks in order and keeps answering for the earlier ones.

    The unit of work is an epoch. Tasks are named by their identity: the number that all visits of a task share.

    Attributes:
        training: How a task is trained.
    """

    training: Training

    @property
    def least_images(self) -> int:
        """Fewest training images that a task may have: one batch."""
        return self.training.batch_size

    @abstractmethod
    def begin_task(self, task: Task) -> None:
        """Open a task; its training split is the only data read until it ends.

        A search that learns from held-out images reads the validation split too.
        """

    def load_knowledge(self, values: Mapping[str, Tensor]) -> None:
        """Start the shared knowledge from given values, by parameter name; ignored by learners without such."""
        del values

    @abstractmethod
    def train_epoch(self) -> float:
        """Train the open task for one epoch; the mean loss of its minibatches.

        Raises:
            RunError: The loss is not finite.
        """

    def turns(self) -> list[str] | None:
        """Names of the candidates that train the open task one after another, each for all its epochs.

        None for a learner, or a task, that is trained once.
        """
        return None

    def end_turn(self, valid_accuracy: float) -> None:
        """The current candidate has trained for all its epochs: the next one takes its turn, from the same start.

        Called after each of the `turns`, the last one included.

        Args:
            valid_accuracy: Its best validation accuracy over these epochs.
        """
        del valid_accuracy

    def trainings(self, identities: Sequence[int]) -> list[int]:
        """How often each visit of a stream, given by the tasks' identities, is trained for all its epochs."""
        return [1] * len(identities)

    @abstractmethod
    def end_task(self) -> None:
        """Close the open task, and keep what it decided."""

    @abstractmethod
    def logits(self, images: Tensor, task: int, *, trial: bool = False) -> Tensor:
        """Answer for a task: (B, C, H, W) -> (B, classes).

        Args:
            images: A batch.
            task: Identity of a task, the open one included.
            trial: Answer for an earlier task with the knowledge that the open task works on, before its commit.
        """

    @abstractmethod
    def configuration(self, task: int) -> tuple[int, ...] | None:
        """One bit per stage, 1 = shared: committed, or leading for the open task; None for learners without."""

    def status(self) -> SearchStatus | None:
        """Where the search of the open task stands; None where nothing is searched."""
        return None

    def growth(self) -> Growth | None:
        """How far the network has grown; None for learners that keep its widths."""
        return None

    @abstractmethod
    def network(self, task: int) -> nn.Module:
        """The committed network of a task as a plain module: (B, C, H, W) -> (B, classes)."""

    @abstractmethod
    def parameter_counts(self) -> ParameterCounts:
        """What is held now."""

    @abstractmethod
    def state(self) -> LearnerState:
        """All that is needed to go on, between two epochs."""

    @abstractmethod
    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Go on from a state.

        Args:
            state: Of an equal learner.
            task: The task that was open then; None where none was.
        """
