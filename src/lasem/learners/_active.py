"""What exists only while a task is learned."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from lasem.benchmarks import Task
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

    def train_epoch(self, step: Callable[[Tensor, Tensor], Tensor]) -> float:
        """Shuffle, then take a step on every complete batch; their mean loss.

        Args:
            step: Learns from images (B, C, H, W) and labels (B,) by the updates; its loss, detached.

        Raises:
            RunError: A loss or a gradient is not finite; with the posterior before that batch.
        """
        self.search.start_epoch()
        posterior = self.search.log_posterior

        def watched(images: Tensor, labels: Tensor) -> Tensor:
            nonlocal posterior
            posterior = self.search.log_posterior
            return step(images, labels)

        place = f"task {self.position} ('{self.task.name}'), epoch {self.epoch + 1} of the task"
        batches = self.batches.epoch(self.epoch)
        loss = self.updates.epoch(batches, watched, place=place, before=lambda: self._told(posterior))
        self.epoch += 1
        return loss

    def _told(self, log_posterior: Tensor | None) -> str:
        """The leading candidates of a posterior, in words; nothing without one."""
        if log_posterior is None:
            return ""
        top, names = log_posterior.exp().topk(min(3, len(log_posterior))), self.search.space.names()
        shares = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        return ", after the posterior " + ", ".join(f"{names[index]} {share:.3g}" for index, share in shares)

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
