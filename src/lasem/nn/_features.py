"""From feature maps to a head's input: positions first, then channels.

That is the order in which kernels leave the values in memory (channels last), so nothing is copied; TensorFlow flattens
in the same order.
"""

from torch import Tensor, nn


def flatten_features(hidden: Tensor) -> Tensor:
    """(N, B, C, H, W) -> (N, B, H W C); features without positions, (N, B, F), stay as they are."""
    return hidden.movedim(2, -1).flatten(2)


class FlattenPositionsFirst(nn.Module):
    """`flatten_features` for one network: (B, C, H, W) -> (B, H W C)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) -> (B, ... C)."""
        return x.movedim(1, -1).flatten(1)
