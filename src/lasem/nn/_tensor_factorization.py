"""Tensor factorization: one core for all tasks, and square factors per task (Bulat et al. 2020)."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from lasem.errors import require
from lasem.nn._initializers import uniform
from lasem.nn._mechanisms import AbstractMechanism, ConvShape

FACTORS = ("outputs", "inputs", "height", "width")
"""A task's factors, by the axis of the core that each multiplies."""


@dataclass(frozen=True)
class TensorFactorization(AbstractMechanism):
    """TF: the kernel is a shared core times the task's factors, one per axis.

    W[e, c, a, b] = sum over m, k, i, j of core[m, k, i, j] outputs[m, e] inputs[k, c] height[i, a] width[j, b]

    The paper's K is the core with its axes in the order i, j, k, m, and U1 to U4 are `height`, `width`, `inputs` and
    `outputs`; each is contracted over its first axis.

    Attributes:
        penalty_weight: Weight of the penalty that keeps factors orthogonal; the paper chooses of 0.001, 0.005, 0.01,
            0.05 and 0.1.
    """

    penalty_weight: float = 0.1

    def __post_init__(self) -> None:
        right = 0 <= self.penalty_weight < float("inf")
        require(right, "the weight of a penalty is at least 0", penalty_weight=self.penalty_weight)

    def new_shared(self, shape: ConvShape, source: Generator) -> nn.ParameterDict:
        """The core (C', C, k, k), uniform within sqrt(6 / (k k (C + C')))."""
        bound = (6 / (shape.kernel**2 * (shape.inputs + shape.outputs))) ** 0.5
        return nn.ParameterDict({"core": uniform(shape.weight, bound=bound, source=source)})

    def new_mapping(self, shape: ConvShape, source: Generator) -> nn.ParameterDict:
        """A factor (n, n) per axis of n entries, and a bias (C',), uniform within sqrt(3 / n)."""
        sizes = dict(zip(FACTORS, shape.weight, strict=True))
        mapping = {name: uniform((size, size), bound=(3 / size) ** 0.5, source=source) for name, size in sizes.items()}
        mapping["bias"] = uniform((shape.outputs,), bound=(3 / shape.outputs) ** 0.5, source=source)
        return nn.ParameterDict(mapping)

    def read(self, shared: nn.ParameterDict, mapping: nn.ParameterDict) -> tuple[Tensor, Tensor]:
        """The core times all factors; the positions first, since they are few."""
        outputs, inputs, height, width = (mapping[name] for name in FACTORS)
        positions = torch.kron(height, width)  # (k k, k k): both factors of the flattened positions at once
        spread = shared["core"].flatten(2) @ positions  # (m, k, a b)
        spread = torch.einsum("mkp,kc->mcp", spread, inputs)
        weight = torch.einsum("mcp,me->ecp", spread, outputs)
        return weight.unflatten(2, (len(height), len(width))), mapping["bias"]

    def penalty(self, mapping: nn.ParameterDict) -> Tensor:
        """The penalty's weight times the sum of |U^T U - I| (Frobenius, not squared) over the factors."""
        return self.penalty_weight * torch.stack([_distance_from_orthogonal(mapping[name]) for name in FACTORS]).sum()


def _distance_from_orthogonal(factor: Tensor) -> Tensor:
    """|U^T U - I|, with gradient zero where it is exactly zero: (n, n) -> ()."""
    gap = factor.T @ factor - torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
    square = gap.square().sum()
    apart = square > 0
    return torch.where(apart, torch.where(apart, square, 1).sqrt(), 0)
