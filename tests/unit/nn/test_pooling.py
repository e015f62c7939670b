import math

import pytest
import torch
from torch import nn

from lasem.nn import NETWORKS, PooledConv2d, SameMaxPool2d, same_max_pool

SIZES = [*range(1, 14), 20, 27, 32, 43, 49, 50]


def along(values, window):
    """TensorFlow's SAME padding as its documentation defines it, by a plain loop over one axis."""
    size = len(values)
    outputs = math.ceil(size / window)
    missing = max((outputs - 1) * window + window - size, 0)
    padded = [-math.inf] * (missing // 2) + list(values) + [-math.inf] * (missing - missing // 2)
    return [max(padded[i * window : (i + 1) * window]) for i in range(outputs)]


def by_loop(image, window):
    """(H, W) nested lists: rows first, then columns."""
    rows = [along(row, window) for row in image]
    columns = [along(column, window) for column in zip(*rows, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


@pytest.mark.parametrize("window", [2, 3, 4])
@pytest.mark.parametrize("height", SIZES)
def test_pooling_equals_a_loop_over_windows(height, window):
    width = (7 * height) % 50 + 1
    images = torch.randn(2, 2, height, width, generator=torch.Generator().manual_seed(height)) - 3
    expected = [[by_loop(channel.tolist(), window) for channel in image] for image in images]
    assert torch.equal(same_max_pool(images, window), torch.tensor(expected))


@pytest.mark.parametrize("window", [2, 3, 4])
def test_every_size_up_to_fifty_agrees_along_one_axis(window):
    for size in range(1, 51):
        row = torch.randn(size, generator=torch.Generator().manual_seed(size)) - 5
        expected = torch.tensor(along(row.tolist(), window))
        assert torch.equal(same_max_pool(row.expand(1, 1, window, size), window)[0, 0, 0], expected)


def test_43_by_3_gives_15_with_one_column_of_padding_on_each_side():
    pooled = same_max_pool(torch.arange(43.0).expand(1, 1, 43, 43), 3)
    assert pooled.shape == (1, 1, 15, 15)
    assert pooled[0, 0, 0].tolist() == [1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 37, 40, 42]


def test_padding_never_wins_over_negative_values():
    images = torch.full((1, 1, 5, 7), -1e30)
    assert torch.equal(same_max_pool(images, 3), torch.full((1, 1, 2, 3), -1e30))


@pytest.mark.parametrize("size", [5, 6, 7, 8])
def test_each_output_sends_its_gradient_to_one_pixel(size):
    images = torch.randn(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: same_max_pool(x, 3), images)
    same_max_pool(images, 3).sum().backward()
    assert images.grad.sum() == math.ceil(size / 3) ** 2


@pytest.mark.parametrize("pool", [2, 3])
@pytest.mark.parametrize("size", [6, 7, 8])
def test_pool_then_relu_equals_relu_then_pool(size, pool):
    source = torch.Generator().manual_seed(0)
    layer = PooledConv2d(2, 5, 3, pool=pool, source=source).requires_grad_(False)
    layer.bias.copy_(torch.randn(5, generator=source))
    images = torch.randn(4, 2, size, size, generator=source)
    convolved = nn.functional.conv2d(images, layer.weight, layer.bias, padding=1)
    expected = same_max_pool(convolved.relu(), pool)
    assert torch.equal(layer(images), expected)
    assert (expected == 0).any()


def test_torch_jit_can_script_a_network_with_pools():
    pool = torch.jit.script(SameMaxPool2d(3))
    for size in (5, 6, 7, 43):  # all three ways of padding
        images = torch.rand(2, 3, size, 7, generator=torch.Generator().manual_seed(size))
        assert torch.equal(pool(images), same_max_pool(images, 3))
    backbone = NETWORKS["digits-3"].build((1, 8, 8))
    backbone.begin_task(0, classes=2, uses=[(True, False)] * 3)
    backbone.commit((0, 0, 0))
    network, images = backbone.network(0), torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(torch.jit.script(network)(images), network(images))
