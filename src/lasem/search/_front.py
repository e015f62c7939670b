"""Stages in front of the network whose results no training step changes, so that each image needs them once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lasem.configurations import ConfigurationSpace
from lasem.nn import Backbone, Branch, walk


@dataclass(frozen=True)
class Front:
    """The constant stages in front of a network while a task is open.

    Attributes:
        backbone: The network.
        identity: Identity of the task.
        digits: The one branch that all candidates take, for each of these stages.
    """

    backbone: Backbone
    identity: int
    digits: tuple[int, ...]

    @staticmethod
    def find(backbone: Backbone, identity: int, *, space: ConfigurationSpace, images: int, limit: float) -> "Front":
        """Find the constant stages in front, as many as have features that fit into a limit.

        A stage is constant if all candidates take the same branch of it, if no value of that branch is trained, and if
        it neither draws random numbers nor normalizes by the batch.

        Args:
            backbone: The network, with the task open.
            identity: Identity of the task.
            space: The candidates.
            images: Number of images whose features would be kept.
            limit: Most bytes that they may take.
        """
        digits: list[int] = []
        columns = zip(*space.layer_digits, strict=True)
        for stage, fork, column in zip(backbone.iter_stages(), backbone.forks(identity), columns, strict=True):
            if len(set(column)) > 1 or stage.template.normalizes or stage.template.stochastic:
                break
            branch = fork.branch(column[0])
            if not isinstance(branch, Branch) or any(value.requires_grad for value in branch.tensors.values()):
                break
            digits.append(column[0])
        front = Front(backbone, identity, tuple(digits))
        while front.digits and (front.cuts_skip or images * front.bytes_per_image > limit):
            front = Front(backbone, identity, front.digits[:-1])
        return front

    def __len__(self) -> int:
        return len(self.digits)

    @property
    def cuts_skip(self) -> bool:
        """Whether a skip goes around stages on both sides of the end."""
        return any(skip.start < len(self) <= skip.end for skip in self.backbone.skips)

    @property
    def bytes_per_image(self) -> int:
        """Bytes of the features of one image."""
        like = next(self.backbone.parameters())
        return torch.Size(self.backbone.output_shapes()[len(self)]).numel() * like.element_size()

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Compute what the last of these stages gives: (B, C, H, W) -> (B, ...); without any stage, the images."""
        if not self.digits:
            return images
        forks = self.backbone.forks(self.identity)[: len(self)]
        branches = [fork.branch(digit) for fork, digit in zip(forks, self.digits, strict=True)]
        skips = [skip for skip in self.backbone.skips if skip.end < len(self)]
        x = self.backbone.enter(images)
        return walk(x, lambda stage, hidden: branches[stage](hidden), stages=len(self), skips=skips)[0]

    def all_features(self, images: Tensor, *, batch_size: int) -> Tensor:
        """Compute the features of many images in batches: (N, C, H, W) -> (N, ...)."""
        # The last batch overlaps the one before it: batches of one size are computed alike, to the last bit.
        rest = (len(images) - 1) % batch_size + 1
        found = [self.features(batch) for batch in images[: len(images) - rest].split(batch_size) if len(batch)]
        return torch.cat([*found, self.features(images[-batch_size:])[-rest:]])
