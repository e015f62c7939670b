"""Brute force: every candidate is trained by itself from the same start, and the best one is committed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel
from torch import Tensor, nn

from lasem.benchmarks import Task
from lasem.configurations import SHARED, ConfigurationSpace
from lasem.errors import require
from lasem.learners._interface import AbstractLearner, LearnerState
from lasem.learners._parameters import belongs_to_task
from lasem.learners._retention import RetentionOptions, RetentionStatus
from lasem.learners._selective import SelectiveTransfer
from lasem.learners._selective_state import SelectiveState
from lasem.learners._status import ParameterCounts, SearchStatus
from lasem.nn import Backbone
from lasem.search import InTurn
from lasem.training import Training, add_prefix, strip_prefix


class Best(BaseModel):
    """The best candidate whose turn has ended.

    Attributes:
        candidate: Index of the candidate.
        accuracy: Best validation accuracy of the candidate.
        epochs: Number of epochs for which the candidate was trained.
        ties: Number of other candidates with the same accuracy; if any, the option `ties` decided between them.
    """

    candidate: int
    accuracy: float
    epochs: int
    ties: int = 0


class Turn(BaseModel):
    """How far the search of the open task has come.

    Attributes:
        current: Index of the candidate that trains; K once all have trained and the best one is back.
        best: Best candidate so far; None before the first turn has ended.
    """

    current: int = 0
    best: Best | None = None


class BruteForceState(SelectiveState):
    """JSON values of a brute-force learner.

    Attributes:
        most_kept: Most values stored of a best candidate.
        turn: Search of the open task; None if none is searched.
    """

    most_kept: int = 0
    turn: Turn | None = None


@dataclass
class _Search:
    """What exists only while a task is searched.

    Attributes:
        task: The open task.
        turn: How far the search has come.
        values: Everything that the best candidate's training has changed, by name in the backbone.
    """

    task: Task
    turn: Turn
    values: dict[str, Tensor]


class BruteForce(AbstractLearner):
    """Trains every candidate configuration of a task for all its epochs, and commits the one that validates best.

    All candidates start alike: shared knowledge, fresh branches and head, batches, dropout masks. Besides the current
    candidate only the best one's parameters are stored. A task that comes back trains its configuration further.

    Args:
        backbone: Stages and heads; new.
        strategy: The candidates, which of equal ones wins, and what the first task does.
        training: How a candidate is trained; the learning rate counts the epochs of one candidate per earlier task.
        seed: Seed of batches and dropout.
        redraw_unchosen: Draw shared knowledge that no task has chosen yet anew at every task.
        retention: Hold shared knowledge near what earlier tasks need; None lets it move freely.
    """

    def __init__(
        self,
        backbone: Backbone,
        strategy: InTurn | None = None,
        *,
        training: Training | None = None,
        seed: int = 0,
        redraw_unchosen: bool = False,
        retention: RetentionOptions | None = None,
    ) -> None:
        self.strategy = strategy or InTurn()
        constant = sorted({stage.layer.own for stage in backbone.iter_stages() if stage.layer.adapts})
        require(
            self.strategy.first_task == "searched" or not constant,
            "first_task must be searched where own branches hold the initial values, because the first task then cannot"
            " take a copy of what it shared",
            remedy="set it to searched, or use own='copy'",
            own=constant,
        )
        self.backbone = backbone
        self.training = training or Training()
        self._inner = SelectiveTransfer(
            backbone,
            self.strategy,
            training=self.training,
            seed=seed,
            redraw_unchosen=redraw_unchosen,
            retention=retention,
        )
        self.space = self._inner.space
        self._ranks = self.space.preference(self.strategy.ties)
        self._search: _Search | None = None
        self._most_kept = 0

    def begin_task(self, task: Task) -> None:
        """Open a task with the first candidate.

        Raises:
            DataError: The training split holds less than one batch, or the images do not fit the network.
            LasemError: Another task is open.
        """
        new = task.identity is None or task.identity not in self.backbone.configurations
        if new and (self.backbone.configurations or self.strategy.first_task == "searched"):
            self._inner.begin_task(task, space=self._only(0))
            self._search = _Search(task, Turn(), {})
        else:
            self._inner.begin_task(task, space=self._all_shared())

    def turns(self) -> list[str] | None:
        """Return the names of all candidates; None if the open task is not searched."""
        return self.space.names() if self._search else None

    def end_turn(self, valid_accuracy: float) -> None:
        """Store the current candidate if it is the best so far, and open the next one; after the last, the best."""
        search = self._search
        if search is None or search.turn.current == len(self.space):
            return
        turn = search.turn
        candidate = Best(candidate=turn.current, accuracy=valid_accuracy, epochs=self._inner.task.epoch)
        tied = turn.best is not None and turn.best.accuracy == valid_accuracy
        ties = turn.best.ties + 1 if turn.best is not None and tied else 0
        if turn.best is None or self._better(candidate, turn.best):
            turn.best, search.values = candidate.model_copy(update={"ties": ties}), self._values()
        elif tied:
            turn.best = turn.best.model_copy(update={"ties": ties})
        self._inner.abandon_task()
        turn.current += 1
        if turn.current < len(self.space):
            self._inner.begin_task(search.task, space=self._only(turn.current))
        else:
            self._bring_back(search)

    def _better(self, one: Best, other: Best) -> bool:
        return (one.accuracy, -self._ranks[one.candidate]) > (other.accuracy, -self._ranks[other.candidate])

    def _values(self) -> dict[str, Tensor]:
        """Copy everything that the open task has changed."""
        identity = self._inner.task.identity
        values = {
            name: value.clone()
            for name, value in self.backbone.state_dict().items()
            if belongs_to_task(name, identity) or name.split(".")[2] == "trial"
        }
        self._most_kept = max(self._most_kept, sum(value.numel() for value in values.values()))
        return values

    def _bring_back(self, search: _Search) -> None:
        """Open the task with the best candidate as its training left it."""
        best = search.turn.best
        if best is not None:
            self._inner.begin_task(search.task, space=self._only(best.candidate))
            state = self.backbone.state_dict()
            for name, value in search.values.items():
                state[name].copy_(value)
            self._inner.task.epochs_trained += best.epochs

    def train_epoch(self) -> float:
        """Train the current candidate for one epoch and return the mean loss of its batches."""
        return self._inner.train_epoch()

    def end_task(self) -> None:
        """Commit the best candidate whose turn has ended; before the first has, the current one."""
        search = self._search
        if search is not None and search.turn.best is not None and search.turn.current < len(self.space):
            self._inner.abandon_task()
            self._bring_back(search)
        self._inner.end_task()
        committed = self.backbone.configurations
        if search is not None and self.strategy.first_task == "as-second" and len(committed) == 2:
            first, second = committed
            self.backbone.detach(first, committed[second])
            if self._inner.retention is not None:
                own = [stage for stage, digit in enumerate(committed[second]) if digit != SHARED]
                self._inner.retention.forget(own)
        self._search = None

    def trainings(self, identities: Sequence[int]) -> list[int]:
        """Return K for a task's first visit, 1 for later ones, and 1 for a first task that is not searched."""
        first = [identity not in identities[:i] for i, identity in enumerate(identities)]
        searched = [new and (i > 0 or self.strategy.first_task == "searched") for i, new in enumerate(first)]
        return [len(self.space) if search else 1 for search in searched]

    def tied(self) -> int | None:
        """Return how many other candidates validate as well as the best one; None if the open task is not searched."""
        if self._search is None:
            return None
        best = self._search.turn.best
        return best.ties if best else 0

    def load_knowledge(self, values: Mapping[str, Tensor]) -> None:
        """Load values into the backbone, by the names of its parameters."""
        self._inner.load_knowledge(values)

    def logits(self, images: Tensor, task: int) -> Tensor:
        """Answer along the task's configuration; for the open task, along that of the current candidate."""
        return self._inner.logits(images, task)

    def trial_logits(self, images: Tensor, task: int) -> Tensor:
        """Answer for an earlier task with the knowledge that the current candidate has changed."""
        return self._inner.trial_logits(images, task)

    def unaffected(self, task: int, *, by: int) -> bool:
        """Return whether no stage is shared by both committed tasks; see `SelectiveTransfer.unaffected`."""
        return self._inner.unaffected(task, by=by)

    def retained(self) -> RetentionStatus | None:
        """Return how earlier tasks hold the shared knowledge while a task is open; None without retention."""
        return self._inner.retained()

    def status(self) -> SearchStatus | None:
        """Return None: candidates have no probabilities."""
        return None

    def configuration(self, task: int) -> tuple[int, ...]:
        """Return one digit per stage: the committed ones, or those of the current candidate for the open task."""
        return self._inner.configuration(task)

    def network(self, task: int) -> nn.Module:
        """Return the committed network of a task as plain modules with their own values."""
        return self._inner.network(task)

    def parameter_counts(self) -> ParameterCounts:
        """Count parameters; the best candidate's count among those stored for a rollback."""
        counts = self._inner.parameter_counts()
        return replace(counts, rollback=counts.rollback + self._most_kept)

    def state(self) -> LearnerState:
        """Return the state of the current candidate's training, and the best one's values."""
        state = self._inner.state()
        turn = self._search.turn if self._search else None
        values = BruteForceState(**dict(state.read(SelectiveState)), most_kept=self._most_kept, turn=turn)
        return LearnerState.of(values, state.tensors | add_prefix("best.", self._search.values if self._search else {}))

    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Continue inside the turn that was open; earlier ones are not repeated."""
        values = state.read(BruteForceState)
        space, turn = self._all_shared(), values.turn
        if turn is not None:
            ended = turn.current == len(self.space) and turn.best is not None
            space = self._only(turn.best.candidate if ended and turn.best else turn.current)
        self._inner.restore(state, task=task, space=space)
        self._most_kept = values.most_kept
        if task is not None and turn is not None:
            device = next(self.backbone.parameters()).device
            best = {name: value.to(device, copy=True) for name, value in strip_prefix(state.tensors, "best.").items()}
            self._search = _Search(task, turn, best)

    def _only(self, candidate: int) -> ConfigurationSpace:
        return ConfigurationSpace.only(self.space.layer_digits[candidate])

    def _all_shared(self) -> ConfigurationSpace:
        """Space of a first task that is not searched."""
        return ConfigurationSpace.only([1] * len(self.backbone.stages))
