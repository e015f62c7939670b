"""Conditional channel gating: every task switches channels of one network on and off (Abati et al. 2020)."""

from math import inf, log
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from lasem.benchmarks import Split, Task
from lasem.errors import require
from lasem.learners._held import named, part, restore_values
from lasem.learners._layers import PlainNetwork
from lasem.learners._learner import AbstractLearner, LearnerState, ParameterCounts, Training
from lasem.learners._visits import Visits
from lasem.learners.gating._gates import GatedConvs
from lasem.search import cross_entropies

RELEVANCE_BATCH = 500
"""Images per batch where channels are only counted."""


def learned_share(entropy: Tensor, *, classes: int) -> Tensor:
    """How far a task is learned: 1 - entropy / log(classes), and 0 where a guess is no worse; without gradient.

    Args:
        entropy: Mean cross-entropy of a batch, a scalar, in nats.
        classes: Of the task.
    """
    return (1 - entropy.detach() / log(classes)).clamp_min(0) if classes > 1 else torch.ones_like(entropy)


class ChannelGating(AbstractLearner):
    """Freezes the channels that a task uses, and leaves the others to later tasks; older answers never change.

    A channel is relevant to a task if its gate opens for more than a share of images, once the task was learned. The
    task's gates are closed for all other channels from then on, and what no task uses is drawn anew.

    A task that comes back trains its gates, its head, and the channels that no other task uses.

    Args:
        network: The layers; new.
        hidden: Hidden units of a gate.
        open_share: About the share of sampled gates that are open when a task begins.
        gain: How much faster than other parameters gates open and close; see `Gate`.
        sparsity_weight: Weight of the mean share of open gates in the loss.
        sparsity: When that counts: "learned", as far as the task is learned (see `learned_share`); or "patience", in
            full after some epochs.
        patience: Epochs of a task before it counts, either way.
        relevance: Images on which relevance is measured: "valid" or "train".
        threshold: Share of images above which a channel is relevant.
        training: How a task is trained; gates have batch norm, so a batch holds at least two images.
        seed: Seed of batches, dropout and gates.
        device: Where the network goes.
    """

    def __init__(
        self,
        network: PlainNetwork,
        *,
        hidden: int = 16,
        open_share: float = 0.85,
        gain: float = 1.0,
        sparsity_weight: float = 0.5,
        sparsity: Literal["learned", "patience"] = "patience",
        patience: int = 20,
        relevance: Literal["valid", "train"] = "valid",
        threshold: float = 0.0,
        training: Training | None = None,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> None:
        self.training = training or Training()
        require(0 <= sparsity_weight < inf, "a weight is at least 0", sparsity_weight=sparsity_weight)
        require(0 <= threshold < 1, "a threshold of relevance is a share below 1", threshold=threshold)
        require(self.training.batch_size >= 2, "gates need batches of two images", batch_size=self.training.batch_size)
        self.convs = GatedConvs(network, hidden=hidden, open_share=open_share, gain=gain).to(device)
        self.sparsity_weight = sparsity_weight
        self.sparsity: Literal["learned", "patience"] = sparsity
        self.patience = patience
        self.held_out: Literal["valid", "none"] = "valid" if relevance == "valid" else "none"
        self.threshold = threshold
        self._visits = Visits(self.training, seed=seed, shape=network.shape, like=next(self.convs.parameters()))

    def begin_task(self, task: Task) -> None:
        """Add the task's gates and head, or open all gates of a task that comes back.

        Raises:
            DataError: The training split holds less than one batch, or the images do not fit the network.
            LasemError: Another task is open.
        """
        batches = self._visits.check(task)
        identity = self._visits.identity(task)
        if identity not in self._visits.classes:
            self.convs.grow(identity, task.classes)
        for gate in self.convs.task_gates(identity):
            gate.relevant.fill_(True)
        self._visits.open(task, self._trained(identity), batches)

    def _trained(self, task: int) -> list[nn.Parameter]:
        """Kernels, whose frozen channels get zero gradients, and the task's gates and head."""
        parts = [self.convs.kernels, self.convs.gates[str(task)], self.convs.heads[str(task)]]
        return [parameter for part in parts for parameter in part.parameters()]

    def train_epoch(self) -> float:
        """Shuffle, then learn from every complete batch, gates sampled."""
        visit = self._visits.opened
        gates, head = self.convs.gates[str(visit.identity)], self.convs.heads[str(visit.identity)]
        weight = self.sparsity_weight if visit.epoch >= self.patience else 0.0

        def loss(images: Tensor, labels: Tensor, masks: Generator) -> Tensor:
            gated = self.convs(images, visit.identity, masks)
            logits = head(self._visits.dropout(gated.features, masks))
            entropy = cross_entropies(logits.unsqueeze(0), labels)[0]
            counts = learned_share(entropy, classes=logits.shape[1]) if self.sparsity == "learned" else 1.0
            return entropy + weight * counts * gated.open_share

        gates.train()
        try:
            return self._visits.train_epoch(loss)
        finally:
            gates.eval()

    def end_task(self) -> None:
        """Find the relevant channels, close the others to the task, and draw anew what no task uses."""
        visit = self._visits.opened
        shares = self._firing(visit.identity, visit.task.valid if self.held_out == "valid" else visit.task.train)
        for gate, share in zip(self.convs.task_gates(visit.identity), shares, strict=True):
            gate.relevant.copy_(share > self.threshold)
        self.convs.redraw_unused(len(self._visits.order))
        self._visits.close()

    @torch.no_grad()
    def _firing(self, task: int, split: Split) -> list[Tensor]:
        """Per layer, (C',): the share of images for which a gate opens."""
        counts = [
            [gates.sum(0) for gates in self.convs(images, task).gates] for images in split.images.split(RELEVANCE_BATCH)
        ]
        return [torch.stack(layer).sum(0) / len(split) for layer in zip(*counts, strict=True)]

    @torch.no_grad()
    def logits(self, images: Tensor, task: int, *, trial: bool = False) -> Tensor:
        """Answer with the task's gates, open where their logit is above 0."""
        del trial
        self._visits.known(task)
        return self.convs.heads[str(task)](self.convs(images, task).features)

    def relevant(self, task: int) -> list[Tensor]:
        """Per layer, (C',) whether a channel is relevant to a task; all while it is learned."""
        self._visits.known(task)
        return [gate.relevant.clone() for gate in self.convs.task_gates(task)]

    def configuration(self, task: int) -> None:
        """None: channels are chosen, not layers."""
        self._visits.known(task)

    def network(self, task: int) -> nn.Module:
        """The gated network with its own copies of the values."""
        self._visits.known(task)
        return self.convs.network(task)

    def parameter_counts(self) -> ParameterCounts:
        """Kernels are shared; gates and heads are a task's own."""
        sizes = {
            task: sum(p.numel() for held in (self.convs.gates, self.convs.heads) for p in held[str(task)].parameters())
            for task in set(self._visits.order)
        }
        return ParameterCounts(
            shared=sum(p.numel() for p in self.convs.kernels.parameters()),
            per_task=self._visits.counted(sizes),
            search=self._visits.most_trained,
            rollback=0,
        )

    def state(self) -> LearnerState:
        """Kernels, gates and heads, and for an open task its optimizer."""
        state = self._visits.state()
        state.tensors |= named("backbone.", self.convs.state_dict())
        return state

    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Add gates and heads, then load all values."""
        for identity, classes in self._visits.past(state):
            self.convs.grow(identity, classes)
        restore_values(self.convs, part(state.tensors, "backbone."))
        self._visits.restore(state, task=task, trained=self._trained)
