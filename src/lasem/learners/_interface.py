"""The interface of learners: what each of them does, and what only some can do besides."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from lasem.benchmarks import Outline, Task
from lasem.errors import RunError
from lasem.learners._retention import RetentionOptions, RetentionStatus
from lasem.learners._status import Growth, ParameterCounts, SearchStatus
from lasem.nn import AbstractMechanism, AnyNetwork, Backbone
from lasem.search import AbstractStrategy
from lasem.training import NamedTensors, Training

Values = TypeVar("Values", bound=BaseModel)


@dataclass
class LearnerState:
    """State of a learner between two epochs: everything that it needs to continue.

    Every learner has a pydantic model of its own for `values`, so that what a checkpoint holds is checked when it is
    read.

    Attributes:
        tensors: Parameters, buffers and optimizer state by name.
        values: JSON values by name.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tensors = NamedTensors(self.tensors)

    @classmethod
    def of(cls, values: BaseModel, tensors: Mapping[str, Tensor]) -> "LearnerState":
        """Make a state of a model and tensors."""
        return cls(tensors=dict(tensors), values=values.model_dump(mode="json"))

    def read(self, kind: type[Values]) -> Values:
        """Return the values as a learner's own model.

        Raises:
            RunError: They are not those of this kind of learner.
        """
        try:
            return kind.model_validate(self.values)
        except ValidationError as error:
            first = error.errors()[0]
            raise RunError(
                f"a state must come from a learner that was built alike (got values that are not those of a"
                f" {kind.__name__}: {'.'.join(map(str, first['loc']))}, {first['msg']}); build the learner with the"
                " options of the one that it came from"
            ) from None


class AbstractLearner(ABC):
    """A learner: it learns tasks in order and continues to answer for the earlier ones.

    The unit of work is an epoch: a runner calls `begin_task`, `train_epoch` as often as it likes, and `end_task`. Tasks
    are named by their identity, the number that all visits of a task share. What only some learners can do is a
    protocol of its own below, which a runner asks for with `isinstance`.

    Attributes:
        training: How a task is trained.
    """

    training: Training

    @abstractmethod
    def begin_task(self, task: Task) -> None:
        """Open a task. Until it ends, its training split is the only data that is read.

        A search that learns from held-out images also reads the validation split.

        Raises:
            DataError: There are too few training images, or they do not fit the network.
            LasemError: Another task is open.
        """

    @abstractmethod
    def train_epoch(self) -> float:
        """Train the open task for one epoch and return the mean loss of its batches.

        Raises:
            RunError: A loss or a gradient is not finite.
        """

    @abstractmethod
    def end_task(self) -> None:
        """Close the open task and store what it has learned."""

    @abstractmethod
    def logits(self, images: Tensor, task: int) -> Tensor:
        """Answer for a task: (B, C, H, W) -> (B, classes).

        Args:
            images: A batch.
            task: Identity of a task that was begun, the open one included.

        Raises:
            LasemError: The learner has not been trained on this task.
        """

    @abstractmethod
    def network(self, task: int) -> nn.Module:
        """Return the network of a task as a plain module with its own values: (B, C, H, W) -> (B, classes)."""

    @abstractmethod
    def state(self) -> LearnerState:
        """Return everything that is needed to continue after the last epoch."""

    @abstractmethod
    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Continue from a state; called on a new learner.

        Args:
            state: State of a learner that was built alike.
            task: The task that was open then; None if none was.
        """


@runtime_checkable
class Searches(Protocol):
    """A learner that decides which layers a task shares."""

    def status(self) -> SearchStatus | None:
        """Return how far the search of the open task has come; None if nothing is searched."""
        ...

    def configuration(self, task: int) -> tuple[int, ...]:
        """Return one digit per stage, 1 = shared: the committed ones, or the leading candidate's for the open task."""
        ...


@runtime_checkable
class TakesTurns(Protocol):
    """A learner whose candidates train one after another, each for all epochs of the task."""

    def turns(self) -> list[str] | None:
        """Return the names of the candidates that train the open task in turn; None if it is trained once."""
        ...

    def end_turn(self, valid_accuracy: float) -> None:
        """Let the next candidate train, from the same start. Called after each of the `turns`, also the last one.

        Args:
            valid_accuracy: Best validation accuracy of the current candidate over its epochs.
        """
        ...

    def trainings(self, identities: Sequence[int]) -> list[int]:
        """Return how often each visit of a stream, given by the identities of its tasks, is trained for all epochs."""
        ...


@runtime_checkable
class CountsTies(Protocol):
    """A learner that chooses by a score which several candidates may reach."""

    def tied(self) -> int | None:
        """Return how many other candidates score as well as the best one; None if the open task is not searched."""
        ...


@runtime_checkable
class Grows(Protocol):
    """A learner whose network gains units."""

    def growth(self) -> Growth:
        """Return how far the network has grown."""
        ...


@runtime_checkable
class CountsParameters(Protocol):
    """A learner that knows how many parameters it stores."""

    def parameter_counts(self) -> ParameterCounts:
        """Return the numbers of parameters stored now."""
        ...


@runtime_checkable
class LoadsKnowledge(Protocol):
    """A learner whose shared knowledge can start from given values."""

    def load_knowledge(self, values: Mapping[str, Tensor]) -> None:
        """Start the shared knowledge from values by parameter name."""
        ...


@runtime_checkable
class AnswersOnTrial(Protocol):
    """A learner whose earlier tasks do not read what the open task changes until it ends."""

    def trial_logits(self, images: Tensor, task: int) -> Tensor:
        """Answer for an earlier task, (B, C, H, W) -> (B, classes), with what the open task has changed so far."""
        ...


@runtime_checkable
class TellsUnaffected(Protocol):
    """A learner that knows which tasks answer as before after another one was learned, so need no new test."""

    def unaffected(self, task: int, *, by: int) -> bool:
        """Return whether the end of task `by`, the last one, changed nothing that another committed task reads."""
        ...


@runtime_checkable
class Retains(Protocol):
    """A learner that may hold shared knowledge near what earlier tasks need."""

    def retained(self) -> RetentionStatus | None:
        """Return how much each stage is held while a task is open; None if it is not."""
        ...


@runtime_checkable
class HoldsOut(Protocol):
    """A learner that may need more training images than one batch, because its search holds some out."""

    @property
    def least_images(self) -> int:
        """Fewest training images that a task may have."""
        ...


def least_images(learner: AbstractLearner) -> int:
    """Return the fewest training images that a task may have: one batch, or what the learner says."""
    return learner.least_images if isinstance(learner, HoldsOut) else learner.training.batch_size


def trainings(learner: AbstractLearner, identities: Sequence[int]) -> list[int]:
    """Return how often each visit of a stream, given by the identities of its tasks, is trained for all epochs."""
    return learner.trainings(identities) if isinstance(learner, TakesTurns) else [1] * len(identities)


def parameter_counts(learner: AbstractLearner) -> ParameterCounts:
    """Return the numbers of parameters that a learner stores; zeros if it does not count them."""
    none = ParameterCounts(shared=0, per_task=[], search=0, rollback=0)
    return learner.parameter_counts() if isinstance(learner, CountsParameters) else none


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything that a learner is built from.

    Attributes:
        network: Layers of the network.
        outline: Shapes and class numbers of the stream.
        mechanism: How shared branches get their parameters.
        strategy: How each task's configuration is chosen.
        training: How a task is trained.
        seed: Seed of initial values, batches and dropout.
        device: Where tensors go.
        capture: Whether steps are compiled; see `lasem.search.capture`.
        retention: Penalty on shared knowledge that moves away from what earlier tasks need; None for none.
    """

    network: AnyNetwork
    outline: Outline
    mechanism: AbstractMechanism
    strategy: AbstractStrategy
    training: Training
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    capture: bool = False
    retention: RetentionOptions | None = None

    def backbone(self) -> Backbone:
        """Build the network with own and shared branches, on the device."""
        backbone = self.network.build(self.outline.shape, mechanism=self.mechanism, seed=self.seed)
        backbone.to(self.device)
        return backbone


class AbstractLearnerOptions(ABC):
    """Options of a kind of learner; they build it.

    Attributes:
        reads: What the learner is combined with: "mechanism", "strategy", both or nothing. A spec may give only these.
        retains: Whether a spec may have a section [retention].
    """

    reads: ClassVar[tuple[str, ...]] = ()
    retains: ClassVar[bool] = False

    @abstractmethod
    def build(self, setup: Setup) -> AbstractLearner:
        """Build a new learner.

        Raises:
            SpecError: The options do not go with the rest of the setup.
        """
