"""Transforms that make the images of one task look different from those of another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lasem.seeds import derive_seed, numpy_generator

Noise: TypeAlias = Literal["none", "paper", "release"]

NOISE_MEANS: dict[Noise, tuple[float, ...]] = {
    "none": (0.0,),
    "paper": (-0.1, -0.05, 0.0, 0.05, 0.1),
    "release": (-0.05, -0.025, 0.0, 0.025),
}
NOISE_SPREADS: dict[Noise, tuple[float, ...]] = {
    "none": (0.0,),
    "paper": (0.1, 0.05, 0.0, 0.05, 0.1),  # |.| of the five values, each as likely
    "release": (0.0, 0.025),
}


@dataclass(frozen=True, kw_only=True)
class Transform:
    """Transform of one task, the same for its training, validation and test images.

    Attributes:
        rotation: Counterclockwise rotation in degrees, a multiple of 90.
        permutation_seed: Seed of the permutation of all pixel positions; None leaves pixels in place.
        channel_order: Channel c of a transformed image is channel `channel_order[c]` of the original; None changes
            nothing.
        inverted: Whether bright and dark are exchanged.
        noise_mean: Mean of the Gaussian noise, as a fraction of the pixel range.
        noise_sd: Standard deviation of the Gaussian noise, as a fraction of the pixel range.
    """

    rotation: int = 0
    permutation_seed: int | None = None
    channel_order: tuple[int, ...] | None = None
    inverted: bool = False
    noise_mean: float = 0.0
    noise_sd: float = 0.0

    @property
    def is_noisy(self) -> bool:
        """Whether noise changes the pixel values."""
        return self.noise_mean != 0 or self.noise_sd != 0

    def rearrange(self, pixels: Tensor) -> Tensor:
        """Apply everything except the noise: (N, C, H, W), uint8 -> the same."""
        if self.rotation:
            pixels = torch.rot90(pixels, self.rotation // 90, dims=(2, 3))
        if self.permutation_seed is not None:
            # All channels move together: colors stay, positions are lost.
            moved = np.random.default_rng(self.permutation_seed).permutation(pixels.shape[2] * pixels.shape[3])
            index = torch.from_numpy(moved).to(pixels.device)
            pixels = pixels.flatten(2)[:, :, index].unflatten(2, pixels.shape[2:])
        if self.channel_order is not None:
            pixels = pixels[:, list(self.channel_order)]
        return 255 - pixels if self.inverted else pixels

    def add_noise(self, images: Tensor, *, low: float, high: float, generator: np.random.Generator) -> None:
        """Add Gaussian noise in place and clip to the pixel range.

        Args:
            images: (N, C, H, W), float32, in [low, high].
            low: Smallest pixel value.
            high: Largest pixel value.
            generator: Random generator of the noise.
        """
        # Chunks bound the memory of the noise; they are drawn in order, so that the values do not depend on their size.
        for chunk in images.split(256):
            values = generator.standard_normal(chunk.shape, dtype=np.float32)
            noise = torch.from_numpy(values).to(chunk.device)
            chunk.add_(noise.mul_(self.noise_sd).add_(self.noise_mean), alpha=high - low).clamp_(low, high)


class NoiseStates:
    """States of a generator before the noise of each image, by which the noise of any image can be drawn again.

    Noise is drawn image after image, and how many random bits an image takes is only known afterwards.

    Args:
        generator: Generator of the noise of all images.
        number: Number of images, N.
        shape: (C, H, W).
    """

    def __init__(self, generator: np.random.Generator, *, number: int, shape: Sequence[int]) -> None:
        self._generator = generator
        self._states: list[tuple[int, int, int]] = []
        for _ in range(number):
            state = generator.bit_generator.state
            self._states.append((state["state"]["state"], state["has_uint32"], state["uinteger"]))
            generator.standard_normal(shape, dtype=np.float32)

    def generator_at(self, position: int) -> np.random.Generator:
        """Return the generator as it was before the noise of the image at a position."""
        number, has_half, half = self._states[position]
        state = dict(self._generator.bit_generator.state)
        state |= {"state": {**state["state"], "state": number}, "has_uint32": has_half, "uinteger": half}
        self._generator.bit_generator.state = state
        return self._generator


UNCHANGED = Transform()


@dataclass(frozen=True, kw_only=True)
class TransformChoice:
    """Distribution from which the transform of a task is drawn.

    Attributes:
        noise: Values from which mean and standard deviation of the noise are drawn: those of the paper, those of its
            authors' release, or none.
        channel_orders: Whether channels are put in a random order.
        permute_pixels: Whether pixel positions are permuted.
        rotations: Rotations to draw from, in degrees, multiples of 90.
    """

    noise: Noise = "none"
    channel_orders: bool = False
    permute_pixels: bool = False
    rotations: Sequence[int] = (0,)

    def draw(self, generator: np.random.Generator, *, channels: int) -> Transform:
        """Draw a transform for images with the given number of channels."""
        # Everything is drawn, used or not, so that an option changes no other random choice.
        mean, spread = (float(generator.choice(table[self.noise])) for table in (NOISE_MEANS, NOISE_SPREADS))
        order = tuple(int(channel) for channel in generator.permutation(channels))
        seed = derive_seed(int(generator.integers(2**31)), "pixel permutation")
        return Transform(
            rotation=int(generator.choice(list(self.rotations))),
            permutation_seed=seed if self.permute_pixels else None,
            channel_order=order if self.channel_orders else None,
            noise_mean=mean,
            noise_sd=spread,
        )

    def draw_all(self, num_tasks: int, *, channels: int, stream_seed: int) -> list[Transform]:
        """Draw one transform for each task of a stream."""
        return [
            self.draw(numpy_generator(stream_seed, "transform", task), channels=channels) for task in range(num_tasks)
        ]
