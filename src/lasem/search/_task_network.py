"""The network of the open task, as a search evaluates and trains it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lasem.nn import Backbone
from lasem.search._capture import LeafFeatures
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
