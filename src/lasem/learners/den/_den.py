"""DEN: a network that retrains what a task needs, grows where that is not enough, and splits what drifts."""

from bisect import bisect_right
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lasem.benchmarks import Task
from lasem.errors import SpecError, require
from lasem.learners._held import part
from lasem.learners._layers import Kernel, PlainNetwork, count
from lasem.learners._learner import AbstractLearner, Growth, LearnerState, ParameterCounts, Training
from lasem.learners._optimizers import OPTIMIZERS, restore_optimizer
from lasem.learners._updates import Updates
from lasem.learners._visits import Visits
from lasem.learners.den._network import OpenNetwork
from lasem.learners.den._options import PHASES, DENOptions
from lasem.learners.den._registry import Units
from lasem.learners.den._training import Stretch, go_on_from, mean_entropy, mean_squares, stretch, trained


class DEN(AbstractLearner):
    """Dynamically expandable networks (Yoon et al. 2018), on convolutions and fully connected layers.

    The hidden layers are one network that all tasks read; every task has its own output layer, and its own list of the
    units that it sees. A task trains a copy of what it sees, which goes into the network when the task ends.

    Args:
        network: The network's layers, without skips.
        options: Weights, thresholds, phases.
        training: How a task is trained. The phases divide its `epochs` among them; further ones belong to the last.
        seed: Seed of batches, dropout and added units.
        device: Where parameters go.

    Raises:
        SpecError: The network has skips, or the epochs of a task are not given.
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
            "DEN gives every layer another number of channels, so nothing can be added to them unchanged",
            remedy="choose a network without skips, such as cifar-4 or stl-6",
            skips=len(network.skips),
        )
        if training.epochs is None:
            raise SpecError("the phases of DEN divide the epochs of a task - got none - give Training(epochs=...)")
        self.epochs = training.epochs
        self.layers = network
        self.options = options or DENOptions()
        self.training = training
        self.seed = seed
        self.units = Units(self.layers, device=device or torch.device("cpu"))
        self.open: OpenNetwork | None = None
        self.phase: str | None = None
        self._chosen: list[list[int]] = []
        self._squares: dict[str, float] = {}
        self._rollback = 0
        self._visits = Visits(self.training, seed=seed, shape=network.shape, like=torch.empty(0, device=device))

    def begin_task(self, task: Task) -> None:
        """Begin with every unit that new tasks see, or with those of the task where it comes back.

        Raises:
            DataError: The training split holds less than one batch, or the images do not fit the network.
            LasemError: Another task is open.
        """
        batches = self._visits.check(task)
        identity = self._visits.identity(task)
        self.open = self.units.begin(identity, classes=task.classes)
        self._rollback = max(self._rollback, count(self.open.start))
        self.phase = "select" if self.units.others(identity) else "first"
        self._visits.open(task, trained(self.phase, self.open), batches)
        self._train_on()

    def train_epoch(self) -> float:
        """Go over to the phase of this epoch, then learn from every complete batch.

        Returns:
            Mean cross-entropy, without the phase's penalty.
        """
        network = self._opened()
        self.units.forget()
        self._go_on(self._due(self._visits.opened.epoch))
        penalty = self._stretch().penalty

        def loss(images: Tensor, labels: Tensor, masks: Generator) -> Tensor:
            drop = partial(self._visits.dropout, masks=masks)
            entropy = F.cross_entropy(self.layers.logits(images, network.kernels, drop=drop), labels)
            added = penalty()
            return entropy + (added - added.detach())  # its gradient, but not its value

        return self._visits.train_epoch(loss)

    def _due(self, epoch: int) -> str:
        """The phase of an epoch of the open task, from 0."""
        if self.phase == "first":
            return "first"
        return PHASES[min(bisect_right(self.options.ends(self.epochs), epoch), len(PHASES) - 1)]

    def _go_on(self, due: str) -> None:
        """End phases and begin the next until one is due; a phase without epochs only ends."""
        if due == "first" or PHASES.index(self._phase()) >= PHASES.index(due):
            return
        self._squares |= mean_squares(self._visits.opened.optimizer, self._stretch(), self._opened())
        while PHASES.index(self._phase()) < PHASES.index(due):
            self._end_phase()
            self.phase = PHASES[PHASES.index(self._phase()) + 1]
            if self.phase == due == "expand":
                split = self._visits.opened.task.train
                if mean_entropy(self.layers, self._opened().kernels, split) > self.options.loss_threshold:
                    place = ("expansion", len(self._visits.order))
                    self._opened().grow(self.options.expand, self.units.source(self.seed, *place))
                else:
                    due = "drift"
        self._train_on()

    def _end_phase(self) -> None:
        """What a phase leaves to do once its epochs are over."""
        network = self._opened()
        if self.phase == "select":
            self._chosen = network.connected()
        if self.phase == "expand":
            network.prune()
        if self.phase == "drift":
            network.split(self.options)

    def _train_on(self) -> None:
        """A new optimizer over what the phase trains; it goes on from what the last one knew of the gradients."""
        phase = self._stretch()
        optimizer = OPTIMIZERS[self.training.optimizer](phase.trained, self.training.rate(self._visits.epochs_trained))
        phase.equip(optimizer)
        go_on_from(optimizer, self._opened(), self._squares)
        for parameter in self._opened().parameters:
            parameter.requires_grad_(any(parameter is trained for trained in phase.trained))
        self._visits.opened.updates = Updates(optimizer)
        size = sum(parameter.numel() for parameter in phase.trained)
        self._visits.most_trained = max(self._visits.most_trained, size)

    def _stretch(self) -> Stretch:
        """The phase of the open task."""
        steps = max(1, self.options.length(self._phase(), self.epochs)) * self._visits.opened.batches.number
        return stretch(self._phase(), self._opened(), self.options, chosen=self._chosen, steps=steps)

    def end_task(self) -> None:
        """End the phases that are left, and store what the task trained."""
        self._visits.opened  # noqa: B018 - raises where no task is open
        self._go_on("first" if self.phase == "first" else "settle")
        self.units.commit(self._visits.opened.identity, self._opened())
        self._visits.close()
        self.open, self.phase, self._chosen, self._squares = None, None, [], {}

    @torch.no_grad()
    def logits(self, images: Tensor, task: int, *, trial: bool = False) -> Tensor:
        """Answer with the units that the task sees, without dropout."""
        return self.layers.logits(images, self._kernels(task, trial=trial))

    @torch.no_grad()
    def trial_logits(self, images: Tensor, task: int) -> Tensor:
        """Answer for an earlier task, (B, C, H, W) -> (B, classes), with what the open task has changed so far."""
        return self.logits(images, task, trial=True)

    def _kernels(self, task: int, *, trial: bool = False) -> list[Kernel]:
        self._visits.known(task)
        if self.open is not None and task == self._visits.learning:
            return self.open.kernels
        return self.units.kernels(task, overlay=self.open if trial else None)

    def configuration(self, task: int) -> None:
        """None: units are shared one by one, not layers."""
        self._visits.known(task)

    def growth(self) -> Growth:
        """The phase, and the units that all tasks have together."""
        return Growth(phase=self.phase, units=self.units.numbers(self.open))

    def network(self, task: int) -> nn.Module:
        """The units that a task sees, with their own copies of the values."""
        return self.layers.module(self._kernels(task))

    def parameter_counts(self) -> ParameterCounts:
        """The hidden layers are shared; a task has its output layer for itself."""
        order = self._visits.order
        sizes = {task: self.units.head_size(task, overlay=self.open) for task in set(order)}
        return ParameterCounts(
            shared=self.units.num_parameters,
            per_task=self._visits.counted(sizes),
            search=self._visits.most_trained,
            rollback=self._rollback,
        )

    def state(self) -> LearnerState:
        """The units, and for an open task its network, phase and optimizer."""
        state = self._visits.state()
        units = self.units.state()
        state.tensors |= {f"backbone.{name}": value for name, value in units.tensors.items()}
        state.values |= {"units": units.values, "rollback": self._rollback, "phase": self.phase, "chosen": self._chosen}
        state.values["squares"] = self._squares
        if self.open is not None:
            tensors, values = self.open.state()
            state.tensors |= {f"open.{name}": value for name, value in tensors.items()}
            state.values["open"] = values
        return state

    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Take over the units; for an open task its network, and the phase that it was in."""
        values = state.values
        self.units.restore(part(state.tensors, "backbone."), cast(dict[str, object], values["units"]))
        self._visits.restore(state, task=task, trained=lambda _: self._reopen(state))
        self._rollback = cast(int, values["rollback"])
        if task is not None:
            most = self._visits.most_trained
            self._train_on()
            self._visits.most_trained = most
            restore_optimizer(self._visits.opened.optimizer, state.tensors)

    def _reopen(self, state: LearnerState) -> list[nn.Parameter]:
        """The network of the open task, as it was."""
        self.phase = cast(str, state.values["phase"])
        self._chosen = cast(list[list[int]], state.values["chosen"])
        self._squares = dict(cast(dict[str, float], state.values["squares"]))
        identity = cast(list[int], state.values["visits"])[-1]
        classes = cast(dict[str, int], state.values["classes"])[str(identity)]
        self.open = self.units.begin(identity, classes=classes)
        self.open.restore(part(state.tensors, "open."), cast(dict[str, list[list[int]]], state.values["open"]))
        return trained(self.phase, self.open)

    def _opened(self) -> OpenNetwork:
        """The open task's network."""
        self._visits.opened  # noqa: B018 - raises where no task is open
        return cast(OpenNetwork, self.open)

    def _phase(self) -> str:
        return cast(str, self.phase)
