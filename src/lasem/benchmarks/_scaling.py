"""PixelScaling: how pixels become the values that a network gets, which whoever uses the network must repeat."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class PixelScaling:
    """Conversion of pixels from 0 to 1 to the values on which one task was trained and tested.

    Attributes:
        low: Number that is added to every pixel, such as -0.5 where values are from -0.5 to 0.5.
        mean: Mean of each channel, which is subtracted after that; empty without standardization.
        deviation: Number for each channel by which the difference is divided; empty without standardization.
    """

    low: float = 0.0
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @staticmethod
    def standardizing(images: Tensor, *, low: float = 0.0) -> "PixelScaling":
        """Return the scaling with which every channel of some images gets mean 0 and standard deviation 1.

        Args:
            images: (N, C, H, W), with `low` added already.
            low: Number that was added to every pixel.
        """
        sd, mean = torch.std_mean(images, dim=(0, 2, 3), correction=0)
        # A channel without variation is only centered, because it would be divided by zero.
        deviation = torch.where(sd > 0, sd, 1)
        return PixelScaling(low=low, mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()))

    def apply(self, images: Tensor) -> Tensor:
        """Return the values that the network of the task gets: (N, C, H, W) from 0 to 1 -> (N, C, H, W)."""
        scaled = images + self.low
        return self.standardize(scaled) if self.mean else scaled

    def standardize(self, images: Tensor) -> Tensor:
        """Standardize images in place, to which `low` was added already."""
        mean, deviation = (images.new_tensor(values)[:, None, None] for values in (self.mean, self.deviation))
        return images.sub_(mean).div_(deviation)
