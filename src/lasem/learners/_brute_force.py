"""Brute force: every candidate is trained by itself from the same start, and the best one is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from torch import Tensor, nn

from lasem.benchmarks import Task
from lasem.configurations import ConfigurationSpace, Ties
from lasem.errors import require
from lasem.learners._held import belongs, named, part
from lasem.learners._learner import AbstractLearner, LearnerState, ParameterCounts, Training
from lasem.learners._selective import SelectiveTransfer
from lasem.nn import Backbone
from lasem.search import InTurn


@dataclass(frozen=True)
class Best:
    """The best candidate whose turn has ended.

    Attributes:
        candidate: Its index.
        accuracy: Its best validation accuracy.
        epochs: That it was trained for.
        values: All that its task changed, by name in the backbone.
    """

    candidate: int
    accuracy: float
    epochs: int
    values: dict[str, Tensor]


@dataclass
class Turns:
    """What exists only while a task is searched.

    Attributes:
        task: The open task.
        current: Candidate whose turn it is; K once all had theirs and the best one is back.
        best: None before the first turn has ended.
    """

    task: Task
    current: int = 0
    best: Best | None = None


class BruteForce(AbstractLearner):
    """Trains every candidate configuration of a task for all its epochs, and commits the one that validates best.

    All candidates have the same start: shared knowledge, fresh branches and head, batches, dropout masks. Beside the
    current candidate only the best one's parameters are held. A task that comes back trains its configuration on.

    Args:
        backbone: Stages and heads; new.
        strategy: The candidates.
        training: How a candidate is trained; the learning rate counts the epochs of one candidate per earlier task.
        seed: Seed of batches and dropout.
        ties: Which candidate wins where accuracies are equal; see `ConfigurationSpace.preference`.
        first_task: "searched" like the others; or "as-second": the first task shares all layers, and once the second
            one has chosen, takes the same configuration, with a copy of its own of what it no longer shares.
        redraw_unchosen: Draw shared knowledge anew, at every task, that no task has chosen yet.
    """

    def __init__(
        self,
        backbone: Backbone,
        strategy: InTurn | None = None,
        *,
        training: Training | None = None,
        seed: int = 0,
        ties: Ties = "most-shared",
        first_task: Literal["searched", "as-second"] = "searched",
        redraw_unchosen: bool = False,
    ) -> None:
        require(first_task in ("searched", "as-second"), "a first task is searched or as-second", first_task=first_task)
        self.backbone = backbone
        self.training = training or Training()
        self.first_task = first_task
        self._inner = SelectiveTransfer(
            backbone, strategy or InTurn(), training=self.training, seed=seed, redraw_unchosen=redraw_unchosen
        )
        self.space = self._inner.space
        self._ranks = self.space.preference(ties)
        self._turns: Turns | None = None
        self._most_kept = 0

    def begin_task(self, task: Task) -> None:
        """Open a task with the first candidate."""
        new = task.identity is None or task.identity not in self.backbone.configurations
        if new and (self.backbone.configurations or self.first_task == "searched"):
            self._inner.begin_task(task, space=self._only(0))
            self._turns = Turns(task)
        else:
            self._inner.begin_task(task, space=self._all_shared())

    def turns(self) -> list[str] | None:
        """Every candidate; None where the open task is not searched."""
        return self.space.names() if self._turns else None

    def end_turn(self, valid_accuracy: float) -> None:
        """Keep the current candidate if it is the best one so far; go on with the next, or back to the best one."""
        turns = self._turns
        if turns is None or turns.current == len(self.space):
            return
        best = turns.best
        if best is None or self._better(turns.current, valid_accuracy, best):
            turns.best = self._kept(turns.current, valid_accuracy)
        self._inner.abandon_task()
        turns.current += 1
        if turns.current < len(self.space):
            self._inner.begin_task(turns.task, space=self._only(turns.current))
        elif turns.best is not None:
            self._bring_back(turns.task, turns.best)

    def _better(self, candidate: int, accuracy: float, best: Best) -> bool:
        keys = [(accuracy, -self._ranks[candidate]), (best.accuracy, -self._ranks[best.candidate])]
        return keys[0] > keys[1]

    def _kept(self, candidate: int, accuracy: float) -> Best:
        """Copies of all that the open task changed."""
        active = self._inner.opened()
        values = {
            name: value.clone()
            for name, value in self.backbone.state_dict().items()
            if belongs(name, active.identity) or name.split(".")[2] == "trial"
        }
        self._most_kept = max(self._most_kept, sum(value.numel() for value in values.values()))
        return Best(candidate=candidate, accuracy=accuracy, epochs=active.epoch, values=values)

    def _bring_back(self, task: Task, best: Best) -> None:
        """Open the task with the best candidate as its training left it."""
        self._inner.begin_task(task, space=self._only(best.candidate))
        state = self.backbone.state_dict()
        for name, value in best.values.items():
            state[name].copy_(value)
        self._inner.epochs_trained += best.epochs

    def train_epoch(self) -> float:
        """An epoch of the current candidate."""
        return self._inner.train_epoch()

    def end_task(self) -> None:
        """Commit the best candidate whose turn has ended; before the first has, the current one."""
        turns = self._turns
        if turns is not None and turns.best is not None and turns.current < len(self.space):
            self._inner.abandon_task()
            self._bring_back(turns.task, turns.best)
        self._inner.end_task()
        committed = self.backbone.configurations
        if turns is not None and self.first_task == "as-second" and len(committed) == 2:
            first, second = committed
            self.backbone.detach(first, committed[second])
        self._turns = None

    @property
    def least_images(self) -> int:
        """A batch."""
        return self._inner.least_images

    def trainings(self, identities: Sequence[int]) -> list[int]:
        """K for a task's first visit, 1 for later ones, and for the first task where that is not searched."""
        first = [identity not in identities[:i] for i, identity in enumerate(identities)]
        searched = [new and (i > 0 or self.first_task == "searched") for i, new in enumerate(first)]
        return [len(self.space) if search else 1 for search in searched]

    def load_knowledge(self, values: Mapping[str, Tensor]) -> None:
        """Put values into the backbone, by its parameters' names."""
        self._inner.load_knowledge(values)

    def logits(self, images: Tensor, task: int, *, trial: bool = False) -> Tensor:
        """Answer along the task's configuration: that of the current candidate for the open task."""
        return self._inner.logits(images, task, trial=trial)

    def configuration(self, task: int) -> tuple[int, ...]:
        """Committed, or that of the current candidate for the open task."""
        return self._inner.configuration(task)

    def network(self, task: int) -> nn.Module:
        """Plain modules with their own copies of the committed values."""
        return self._inner.network(task)

    def parameter_counts(self) -> ParameterCounts:
        """Kept aside are the knowledge from before the task, and the best candidate's parameters."""
        counts = self._inner.parameter_counts()
        return ParameterCounts(
            shared=counts.shared,
            per_task=counts.per_task,
            search=counts.search,
            rollback=counts.rollback + self._most_kept,
        )

    def state(self) -> LearnerState:
        """That of the current candidate's training, and the best one's values."""
        state = self._inner.state()
        state.values["most_kept"] = self._most_kept
        state.values["turn"] = None
        if self._turns is not None:
            best = self._turns.best
            state.values["turn"] = {
                "current": self._turns.current,
                "best": best and {"candidate": best.candidate, "accuracy": best.accuracy, "epochs": best.epochs},
            }
            state.tensors |= named("best.", best.values if best else {})
        return state

    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Go on inside the turn that was open; the ones before it are not repeated."""
        turn = cast(dict[str, Any] | None, state.values["turn"])
        space = self._all_shared()
        if turn is not None:
            finished = turn["current"] == len(self.space)
            space = self._only(turn["best"]["candidate"] if finished else turn["current"])
        self._inner.restore(state, task=task, space=space)
        self._most_kept = cast(int, state.values["most_kept"])
        if task is not None and turn is not None:
            device = next(self.backbone.parameters()).device
            values = {name: value.to(device, copy=True) for name, value in part(state.tensors, "best.").items()}
            best = None if turn["best"] is None else Best(values=values, **turn["best"])
            self._turns = Turns(task, current=turn["current"], best=best)

    def _only(self, candidate: int) -> ConfigurationSpace:
        return ConfigurationSpace.only(self.space.layer_bits[candidate])

    def _all_shared(self) -> ConfigurationSpace:
        """The space of a first task that is not searched."""
        return ConfigurationSpace.only([1] * len(self.backbone.stages))
