"""Dropout masks of all candidates, drawn once per step, so that they do not depend on how the tree is divided."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

BITS = 62
"""Number of random bits that are used of each 64-bit integer drawn."""


@dataclass(frozen=True)
class DropoutMasks:
    """The masks of one optimizer step.

    Masks that keep features with probability 1/2 are stored as random bits, 62 of them per integer. On a CPU this is
    several times faster than one draw per feature, and takes a fraction of the memory.

    Attributes:
        keep: Probability with which a feature is kept.
        rows: (K, words) integers of 62 bits, or (K, B F) numbers 0 and 1 / keep; empty where all is kept.
    """

    keep: float
    rows: Tensor

    @staticmethod
    def draw(candidates: int, batch: int, features: int, *, keep: float, source: Generator) -> "DropoutMasks":
        """Draw new masks for K candidates and (B, F) features, on the device of their source."""
        device, size = source.device, batch * features
        if keep == 1:
            return DropoutMasks(keep, torch.empty(candidates, 0, device=device))
        if keep != 0.5:
            kept = torch.empty(candidates, size, device=device).bernoulli_(keep, generator=source)
            return DropoutMasks(keep, kept.div_(keep))
        words = torch.empty(candidates, -(-size // BITS), dtype=torch.int64, device=device)
        return DropoutMasks(keep, words.random_(generator=source))  # 63 random bits

    @staticmethod
    def held_bytes(candidates: int, leaves: int, size: int, *, keep: float) -> int:
        """Return the bytes of the masks of one step, without what autograd stores of them for the backward pass.

        Args:
            candidates: Number K of candidates that get masks.
            leaves: Number of leaves of the largest sub-tree, whose bits are unpacked to eight bytes each.
            size: Number of features of a batch, B F.
            keep: Probability with which a feature is kept.
        """
        if keep == 1:
            return 0
        return 8 * (candidates * -(-size // BITS) + leaves * size) if keep == 0.5 else 4 * candidates * size

    def apply(self, features: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Drop features: (N, B, F) -> (N, B, F).

        Args:
            features: Features of N candidates.
            candidates: (N,) indices of these candidates; all K in order by default.
        """
        if self.keep == 1:
            return features
        rows = self.rows if candidates is None else self.rows[candidates]
        return features * (self._unpacked(rows, features) if self.keep == 0.5 else rows.view_as(features))

    @staticmethod
    def _unpacked(words: Tensor, like: Tensor) -> Tensor:
        """Return 0 or 2 for every feature, from its bit: (N, words) -> (N, B, F)."""
        bits = words.unsqueeze(-1).bitwise_right_shift(torch.arange(BITS, device=words.device)).bitwise_and_(1)
        return bits.flatten(1)[:, : like[0].numel()].to(like.dtype).mul_(2).view_as(like)
