"""What exists only while a task is learned."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from lasem.benchmarks import Task
from lasem.errors import RunError
from lasem.learners._batches import Batches
from lasem.learners._learner import SearchStatus
from lasem.learners._updates import Updates
from lasem.search import AbstractSearch, LeafFeatures, leaf_features


@dataclass
class Active:
    """The open task of a selective learner.

    Attributes:
        task: The task.
        position: Its place in the stream.
        identity: The number that all visits of the task share.
        search: Of its configuration.
        updates: Its optimizer steps.
        batches: Its minibatches.
        features: Runs the backbone in a step.
        epoch: Epochs trained on this visit.
        estimated: The configuration whose running statistics are up to date; None after every step.
    """

    task: Task
    position: int
    identity: int
    search: AbstractSearch
    updates: Updates
    batches: Batches
    features: LeafFeatures = leaf_features
    epoch: int = 0
    estimated: tuple[int, ...] | None = None

    @property
    def on_host(self) -> bool:
        """Whether parameters lie where the program runs, so that reading a number makes nobody wait."""
        return self.updates.finite.device.type == "cpu"

    def train_epoch(self, step: Callable[[Tensor, Tensor], Tensor]) -> float:
        """Shuffle, then take a step on every complete batch; their mean loss.

        Args:
            step: Learns from images (B, C, H, W) and labels (B,); its loss, detached.

        Raises:
            RunError: A loss or a gradient is not finite. The parameters are those from before that batch.
        """
        self.search.start_epoch()
        losses: list[Tensor] = []
        finite: list[Tensor] = []
        posterior = self.search.log_posterior
        for images, labels in self.batches.epoch(self.epoch):
            posterior = self.search.log_posterior
            losses.append(step(images, labels))
            finite.append(self.updates.finite & losses[-1].isfinite())
            if self.on_host and not finite[-1]:
                break
        if not bool(torch.stack(finite).all()):
            raise RunError(self._not_finite(losses, finite, log_posterior=posterior if self.on_host else None))
        self.epoch += 1
        return float(torch.stack(losses).mean())

    def _not_finite(self, losses: list[Tensor], finite: list[Tensor], *, log_posterior: Tensor | None) -> str:
        """What to tell of the first batch with a loss or a gradient that is not finite, and the posterior before it."""
        batch = int((~torch.stack(finite)).nonzero()[0])
        loss = float(losses[batch])
        came = f"{loss:.4g} with a gradient that is not finite" if isfinite(loss) else f"{loss}"
        before = ""
        if log_posterior is not None:
            top, names = log_posterior.exp().topk(min(3, len(log_posterior))), self.search.space.names()
            shares = zip(top.indices.tolist(), top.values.tolist(), strict=True)
            before = ", after the posterior " + ", ".join(f"{names[index]} {share:.3g}" for index, share in shares)
        return (
            f"losses and gradients must be finite - got {came} - task {self.position} ('{self.task.name}'),"
            f" epoch {self.epoch + 1} of the task, batch {batch + 1}{before}"
            " - lower training.learning_rate or check the images' scale"
        )

    def status(self) -> SearchStatus | None:
        """Where the search stands, read from the device; None where nothing is searched."""
        log_prior, space = self.search.log_prior(), self.search.space
        if log_prior is None:
            return None
        prior = np.exp(log_prior.cpu().numpy())
        return SearchStatus(
            names=space.names(),
            prior=prior,
            marginals=prior @ np.array(space.candidates, dtype=np.float64),
            effort=self.search.effort,
            decision=self.search.decision,
        )
