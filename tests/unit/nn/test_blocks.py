import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from lasem.nn import generator
from lasem.nn._blocks import NormBlock


class Strides(TorchDispatchMode):
    """Notes the strides of 1x1 convolutions that are dispatched."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.convolution.default and args[1].shape[-1] == 1:
            self.found.append(args[3])
        return func(*args, **(kwargs or {}))


def test_a_projection_equals_a_strided_convolution_but_makes_none():
    """Torch 2.13 writes outside of memory in the backward pass of some 1x1 convolutions with a stride."""
    block = NormBlock(4, 6, 3, stride=2, residual=True, source=generator(0))
    images = torch.rand(3, 4, 7, 8, generator=generator(1)).to(memory_format=torch.channels_last).requires_grad_()
    projection, plain = block.projection, block.projection.plain(None)
    assert list(plain.state_dict())[:1] == ["0.weight"]  # as without the pooling
    with Strides() as strides:
        found = projection(images)
        same = plain(images)
    assert strides.found == [[1, 1]] * 2
    torch.testing.assert_close(same, found)
    expected = F.batch_norm(
        F.conv2d(images.contiguous(), projection.weight, stride=2), None, None, training=True, eps=1e-5
    )
    torch.testing.assert_close(found, expected)
    gradients = [
        torch.autograd.grad(y.square().mul(y).sum(), [images, projection.weight]) for y in (found, same, expected)
    ]
    torch.testing.assert_close(gradients[0], gradients[2], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(gradients[1], gradients[2], rtol=1e-3, atol=1e-3)
