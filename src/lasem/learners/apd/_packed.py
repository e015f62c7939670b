"""Sparse tensors as they are stored: the values that are not 0, and their positions."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PackedTensor:
    """A tensor in the smaller of two forms.

    Attributes:
        shape: Shape of the tensor.
        values: The values that are not 0, or all values.
        places: Positions of these values in the flattened tensor, 32-bit; None if all values are stored.
    """

    shape: tuple[int, ...]
    values: Tensor
    places: Tensor | None

    @classmethod
    def of(cls, tensor: Tensor) -> "PackedTensor":
        """Pack a tensor: sparsely if that takes fewer numbers, where a position counts as much as a value."""
        flat = tensor.detach().flatten()
        places = flat.nonzero().flatten()
        if 2 * len(places) < len(flat):
            return cls(tuple(tensor.shape), flat[places], places.to(torch.int32))
        return cls(tuple(tensor.shape), flat.clone(), None)

    @property
    def numbers(self) -> int:
        """How many numbers are stored: values and positions."""
        return self.values.numel() + (0 if self.places is None else self.places.numel())

    def unpacked(self) -> Tensor:
        """Return the tensor in its dense form."""
        if self.places is None:
            return self.values.clone().view(self.shape)
        flat = self.values.new_zeros(self.shape).flatten()
        return flat.index_copy_(0, self.places.long(), self.values).view(self.shape)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Return the stored tensors under names that begin with the given one."""
        return {f"{name}.values": self.values} | ({} if self.places is None else {f"{name}.places": self.places})

    @classmethod
    def read(cls, tensors: dict[str, Tensor], name: str, *, shape: tuple[int, ...]) -> "PackedTensor":
        """Take a tensor of this shape from what `tensors` returned."""
        return cls(shape, tensors[f"{name}.values"], tensors.get(f"{name}.places"))
