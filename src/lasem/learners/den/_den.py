"""DEN: a network that retrains what a task needs, grows if that is not enough, and splits units that drift."""

from bisect import bisect_right

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from lasem.benchmarks import Task
from lasem.errors import LasemError, SpecError, require
from lasem.learners._interface import AbstractLearner, LearnerState
from lasem.learners._layers import Kernel, PlainNetwork, count
from lasem.learners._parameters import at_first_visits
from lasem.learners._status import Growth, ParameterCounts
from lasem.learners.den._grown_network import GrownNetwork, GrownNetworkState
from lasem.learners.den._open_network import OpenNetwork, OpenNetworkState
from lasem.learners.den._options import PHASES, DENOptions
from lasem.learners.den._phases import Phase, make_phase, mean_entropy, warm_start
from lasem.nn import generator
from lasem.seeds import derive_seed
from lasem.training import TaskTraining, Training, TrainingState, add_prefix, strip_prefix


class DENState(TrainingState):
    """JSON values of a `DEN` learner, as a checkpoint stores them.

    Attributes:
        units: The network of all tasks.
        rollback: Most parameters that a task began with.
        phase: Phase of the open task; None if no task is open, as for the attributes below.
        chosen: Per hidden layer, the units that the phase "select" has found.
        squares: What RMSProp knew of the size of gradients when the last phase ended.
        changes: Units per hidden layer that the open task has "selected", "expanded" and "split".
        open: The open task's network.
    """

    units: GrownNetworkState
    rollback: int
    phase: str | None
    chosen: list[list[int]]
    squares: dict[str, float]
    changes: dict[str, list[int]] = Field(default_factory=dict)
    open: OpenNetworkState | None = None


class DEN(AbstractLearner):
    """Dynamically expandable networks (Yoon et al. 2018), on convolutions and fully connected layers.

    The hidden layers are one network that all tasks read. Every task has its own output layer, and its own list of the
    units that it sees. A task trains a copy of what it sees, which goes into the network when the task ends. Its epochs
    are divided among phases: select units, retrain them, expand, let units drift and split them, settle.

    Args:
        network: Layers of the network; it must have no skips.
        training: How a task is trained. The phases divide its `epochs`; further epochs belong to the last phase.
        options: Weights, thresholds and phases.
        seed: Seed of batches, dropout and added units.
        device: Where tensors go.

    Raises:
        SpecError: The network has skips, or `training.epochs` is None.
    """

    def __init__(
        self,
        network: PlainNetwork,
        *,
        training: Training,
        options: DENOptions | None = None,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> None:
        require(
            not network.skips,
            "a network for DEN must have no skips, because every layer gets another number of channels",
            remedy="choose a network without skips, such as cifar-4 or stl-6",
            skips=len(network.skips),
        )
        if training.epochs is None:
            raise SpecError(
                "epochs must be given for DEN, whose phases divide them (got None in Training); set their number"
            )
        self.epochs = training.epochs
        self.plain = network
        self.options = options or DENOptions()
        self.training = training
        self.seed = seed
        self.grown = GrownNetwork(network, device=device or torch.device("cpu"))
        self.open: OpenNetwork | None = None
        self.phase: str | None = None
        self.task = TaskTraining(
            training, seed=seed, shape=network.shape, like=torch.empty(0, device=device), freezes_items=True
        )
        self._chosen: list[list[int]] = []
        self._squares: dict[str, float] = {}
        self._changes: dict[str, list[int]] = {}
        self._rollback = 0

    def begin_task(self, task: Task) -> None:
        """Open a task with the units that it sees or, if it is new, with those that a new task begins with.

        Raises:
            DataError: There are too few training images, or they do not fit the network.
            LasemError: Another task is open.
        """
        self.task.check(task)
        identity = self.task.identity_of(task)
        self.open, self._changes = self.grown.begin(identity, classes=task.classes), {}
        self._rollback = max(self._rollback, count(self.open.start))
        self.phase = "select" if self.grown.seen_by_others(identity) else "first"
        self.task.begin(task, self._begin_phase().trained)

    def train_epoch(self) -> float:
        """Enter the phase that this epoch belongs to, then learn from every batch.

        Returns:
            Mean cross-entropy of the batches, without the phase's penalty.
        """
        network = self._network
        self.task.begin_epoch()
        self.grown.clear_trials()
        self._advance_to(self._phase_due(self.task.epoch))
        phase, losses = self._make_phase(), list[Tensor]()
        steps = max(1, self.options.length(phase.name, self.epochs)) * self.task.batches_per_epoch
        for images, labels in self.task.batches():
            logits = self.plain.logits(images, network.kernels, drop=self.task.dropout)
            penalty = phase.penalty()
            # The reported loss is the cross-entropy: of the penalty only the gradient counts.
            self.task.backward(
                F.cross_entropy(logits, labels, label_smoothing=self.task.label_smoothing)
                + (penalty - penalty.detach())
            )
            phase.mask_gradients()
            losses.append(self.task.step())
            phase.shrink(self.task.optimizer, steps=steps, finite=self.task.finite)
        return self.task.end_epoch(losses)

    def _phase_due(self, epoch: int) -> str:
        """The phase that an epoch of the open task, from 0, belongs to."""
        if self.phase == "first":
            return "first"
        return PHASES[min(bisect_right(self.options.ends(self.epochs), epoch), len(PHASES) - 1)]

    def _advance_to(self, due: str) -> None:
        """End phases and begin the next until one is due; a phase without epochs only ends."""
        phase = self._make_phase()
        if due == "first" or PHASES.index(phase.name) >= PHASES.index(due):
            return
        self._squares |= phase.mean_squares(self.task.optimizer)
        for name in PHASES[PHASES.index(phase.name) : PHASES.index(due)]:
            self._end_phase(name)
        self.phase = due
        if due == "expand" and not self._expand():
            self._end_phase(due)
            self.phase = "drift"  # which has the epochs of "expand" then
        self.task.renew_optimizer(self._begin_phase().trained)
        warm_start(self.task.optimizer, self._network, self._squares)

    def _end_phase(self, name: str) -> None:
        """Do what a phase leaves to do once its epochs are over."""
        if name == "select":
            self._chosen = self._network.connected_units()
            self._changes["selected"] = [len(units) for units in self._chosen]
        if name == "expand":
            self._changes["expanded"] = self._network.prune()
        if name == "drift":
            self._changes["split"] = self._network.split(self.options)

    def _expand(self) -> bool:
        """Add units if the open task cannot be fitted without; whether they were added."""
        entropy = mean_entropy(self.plain, self._network.kernels, self.task.task.train)
        if entropy <= self.options.loss_threshold:
            return False
        place = ("expansion", len(self.task.order))
        self._network.grow(self.options.expand, generator(derive_seed(self.seed, *place)))
        return True

    def _begin_phase(self) -> Phase:
        """Make the current phase; gradients are computed for what it trains, and for nothing else."""
        phase = self._make_phase()
        for parameter in self._network.parameters:
            parameter.requires_grad_(any(parameter is trained for trained in phase.trained))
        return phase

    def _make_phase(self) -> Phase:
        return make_phase(self.phase or "first", self._network, self.options, chosen=self._chosen)

    def end_task(self) -> None:
        """End the phases that are left, and store what the task has trained."""
        network = self._network
        self._advance_to("first" if self.phase == "first" else "settle")
        self.grown.commit(self.task.identity, network)
        self.task.end()
        self.open, self.phase, self._chosen, self._squares = None, None, [], {}

    @torch.no_grad()
    def logits(self, images: Tensor, task: int) -> Tensor:
        """Answer with the units that the task sees, without dropout: (B, C, H, W) -> (B, classes)."""
        self.task.check_images(images, task)
        return self.plain.logits(images, self._kernels(task))

    @torch.no_grad()
    def trial_logits(self, images: Tensor, task: int) -> Tensor:
        """Answer for an earlier task with the open task's values of the units that both see."""
        return self.plain.logits(images, self._kernels(task, trial=True))

    def _kernels(self, task: int, *, trial: bool = False) -> list[Kernel]:
        self.task.classes_of(task)
        if self.open is not None and task == self.task.open_identity:
            return self.open.kernels
        return self.grown.kernels(task, overlay=self.open if trial else None)

    def growth(self) -> Growth:
        """Return the phase, the numbers of units that all tasks have together, and those of the last task's changes."""
        changes = {name: list(numbers) for name, numbers in self._changes.items()}
        return Growth(phase=self.phase, units=self.grown.num_units(self.open), **changes)

    def network(self, task: int) -> nn.Module:
        """Return the network of the units that a task sees, with its own values: (B, C, H, W) -> (B, classes)."""
        return self.plain.module(self._kernels(task))

    def parameter_counts(self) -> ParameterCounts:
        """Count parameters: the hidden layers are shared, and a task has its output layer to itself."""
        sizes = {task: self.grown.head_size(task, overlay=self.open) for task in set(self.task.order)}
        return ParameterCounts(
            shared=self.grown.num_parameters,
            per_task=at_first_visits(self.task.order, sizes),
            search=self.task.most_trained,
            rollback=self._rollback,
        )

    def state(self) -> LearnerState:
        """Return the network of all tasks and, for an open task, its network, phase and optimizer."""
        units, tensors = self.grown.state()
        opened, open_tensors = (None, {}) if self.open is None else self.open.state()
        values = DENState(
            **dict(self.task.values()),
            units=units,
            rollback=self._rollback,
            phase=self.phase,
            chosen=self._chosen,
            squares=self._squares,
            changes=self._changes,
            open=opened,
        )
        prefixed = add_prefix("backbone.", tensors) | add_prefix("open.", open_tensors)
        return LearnerState.of(values, self.task.tensors() | prefixed)

    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Take over the network of all tasks and, for an open task, its network and the phase that it was in."""
        values = state.read(DENState)
        values.require_fit(task, trained=self.task.order, optimizer=self.task.training.optimizer)
        self.grown.restore(values.units, strip_prefix(state.tensors, "backbone."))
        self.task.restore(values)
        self._rollback, self.phase = values.rollback, values.phase
        self._chosen, self._squares, self._changes = values.chosen, values.squares, values.changes
        if task is not None and values.open is not None:
            self.open = self.grown.begin(self.task.identity_of(task), classes=task.classes)
            self.open.restore(values.open, strip_prefix(state.tensors, "open."))
            self.task.begin(task, self._begin_phase().trained)
            self.task.resume(values, state.tensors)

    @property
    def _network(self) -> OpenNetwork:
        """The open task's network."""
        if self.open is None:
            raise LasemError("a task must be open to be trained (got none); call begin_task first")
        return self.open
