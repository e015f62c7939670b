"""Teacher: a network with planted layers that labels the images of a synthetic stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lasem.seeds import numpy_generator

SHARED = ("shared kernels",)
"""Key of the random numbers for the kernels that tasks have in common; see `lasem.seeds`."""


@dataclass(frozen=True, kw_only=True)
class TeacherLayers:
    """The teacher's convolutions: SAME zero padding, stride 1, bias, ReLU, then max-pool.

    Attributes:
        in_channels: Channels of an image.
        out_channels: Output channels of each layer.
        kernel_sizes: Height and width of each layer's kernels, odd.
        pools: Window and stride of each layer's max-pool; 1 means no pool.
        kernel_scale: Standard deviation of the kernels, in units of sqrt(2 / fan-in).
        bias_scale: Standard deviation of the biases.
        ranks: Number of directions among its input channels that a layer reads; 0 means all. The shared kernels and
            all others read orthogonal directions, so that one cannot replace the other.
    """

    in_channels: int
    out_channels: tuple[int, ...]
    kernel_sizes: tuple[int, ...]
    pools: tuple[int, ...]
    kernel_scale: float
    bias_scale: float
    ranks: tuple[int, ...]

    def draw(self, seed: int, *place: str | int) -> list[tuple[Tensor, Tensor]]:
        """Draw float32 kernels (out, in, k, k) and biases (out,) of every layer from a truncated normal."""
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
        """Draw the orthonormal directions that kernels read: (channels, rank).

        After a ReLU all channels are positive, so that their mean would dominate every other direction. It is left out.
        """
        basis = numpy_generator(seed, "directions", layer).standard_normal((channels, channels))
        basis[:, 0] = 1 if layer else basis[:, 0]  # qr then makes all others orthogonal to the mean over channels
        basis = np.linalg.qr(basis)[0][:, 1 if layer else 0 :]
        rank = self.ranks[layer]
        if place == SHARED:
            return basis[:, :rank]
        others = basis[:, rank:]
        # Other kernels read a random part of the directions that the shared kernels leave.
        mix = numpy_generator(seed, "directions", layer, *place).standard_normal((others.shape[1], rank))
        return np.linalg.qr(others @ mix)[0]

    def features(self, images: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Compute the flattened output of the last layer: (N, C, H, W) -> (N, F)."""
        for (kernel, bias), size, pool in zip(layers, self.kernel_sizes, self.pools, strict=True):
            images = F.relu(F.conv2d(images, kernel, bias, padding=size // 2))
            images = F.max_pool2d(images, pool) if pool > 1 else images
        return images.flatten(1)


def _restricted(kernel: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Project a kernel (out, in, k, k) on directions (in, rank) of its input, and keep its norm."""
    projected = np.einsum("ir,jr,ojxy->oixy", directions, directions, kernel)
    return projected * (np.linalg.norm(kernel) / np.linalg.norm(projected))


def truncated_normal(shape: tuple[int, ...], *, generator: np.random.Generator) -> np.ndarray:
    """Draw standard normal numbers, again wherever they exceed two standard deviations."""
    values = generator.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = generator.standard_normal(int(outside.sum()))
    return values


def of_equal_norm(layer: tuple[Tensor, Tensor], like: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Scale a layer's kernel and bias to the norms of another's; a zero stays zero."""
    kernel, bias = (
        value * (target.norm() / value.norm()) if value.any() else value
        for value, target in zip(layer, like, strict=True)
    )
    return kernel, bias


def planted_layers(
    shared: Sequence[tuple[Tensor, Tensor]], own: Sequence[tuple[Tensor, Tensor]], *, bits: Sequence[int]
) -> list[tuple[Tensor, Tensor]]:
    """Make the teacher of a task: shared layers where the bit is 1, otherwise its own, scaled to equal norms."""
    return [
        common if bit else of_equal_norm(fresh, common) for common, fresh, bit in zip(shared, own, bits, strict=True)
    ]


def mixed_knowledge(
    shared: Sequence[tuple[Tensor, Tensor]], unrelated: Sequence[tuple[Tensor, Tensor]], *, strength: float
) -> Mapping[str, Tensor]:
    """Mix the shared knowledge of the stream: s K + sqrt(1 - s^2) U, with unrelated kernels U of the norm of K.

    Returns:
        `stages.{l}.shared.weight` (out, in, k, k) and `stages.{l}.shared.bias` (out,), l from 0.
    """
    knowledge = {}
    for layer, (common, other) in enumerate(zip(shared, unrelated, strict=True)):
        other = of_equal_norm(other, common)
        rest = (1 - strength**2) ** 0.5
        for name, kernel, noise in zip(("weight", "bias"), common, other, strict=True):
            knowledge[f"stages.{layer}.shared.{name}"] = strength * kernel + rest * noise
    return knowledge


@dataclass(frozen=True)
class TeacherHead:
    """Linear head on standardized features for which all classes are about equally likely.

    Attributes:
        weight: Weights, (F, classes).
        offset: Logits of the mean features, (classes,), which are subtracted.
    """

    weight: Tensor
    offset: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """Compute logits from features: (N, F) -> (N, classes)."""
        return features @ self.weight - self.offset


def fit_head(features: Tensor, *, classes: int, rank: int, generator: np.random.Generator) -> TeacherHead:
    """Draw a head of random orthogonal directions among the leading, whitened principal components of features.

    Args:
        features: Features of calibration images, (N, F).
        classes: Number of classes.
        rank: Number of principal components on which labels depend, at least `classes`.
        generator: Random generator of the directions.
    """
    mean = features.mean(0)
    centered = (features - mean).double().numpy()
    variance, components = np.linalg.eigh(centered.T @ centered / len(centered))
    variance, components = variance[::-1][:rank], components[:, ::-1][:, :rank]
    # The signs of components are arbitrary and differ between machines, so that they are fixed here.
    largest = np.abs(components).argmax(0)[None]
    components = components * np.sign(np.take_along_axis(components, largest, axis=0))
    directions = np.linalg.qr(generator.standard_normal((rank, classes)))[0]
    weight = torch.from_numpy(components / np.sqrt(variance) @ directions).float()
    return TeacherHead(weight=weight, offset=mean @ weight)
