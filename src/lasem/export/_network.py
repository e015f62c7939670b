"""PixelNetwork: the network of one task that takes pixels from 0 to 1, so that its preprocessing is inside."""

import torch
from torch import Tensor, nn

from lasem.benchmarks import Preprocessing
from lasem.runs import Learned


class PixelNetwork(nn.Module):
    """The network of a task together with what the run does to decoded images of its size.

    Attributes:
        network: The plain network, which gets values of the stream.

    Args:
        network: The same.
        preprocessing: Steps from pixels to values; None if the stream did not tell them, so that the network gets
            values.
    """

    order: Tensor | None
    channels: Tensor | None
    mean: Tensor | None
    deviation: Tensor | None

    def __init__(self, network: nn.Module, preprocessing: Preprocessing | None) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        order = None if preprocessing is None else preprocessing.pixel_order()
        channels = None if preprocessing is None else preprocessing.transform.channel_order
        scaling = None if preprocessing is None else preprocessing.scaling
        self.inverted = preprocessing is not None and preprocessing.transform.inverted
        self.low = 0.0 if scaling is None else scaling.low
        self.register_buffer("order", order)
        self.register_buffer("channels", None if channels is None else torch.tensor(channels))
        mean, deviation = (scaling.mean, scaling.deviation) if scaling else ((), ())
        self.register_buffer("mean", torch.tensor(mean)[:, None, None] if mean else None)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None] if mean else None)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits: pixels (B, C, H, W) from 0 to 1 -> (B, classes)."""
        if self.order is not None:
            images = images.flatten(2).index_select(2, self.order).unflatten(2, images.shape[2:])
        if self.channels is not None:
            images = images.index_select(1, self.channels)
        if self.inverted:
            images = 1 - images
        if self.low:
            images = images + self.low
        if self.mean is not None and self.deviation is not None:
            images = (images - self.mean) / self.deviation
        return self.network(images)


def pixel_network(run: Learned, task: int) -> PixelNetwork:
    """Return the network of a task of a run, on the CPU.

    Args:
        run: A finished run.
        task: Position of the task in the stream, from 0.
    """
    network = PixelNetwork(run.network(task), run.preprocessing(task) if run.tells_pixels else None).cpu()
    for tensor in (*network.parameters(), *network.buffers()):
        # Formats store whole, contiguous tensors; a parameter may be a view, or lie in another memory format.
        tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)
    return network
