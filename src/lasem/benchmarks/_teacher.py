"""Teacher: a network with planted layers that labels images; what a synthetic stream is made with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lasem.seeds import numpy_generator

SHARED = ("shared kernels",)
"""Place of randomness of the kernels that tasks have in common."""


@dataclass(frozen=True, kw_only=True)
class TeacherLayers:
    """The teacher's convolutions: SAME zero padding, stride 1, bias, ReLU, then max-pool.

    Attributes:
        in_channels: Channels of an image.
        out_channels: Output channels of each layer.
        kernel_sizes: Height and width of each layer's kernels, odd.
        pools: Window and stride of each layer's max-pool; 1 is none.
        kernel_scale: Standard deviation of the kernels, times sqrt(2 / fan-in).
        bias_scale: Standard deviation of the biases.
        ranks: Directions among its input channels that a layer reads; 0 is all of them. The shared kernels and all
            others read directions orthogonal to each other, so that what one lets through the other does not.
    """

    in_channels: int
    out_channels: tuple[int, ...]
    kernel_sizes: tuple[int, ...]
    pools: tuple[int, ...]
    kernel_scale: float
    bias_scale: float
    ranks: tuple[int, ...]

    def draw(self, seed: int, *place: str | int) -> list[tuple[Tensor, Tensor]]:
        """Draw kernels (out, in, k, k), truncated normal, and biases (out,) of every layer, float32."""
        layers, channels = [], self.in_channels
        for layer, (out, size) in enumerate(zip(self.out_channels, self.kernel_sizes, strict=True)):
            generator = numpy_generator(seed, *place, layer)
            sd = self.kernel_scale * (2 / (channels * size**2)) ** 0.5
            kernel = sd * truncated_normal((out, channels, size, size), generator=generator)
            if self.ranks[layer]:
                directions = self._directions(layer, channels, seed=seed, place=place)
                kernel = _restricted(kernel, directions)
            bias = self.bias_scale * truncated_normal((out,), generator=generator)
            layers.append((torch.from_numpy(kernel).float(), torch.from_numpy(bias).float()))
            channels = out
        return layers

    def _directions(self, layer: int, channels: int, *, seed: int, place: tuple[str | int, ...]) -> np.ndarray:
        """Orthonormal directions that kernels read, (channels, rank); those behind a ReLU have no mean."""
        basis = numpy_generator(seed, "directions", layer).standard_normal((channels, channels))
        basis[:, 0] = 1 if layer else basis[:, 0]
        basis = np.linalg.qr(basis)[0][:, 1 if layer else 0 :]
        rank = self.ranks[layer]
        if place == SHARED:
            return basis[:, :rank]
        others = basis[:, rank:]
        mix = numpy_generator(seed, "directions", layer, *place).standard_normal((others.shape[1], rank))
        return np.linalg.qr(others @ mix)[0]

    def features(self, images: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Flattened output of the last layer: (N, C, H, W) -> (N, F)."""
        for (kernel, bias), size, pool in zip(layers, self.kernel_sizes, self.pools, strict=True):
            images = F.relu(F.conv2d(images, kernel, bias, padding=size // 2))
            images = F.max_pool2d(images, pool) if pool > 1 else images
        return images.flatten(1)


def _restricted(kernel: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """A kernel (out, in, k, k) that reads only some directions (in, rank) of its input, of the same norm."""
    projected = np.einsum("ir,jr,ojxy->oixy", directions, directions, kernel)
    return projected * (np.linalg.norm(kernel) / np.linalg.norm(projected))


def truncated_normal(shape: tuple[int, ...], *, generator: np.random.Generator) -> np.ndarray:
    """Standard normal numbers, redrawn where they are beyond two standard deviations."""
    values = generator.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = generator.standard_normal(int(outside.sum()))
    return values


def of_equal_norm(layer: tuple[Tensor, Tensor], like: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Scale a layer's kernel and bias to the norms of another's; a zero stays zero."""
    scaled = [
        part * (target.norm() / part.norm()) if part.any() else part for part, target in zip(layer, like, strict=True)
    ]
    return scaled[0], scaled[1]


def planted_layers(
    shared: Sequence[tuple[Tensor, Tensor]], own: Sequence[tuple[Tensor, Tensor]], *, bits: Sequence[int]
) -> list[tuple[Tensor, Tensor]]:
    """A task's teacher: shared layers where the bit is 1, else its own, of equal norms."""
    return [
        common if bit else of_equal_norm(fresh, common) for common, fresh, bit in zip(shared, own, bits, strict=True)
    ]


def mixed_knowledge(
    shared: Sequence[tuple[Tensor, Tensor]], unrelated: Sequence[tuple[Tensor, Tensor]], *, strength: float
) -> Mapping[str, Tensor]:
    """Shared knowledge that the stream starts from: s K + sqrt(1 - s^2) U, U unrelated and of K's norm.

    Returns:
        `stages.{l}.shared.weight` (out, in, k, k) and `stages.{l}.shared.bias` (out,), l from 0.
    """
    knowledge = {}
    for layer, (common, other) in enumerate(zip(shared, unrelated, strict=True)):
        other = of_equal_norm(other, common)
        rest = (1 - strength**2) ** 0.5
        for name, part, noise in zip(("weight", "bias"), common, other, strict=True):
            knowledge[f"stages.{layer}.shared.{name}"] = strength * part + rest * noise
    return knowledge


@dataclass(frozen=True)
class TeacherHead:
    """A linear head on standardized features, made so that every class is about equally likely.

    Attributes:
        weight: (F, classes).
        offset: (classes,).
    """

    weight: Tensor
    offset: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """(N, F) -> (N, classes)."""
        return features @ self.weight - self.offset


def fit_head(features: Tensor, *, classes: int, rank: int, generator: np.random.Generator) -> TeacherHead:
    """Draw a head: random orthogonal directions among the leading principal components of features, whitened.

    Args:
        features: (N, F) of calibration images.
        classes: Number of classes.
        rank: How many principal components the labels depend on, at least `classes`.
        generator: Source of the directions.
    """
    mean = features.mean(0)
    centered = (features - mean).double().numpy()
    variance, components = np.linalg.eigh(centered.T @ centered / len(centered))
    variance, components = variance[::-1][:rank], components[:, ::-1][:, :rank]
    largest = np.abs(components).argmax(0)[None]  # signs of components are arbitrary: fix them
    components = components * np.sign(np.take_along_axis(components, largest, axis=0))
    directions = np.linalg.qr(generator.standard_normal((rank, classes)))[0]
    weight = torch.from_numpy(components / np.sqrt(variance) @ directions).float()
    return TeacherHead(weight=weight, offset=mean @ weight)
