"""Conditional channel gating: every task switches channels of one network on and off (Abati et al. 2020)."""

from math import log
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from lasem.benchmarks import Split, Task
from lasem.errors import require
from lasem.learners._interface import AbstractLearner, AbstractLearnerOptions, LearnerState, Setup
from lasem.learners._layers import PlainNetwork
from lasem.learners._parameters import at_first_visits
from lasem.learners._status import Growth, ParameterCounts
from lasem.learners.gating._gated_convs import GatedConvs
from lasem.options import Count, Fraction, NonNegative, Positive, Rate, options
from lasem.training import TaskTraining, Training, TrainingState, add_prefix, load_values, strip_prefix

RELEVANCE_BATCH = 500
"""Images per batch when channels are counted without training."""


def learned_share(entropy: Tensor, *, classes: int) -> Tensor:
    """Measure how far a task is learned: 1 - entropy / log(classes), at least 0, without gradient.

    Args:
        entropy: Mean cross-entropy of a batch in nats, a scalar.
        classes: Number of classes of the task.
    """
    return (1 - entropy.detach() / log(classes)).clamp_min(0) if classes > 1 else torch.ones_like(entropy)


@options
class GatingOptions(AbstractLearnerOptions):
    """How a task's channels are gated, and which of them it reserves (Abati et al. 2020).

    Attributes:
        hidden: Hidden units of a gate.
        open_share: Approximate share of sampled gates that are open when a task begins.
        gain: How much faster than other parameters the gates open and close; see `Gate`.
        sparsity_weight: Weight of the mean share of open gates in the loss.
        sparsity: When sparsity counts: as far as the task is "learned" (see `learned_share`), or in full after some
            epochs of "patience".
        patience: Epochs of a task before sparsity counts, either way.
        relevance: Images on which a task's relevant channels are found: the validation split ("valid") or the training
            split ("train").
        threshold: A channel is relevant if its gate opens for more than this share of the images.
    """

    hidden: Positive = 16
    open_share: Fraction = 0.85
    gain: Rate = 1.0
    sparsity_weight: NonNegative = 0.5
    sparsity: Literal["learned", "patience"] = "patience"
    patience: Count = 20
    relevance: Literal["valid", "train"] = "valid"
    threshold: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def build(self, setup: Setup) -> "ChannelGating":
        """Build a new learner.

        Raises:
            SpecError: The network is not made of plain convolutions.
        """
        plain = PlainNetwork.of(setup)
        return ChannelGating(plain, options=self, training=setup.training, seed=setup.seed, device=setup.device)


class ChannelGating(AbstractLearner):
    """Freezes the channels that a task uses and leaves the others to later tasks; older answers never change.

    When a task ends, a channel is relevant to it if the channel's gate opens for more than a share of images. From then
    on the task's gates are closed for all other channels, and channels that no task uses are drawn anew. A task that
    comes back trains its gates, its head, and the channels that no other task uses.

    Args:
        network: Layers of the network.
        options: How channels are gated.
        training: How a task is trained. Gates have batch norm, so a batch must hold at least two images.
        seed: Seed of batches, dropout and gates.
        device: Where tensors go.

    Raises:
        SpecError: A batch holds one image.
    """

    def __init__(
        self,
        network: PlainNetwork,
        *,
        options: GatingOptions | None = None,
        training: Training | None = None,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> None:
        self.options = options or GatingOptions()
        self.training = training or Training()
        size = self.training.batch_size
        require(size >= 2, "batch_size must be at least 2 for gates, which have batch norm", batch_size=size)
        self.convs = GatedConvs(
            network, hidden=self.options.hidden, open_share=self.options.open_share, gain=self.options.gain
        ).to(device)
        like = next(self.convs.parameters())
        self.task = TaskTraining(
            self.training, seed=seed, shape=network.shape, like=like, layers=self.convs.layers, freezes_items=True
        )

    @property
    def held_out(self) -> Literal["valid", "none"]:
        """Images that the learner reads besides the training split: the validation split, or none."""
        return "valid" if self.options.relevance == "valid" else "none"

    def begin_task(self, task: Task) -> None:
        """Open a task with new gates and a new head or, if it has come back, with all of its gates free again.

        Raises:
            DataError: There are too few training images, or they do not fit the network.
            LasemError: Another task is open.
        """
        self.task.check(task)
        identity = self.task.identity_of(task)
        if identity not in self.task.classes:
            self.convs.grow(identity, task.classes)
        for gate in self.convs.task_gates(identity):
            gate.relevant.fill_(True)
        self.task.begin(task, self._trained(identity))

    def _trained(self, task: int) -> list[nn.Parameter]:
        """Kernels, whose frozen channels get zero gradients, and the task's gates and head."""
        modules = [self.convs.kernels, self.convs.gates[str(task)], self.convs.heads[str(task)]]
        return [parameter for module in modules for parameter in module.parameters()]

    def train_epoch(self) -> float:
        """Train the open task for one epoch with sampled gates, and return the mean loss of its batches."""
        gates = self.convs.gates[str(self.task.identity)]
        gates.train()
        try:
            losses = [self._step(images, labels) for images, labels in self.task.batches()]
        finally:
            gates.eval()
        return self.task.end_epoch(losses)

    def _step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Learn from a batch: cross-entropy plus the weighted share of open gates."""
        task, options = self.task.identity, self.options
        gated = self.convs(images, task, self.task.masks)
        logits = self.convs.heads[str(task)](self.task.dropout(gated.features))
        entropy = F.cross_entropy(logits, labels, label_smoothing=self.task.label_smoothing)
        counts = learned_share(entropy, classes=logits.shape[1]) if options.sparsity == "learned" else 1.0
        weight = options.sparsity_weight if self.task.epoch >= options.patience else 0.0
        return self.task.step(entropy + weight * counts * gated.open_share)

    def end_task(self) -> None:
        """Find the relevant channels, close the others to the task, and draw anew what no task uses."""
        task, identity = self.task.task, self.task.identity
        shares = self._opening_shares(identity, task.valid if self.held_out == "valid" else task.train)
        for gate, share in zip(self.convs.task_gates(identity), shares, strict=True):
            gate.relevant.copy_(share > self.options.threshold)
        self.convs.redraw_unused(len(self.task.order))
        self.task.end()

    @torch.no_grad()
    def _opening_shares(self, task: int, split: Split) -> list[Tensor]:
        """Per layer, (C',): the share of images for which a gate opens."""
        counts = [
            [gates.sum(0) for gates in self.convs(images, task).gates] for images in split.images.split(RELEVANCE_BATCH)
        ]
        return [torch.stack(layer).sum(0) / len(split) for layer in zip(*counts, strict=True)]

    @torch.no_grad()
    def logits(self, images: Tensor, task: int) -> Tensor:
        """Answer with the task's gates, open if their logit is above 0: (B, C, H, W) -> (B, classes)."""
        self.task.check_images(images, task)
        return self.convs.heads[str(task)](self.convs(images, task).features)

    def relevant(self, task: int) -> list[Tensor]:
        """Return per layer, (C',), whether a channel is relevant to a task; while it is learned, all are."""
        self.task.classes_of(task)
        return [gate.relevant.clone() for gate in self.convs.task_gates(task)]

    def growth(self) -> Growth:
        """Return how many channels of every layer are relevant to any task that has ended."""
        used = self.convs.used(excluding=self.task.open_identity)
        return Growth(phase=None, units=[int(channels.sum()) for channels in used])

    def network(self, task: int) -> nn.Module:
        """Return the gated network of a task with its own values: (B, C, H, W) -> (B, classes)."""
        self.task.classes_of(task)
        return self.convs.network(task)

    def parameter_counts(self) -> ParameterCounts:
        """Count parameters: kernels are shared, gates and heads belong to a task."""
        sizes = {
            task: sum(p.numel() for own in (self.convs.gates, self.convs.heads) for p in own[str(task)].parameters())
            for task in set(self.task.order)
        }
        return ParameterCounts(
            shared=sum(p.numel() for p in self.convs.kernels.parameters()),
            per_task=at_first_visits(self.task.order, sizes),
            search=self.task.most_trained,
            rollback=0,
        )

    def state(self) -> LearnerState:
        """Return kernels, gates and heads and, for an open task, its optimizer."""
        tensors = self.task.tensors() | add_prefix("backbone.", self.convs.state_dict())
        return LearnerState.of(self.task.values(), tensors)

    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Add gates and heads, then load all values."""
        values = state.read(TrainingState)
        values.require_fit(task, trained=self.task.order, optimizer=self.task.training.optimizer)
        for identity, classes in values.tasks():
            self.convs.grow(identity, classes)
        load_values(self.convs, strip_prefix(state.tensors, "backbone."))
        self.task.restore(values)
        if task is not None:
            self.task.begin(task, self._trained(self.task.identity_of(task)))
            self.task.resume(values, state.tensors)
