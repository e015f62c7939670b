"""Flattening of feature maps for a head: positions first, then channels.

Convolutions of channels-last tensors leave their results in this order in memory, so flattening copies nothing.
TensorFlow flattens in the same order.
"""

from torch import Tensor, nn


def flatten_features(hidden: Tensor) -> Tensor:
    """Flatten feature maps, (N, B, C, H, W) -> (N, B, H W C); features (N, B, F) stay as they are."""
    return hidden.movedim(2, -1).flatten(2)


class FlattenPositionsFirst(nn.Module):
    """A layer that flattens feature maps, positions first: (B, C, H, W) -> (B, H W C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Flatten a batch of feature maps: (B, C, ...) -> (B, ... C)."""
        return x.movedim(1, -1).flatten(1)
