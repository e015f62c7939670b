"""What exists only while a task is learned."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from lasem.benchmarks import Task
from lasem.learners._batches import Batch, Batches
from lasem.learners._held import named
from lasem.learners._learner import SearchStatus
from lasem.learners._optimizers import optimizer_tensors, restore_optimizer
from lasem.learners._updates import Updates
from lasem.nn import Backbone
from lasem.search import AbstractSearch, LeafFeatures, OpenTask, leaf_features


class Step(Protocol):
    """Learns from one minibatch."""

    def __call__(
        self, images: Tensor, labels: Tensor, *, masks: Generator | None, held_out: Iterator[Batch] | None
    ) -> Tensor:
        """The loss, detached."""
        ...


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
        features: Runs the backbone in a step; captured or not.
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

    def train_epoch(self, step: Step) -> float:
        """Shuffle, then take a step on every complete batch; their mean loss.

        Args:
            step: Learns from images (B, C, H, W) and labels (B,), given sources of masks and held-out batches; its
                loss, detached.

        Raises:
            RunError: A loss or a gradient is not finite; with the posterior before that batch.
        """
        self.search.start_epoch()
        masks, held_out = self.batches.masks(self.epoch), self.batches.held_out(self.epoch)
        posterior = self.search.log_posterior

        def watched(images: Tensor, labels: Tensor) -> Tensor:
            nonlocal posterior
            posterior = self.search.log_posterior
            return step(images, labels, masks=masks, held_out=held_out)

        place = f"task {self.position} ('{self.task.name}'), epoch {self.epoch + 1} of the task"
        batches = self.batches.epoch(self.epoch)
        loss = self.updates.epoch(batches, watched, place=place, before=lambda: self._told(posterior))
        self.epoch += 1
        return loss

    def open_task(
        self, backbone: Backbone, *, rate: float, keep: float, masks: Generator, held_out: Iterator[Batch] | None = None
    ) -> OpenTask:
        """The network as the search sees it in the step that begins now.

        Args:
            backbone: With the task open.
            rate: Learning rate.
            keep: Probability by which dropout keeps a feature.
            masks: Source of dropout masks.
            held_out: Batches for a search that learns from held-out images; the first epoch's by default.
        """
        self.estimated = None
        if self.features is not leaf_features:  # what an earlier step's graphs hold may be overwritten
            torch.compiler.cudagraph_mark_step_begin()
        held_out = held_out or self.batches.held_out(0)
        return OpenTask(
            backbone=backbone,
            task=self.identity,
            keep=keep,
            masks=masks,
            update=partial(self.updates.step, rate=rate),
            learning_rate=rate,
            held_out=partial(next, held_out) if held_out else None,
            features=self.features,
        )

    def estimate(self, backbone: Backbone) -> None:
        """Estimate the running statistics along the leading configuration, if they are out of date."""
        if self.estimated != self.leading and backbone.normalizes:
            backbone.estimate_statistics(self.batches.unlabeled(), self.identity, bits=self.leading)
            self.estimated = self.leading

    @property
    def leading(self) -> tuple[int, ...]:
        """The configuration that would be committed now, one bit per stage."""
        return self.search.space.layer_bits[self.search.leader()]

    def state(self) -> dict[str, Tensor]:
        """Of its search and its optimizer."""
        return named("search.", self.search.state()) | optimizer_tensors(self.updates.optimizer)

    def restore(self, tensors: Mapping[str, Tensor], *, epoch: int) -> None:
        """Take over what `state` gave after so many epochs."""
        self.epoch = epoch
        for name, value in self.search.state().items():
            value.copy_(tensors[f"search.{name}"])
        restore_optimizer(self.updates.optimizer, tensors)

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
