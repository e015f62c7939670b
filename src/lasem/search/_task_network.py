"""The network of the open task, as a search evaluates and trains it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lasem.nn import Backbone
from lasem.search._capture import LeafFeatures
from lasem.search._evidence import cross_entropies
from lasem.search._open_task import AbstractOpenTask
from lasem.search._retention import RetentionPenalty
from lasem.search._tree import Plan, leaf_features


@dataclass(frozen=True)
class TaskNetwork:
    """A backbone with one task open, which has an own and a shared branch at every stage that decides.

    Attributes:
        backbone: The network; the task is open on it.
        identity: Identity of the task.
        features: Runs a batch through a tree of branches; `leaf_features`, or what `capture` made of it.
        retention: Penalty that keeps shared knowledge near what earlier tasks need; None for none.
        front: Number of stages in front whose results are given in place of images; see `Front`.
    """

    backbone: Backbone
    identity: int
    features: LeafFeatures = leaf_features
    retention: RetentionPenalty | None = None
    front: int = 0

    def leaves(self, images: Tensor, layout: Plan, *, seed: int | None = None) -> Tensor:
        """Run a batch through every path of a tree: (B, C, H, W) -> (N, B, F), in the order of the leaves.

        Args:
            images: A batch, or what `front` stages give for it.
            layout: Plan of the tree.
            seed: Seed of an M-step, from `draw_seed`. Without it, dropout within stages is off.
        """
        if seed is not None:
            return leaf_features(self.backbone, images, self.identity, layout=layout, seed=seed, start=self.front)
        if self.features is not leaf_features:  # CUDA graphs may overwrite what earlier steps have returned
            torch.compiler.cudagraph_mark_step_begin()
        return self.features(self.backbone, images, self.identity, layout=layout, start=self.front)

    def draw_seed(self, task: AbstractOpenTask) -> int | None:
        """Draw the seed of an M-step for modules that draw random numbers; None if no stage has one."""
        return task.draw_seed() if self.backbone.stochastic else None

    @property
    def head(self) -> nn.Module:
        """The task's output layers: (..., F) -> (..., classes)."""
        return self.backbone.heads[str(self.identity)]

    @property
    def num_features(self) -> int:
        """Number of features F before the head."""
        return self.backbone.num_features

    @property
    def device(self) -> torch.device:
        """The device on which the parameters are."""
        return next(self.backbone.parameters()).device

    def penalties(self) -> list[tuple[int, Tensor]]:
        """Return the penalties of shared branches as (stage, scalar): of mappings, and of retention.

        A search adds each of them to the loss, times the probability that the stage is shared.
        """
        retained = [] if self.retention is None else self.retention.terms(self.backbone)
        return [*self.backbone.penalties(self.identity), *retained]

    def expected_loss(self, task: AbstractOpenTask, logits: Tensor, labels: Tensor, *, q: Tensor) -> Tensor:
        """Compute the loss of an M-step: cross-entropies weighted by the posterior, a scalar.

        Args:
            task: The open task, which says how labels are smoothed.
            logits: Logits under K candidates, (K, B, classes).
            labels: (B,).
            q: (K,) posterior of these candidates.
        """
        losses = cross_entropies(logits, labels, smoothing=task.label_smoothing)
        return (q.to(losses.dtype) * losses).sum()

    def expected_penalty(self, q: Tensor, sharing: Tensor) -> Tensor | None:
        """Sum the penalties of shared branches, each times the posterior mass that shares its stage; None for none.

        Args:
            q: (K,) posterior.
            sharing: (K, d) bits of the candidates, in the dtype of q.
        """
        penalties = self.penalties()
        if not penalties:
            return None
        marginals = q @ sharing
        return torch.stack([marginals[stage].to(penalty.dtype) * penalty for stage, penalty in penalties]).sum()

    def retained_evidence(self, sharing: Tensor, *, images: int, evidence: str) -> Tensor | None:
        """Compute what earlier tasks add to the log-evidence of every candidate, (K,); None without retention.

        Args:
            sharing: (K, d) bits of the candidates, in double precision.
            images: Number of images that the evidence is computed on.
            evidence: "product", or "mean", which stands for one image.
        """
        if self.retention is None:
            return None
        density = self.retention.log_prior(self.backbone, sharing)
        return density * images if evidence == "product" else density
