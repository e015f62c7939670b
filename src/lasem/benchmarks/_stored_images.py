"""StoredImages: a tensor of images whose pixels stay on disk until somebody asks for some of the images."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only


@final
class StoredImages(Tensor):
    """Images of a split that are read from disk whenever they are used: (N, C, H, W), float32.

    An index gives an ordinary tensor of the images that it selects. A slice is as lazy as the whole, and `split` reads
    one batch after another, so that a loop over batches holds one batch. Every other operation of torch works too, but
    reads all images first.

    Args:
        read: Function from row numbers, (n,), int64, to images, (n, C, H, W); equal calls give equal tensors.
        rows: Row numbers of the images, (N,), int64, on the CPU.
        shape: (C, H, W).
        device: Device of the tensors that `read` gives.
    """

    # The default would turn whatever an operation returns into an object of this class.
    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore[reportAssignmentType]

    @staticmethod
    def __new__(
        cls: "type[StoredImages]",
        read: Callable[[Tensor], Tensor],
        rows: Tensor,
        *,
        shape: Sequence[int],
        device: torch.device,
    ) -> "StoredImages":
        """Make a tensor that has a shape, a dtype and a device, but no memory."""
        del read
        return Tensor._make_wrapper_subclass(cls, (len(rows), *shape), dtype=torch.float32, device=device)  # pyright: ignore

    def __init__(
        self, read: Callable[[Tensor], Tensor], rows: Tensor, *, shape: Sequence[int], device: torch.device
    ) -> None:
        del shape, device
        self._read, self._rows = read, rows

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """Run an operation of torch on all images, read into memory."""
        args, kwargs = tree_map_only(StoredImages, StoredImages.in_memory, (args, kwargs or {}))
        return func(*args, **kwargs)

    def in_memory(self) -> Tensor:
        """Read all images into an ordinary tensor."""
        return self._read(self._rows)

    def select_rows(self, rows: Tensor) -> "StoredImages":
        """Return some of the images, (n,) of them, without reading any."""
        return StoredImages(self._read, self._rows[rows.cpu()], shape=self.shape[1:], device=self.device)

    def __getitem__(self, index: Any) -> Tensor:  # noqa: ANN401
        """Read the images of an index, or return a slice without reading any."""
        if isinstance(index, slice):
            return self.select_rows(torch.arange(len(self))[index])
        if isinstance(index, int):
            return self[torch.tensor([index])][0]
        if isinstance(index, Tensor) and index.ndim == 1:
            return self._read(self._rows[index.cpu()])
        return self.in_memory()[index]

    def split(self, split_size: int, dim: int = 0) -> "Batches":  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the images in batches of this size, each of which is read when it is asked for."""
        if dim != 0:
            raise ValueError(f"stored images must be split along their first axis (got dim={dim}); use dim=0")
        return Batches(self, split_size)

    def __deepcopy__(self, memo: object) -> "StoredImages":
        """Return the same images, because nothing can change them."""
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:  # noqa: ANN401
        """Pickle the pixels, because another process does not have the file."""
        return self.in_memory().__reduce_ex__(protocol)

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"StoredImages({len(self)} images of {' x '.join(map(str, self.shape[1:]))} for {self.device})"


class Batches(Sequence[Tensor]):
    """Batches of stored images in order, read one by one.

    Args:
        images: The images.
        size: Images per batch.
    """

    def __init__(self, images: StoredImages, size: int) -> None:
        self._images, self._rows = images, torch.arange(len(images)).split(size)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._images[self._rows[index]]

    def __iter__(self) -> Iterator[Tensor]:
        return (self._images[rows] for rows in self._rows)
