"""Tensor factorization: one core for all tasks, and square factors per task (Bulat et al. 2020)."""

import torch
from torch import Generator, Tensor, nn

from lasem.nn._initializers import kernel_shape, uniform
from lasem.nn._mechanisms import AbstractMechanism, Tensors
from lasem.options import NonNegative, options

FACTORS = ("outputs", "inputs", "height", "width")
"""A task's factors, by the axis of the core that each multiplies."""


@options
class TensorFactorization(AbstractMechanism):
    """TF: the kernel is a shared core times the task's factors, one per axis.

    W[e, c, a, b] = sum over m, k, i, j of core[m, k, i, j] outputs[m, e] inputs[k, c] height[i, a] width[j, b]

    The paper's K is the core with its axes in the order i, j, k, m, and U1 to U4 are `height`, `width`, `inputs` and
    `outputs`; each is contracted over its first axis.

    Attributes:
        penalty_weight: Weight of the penalty that keeps factors orthogonal; the paper chooses of 0.001, 0.005, 0.01,
            0.05 and 0.1.
    """

    penalty_weight: NonNegative = 0.1

    def new_shared(self, layer: nn.Module, source: Generator) -> nn.ParameterDict:
        """Make the core (C', C, k, k), uniform within sqrt(6 / (k k (C + C')))."""
        outputs, inputs, height, width = shape = kernel_shape(layer)
        bound = (6 / (height * width * (inputs + outputs))) ** 0.5
        return nn.ParameterDict({"core": uniform(shape, bound=bound, source=source)})

    def new_mapping(self, layer: nn.Module, source: Generator) -> nn.ParameterDict:
        """Make a factor (n, n) per axis of n entries, and the bias (C',) if any, uniform within sqrt(3 / n)."""
        sizes = dict(zip(FACTORS, kernel_shape(layer), strict=True))
        mapping = {name: uniform((size, size), bound=(3 / size) ** 0.5, source=source) for name, size in sizes.items()}
        if "bias" in self.generated(layer):
            outputs = sizes["outputs"]
            mapping["bias"] = uniform((outputs,), bound=(3 / outputs) ** 0.5, source=source)
        return nn.ParameterDict(mapping)

    def read(self, shared: Tensors, mapping: Tensors) -> dict[str, Tensor]:
        """Multiply the core by all factors."""
        outputs, inputs, height, width = (mapping[name] for name in FACTORS)
        # Positions come first, because they are few: one (k k, k k) matrix applies both of their factors at once.
        positions = torch.kron(height, width)
        spread = shared["core"].flatten(2) @ positions  # (m, k, a b)
        spread = torch.einsum("mkp,kc->mcp", spread, inputs)
        weight = torch.einsum("mcp,me->ecp", spread, outputs).unflatten(2, (len(height), len(width)))
        return {"weight": weight, "bias": mapping["bias"]} if "bias" in mapping else {"weight": weight}

    def penalty(self, mapping: Tensors) -> Tensor:
        """Return the penalty's weight times the sum of |U^T U - I| (Frobenius norm, not squared) over the factors."""
        return self.penalty_weight * torch.stack([_distance_from_orthogonal(mapping[name]) for name in FACTORS]).sum()


def _distance_from_orthogonal(factor: Tensor) -> Tensor:
    """Return |U^T U - I| of a factor U: (n, n) -> ()."""
    # The square root has an infinite slope at 0, which would turn gradients into NaN for an orthogonal factor.
    gap = factor.T @ factor - torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
    square = gap.square().sum()
    apart = square > 0
    return torch.where(apart, torch.where(apart, square, 1).sqrt(), 0)
