"""Dropout masks: a row per candidate, drawn once per step however the candidates are evaluated."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

BITS = 62
"""Random bits taken of one draw."""


@dataclass(frozen=True)
class DropoutMasks:
    """The masks of one optimizer step.

    They are held packed where features are kept with probability 1/2: one random bit each, drawn 62 at a time, which is
    several times faster on a CPU than a draw per number, and takes a sixty-fourth of a mask's memory.

    Attributes:
        keep: Probability by which a feature is kept.
        rows: (K, words) integers of 62 bits, or (K, B F) numbers 0 and 1 / keep; empty where all is kept.
    """

    keep: float
    rows: Tensor

    @staticmethod
    def draw(candidates: int, batch: int, features: int, *, keep: float, source: Generator) -> "DropoutMasks":
        """New masks for K candidates and (B, F) features, on the device of their source."""
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
        """Bytes of a step's masks beside what a backward pass keeps of them.

        Args:
            candidates: K, for which masks are drawn.
            leaves: Of the largest sub-tree to which they are applied at once; their bits are unpacked to eight bytes.
            size: B F.
            keep: Probability by which a feature is kept.
        """
        if keep == 1:
            return 0
        return 8 * (candidates * -(-size // BITS) + leaves * size) if keep == 0.5 else 4 * candidates * size

    def apply(self, features: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Drop features: (N, B, F) -> (N, B, F).

        Args:
            features: Of N candidates.
            candidates: (N,) which ones; all K in order by default.
        """
        if self.keep == 1:
            return features
        rows = self.rows if candidates is None else self.rows[candidates]
        return features * (self._unpacked(rows, features) if self.keep == 0.5 else rows.view_as(features))

    @staticmethod
    def _unpacked(words: Tensor, like: Tensor) -> Tensor:
        """0 or 2 for every feature, from its bit."""
        bits = words.unsqueeze(-1).bitwise_right_shift(torch.arange(BITS, device=words.device)).bitwise_and_(1)
        return bits.flatten(1)[:, : like[0].numel()].to(like.dtype).mul_(2).view_as(like)
