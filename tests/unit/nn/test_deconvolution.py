from itertools import product

import pytest
import torch
from torch import nn

from lasem.errors import SpecError
from lasem.nn import NETWORKS, DeconvolutionalFactorization

LAYERS = [nn.Conv2d(*sizes, device="meta") for sizes in ((2, 3, 3), (1, 4, 5), (2, 2, 11))]


def size_of(layer):
    return "x".join(map(str, layer.kernel_size))


layers = pytest.mark.parametrize("layer", LAYERS, ids=size_of)
RELEASE = {
    "cifar-4": ([16, 24, 32, 36], [24, 48, 64, 72]),
    "office-home-4": ([24, 64, 64, 64], [48, 128, 128, 128]),
    "stl-6": ([12, 24, 32, 48, 64, 96], [24, 48, 64, 96, 128, 192]),
    "stl-9": ([12, 24, 24, 32, 48, 48, 64, 96, 96], [24, 48, 48, 64, 96, 96, 128, 192, 192]),
}
"""Per network, c_kb and c_ts per layer."""


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def made(layer, **options):
    mechanism = DeconvolutionalFactorization(**options)
    return mechanism, mechanism.new_shared(layer, source()).double(), mechanism.new_mapping(layer, source(1)).double()


def sizes_of(name, mechanism):
    """Per layer of a network: its convolution, and (c_kb, c_ts)."""
    stages = NETWORKS[name].build((3, 32, 32), mechanism=mechanism).stages
    return [(stage.template.module, stage.layer.mechanism.sizes(stage.template.module)) for stage in stages]


def by_loops(shared, mapping):
    """The kernel in the paper's layout, (height, width, in, out): every entry of the base spreads over 3 x 3."""
    base = shared["base"].permute(1, 2, 0)  # K [h, h, c_kb]
    filters = mapping["deconvolution"].permute(2, 3, 1, 0)  # V [3, 3, c_ts, c_kb]
    height = len(base)
    size = 2 * height - 1
    spread = mapping["deconvolution_bias"].repeat(size + 2, size + 2, 1)
    for i, j, a, b in product(range(height), range(height), range(3), range(3)):
        spread[2 * i + a, 2 * j + b] += filters[a, b] @ base[i, j]
    inner = spread[1:-1, 1:-1]  # SAME: an edge of one is cut off
    return torch.einsum("xym,mio->xyio", inner, mapping["contraction"].permute(2, 1, 0))  # Z [c_ts, in, out]


@layers
def test_a_kernel_is_a_deconvolved_base_contracted_with_the_tasks_tensor(layer):
    mechanism, shared, mapping = made(layer)
    weight, bias = mechanism.read(shared, mapping).values()
    torch.testing.assert_close(weight.permute(2, 3, 1, 0), by_loops(shared, mapping), rtol=1e-12, atol=1e-12)
    assert bias is mapping["bias"]


@pytest.mark.parametrize(("kernel", "height"), [(1, 1), (3, 2), (5, 3), (11, 6)])
def test_the_base_of_h_rows_gives_a_kernel_of_2h_minus_1(kernel, height):
    mechanism, shared, mapping = made(nn.Conv2d(2, 3, kernel, device="meta"))
    assert shared["base"].shape[1:] == (height, height)
    assert mechanism.read(shared, mapping)["weight"].shape == (3, 2, kernel, kernel)


def test_there_is_no_activation_between_the_two():
    mechanism, shared, mapping = made(LAYERS[0])
    with torch.no_grad():
        mapping["deconvolution_bias"].zero_()
        weight = mechanism.read(shared, mapping)["weight"]
        shared["base"].neg_()
        negated = mechanism.read(shared, mapping)["weight"]
    torch.testing.assert_close(negated, -weight)


@pytest.mark.parametrize("layer", LAYERS[:2], ids=size_of)
def test_gradients_are_right(layer):
    mechanism, shared, mapping = made(layer)
    names = list(mapping)

    def read(base, *values):
        return tuple(mechanism.read({"base": base}, dict(zip(names, values, strict=True))).values())

    values = [value.detach().requires_grad_() for value in (shared["base"], *mapping.values())]
    assert torch.autograd.gradcheck(read, values)


# Channels


@pytest.mark.parametrize("name", RELEASE)
def test_channels_of_the_table_are_those_of_the_release(name):
    mechanism = DeconvolutionalFactorization(channels="table")
    sizes = [sizes for _, sizes in sizes_of(name, mechanism)]
    assert sizes == list(zip(*RELEASE[name], strict=True))


@pytest.mark.parametrize("name", [name for name, network in NETWORKS.items() if "dfcnn" not in network.excludes])
def test_channels_of_the_rule_are_a_third_and_two_thirds_to_the_nearest(name):
    mechanism = DeconvolutionalFactorization()
    for layer, sizes in sizes_of(name, mechanism):
        total = layer.in_channels + layer.out_channels
        assert sizes == (round(total / 3), round(2 * total / 3))


def test_rounding_a_third_has_no_ties():
    assert all(2 * total % 3 != 1.5 and (total / 3) % 1 != 0.5 for total in range(2, 2000))
    for total in range(2, 600):
        base, spread = DeconvolutionalFactorization().sizes(nn.Conv2d(1, total - 1, 3, device="meta"))
        assert (base, spread) == (round(total / 3), round(2 * total / 3))
        assert base >= 1


def test_a_network_without_a_table_takes_the_rule():
    assert DeconvolutionalFactorization(channels="table").for_layer(None) == DeconvolutionalFactorization()


def test_a_pair_of_channels_holds_for_every_layer():
    mechanism, shared, mapping = made(nn.Conv2d(2, 3, 3, device="meta"), channels=(4, 7))
    assert shared["base"].shape == (4, 2, 2)
    assert mapping["deconvolution"].shape == (4, 7, 3, 3)
    assert mapping["contraction"].shape == (3, 2, 7)
    assert mechanism.read(shared, mapping)["weight"].shape == (3, 2, 3, 3)


@pytest.mark.parametrize("channels", ["rules", (1, 0), (1, 2, 3)])
def test_impossible_channels_are_refused(channels):
    with pytest.raises(SpecError, match="channels"):
        DeconvolutionalFactorization(channels=channels)


# Initial values


def test_initial_values_are_uniform_within_their_bounds():
    base, spread, inputs, outputs, height = 40, 60, 20, 30, 6
    layer = nn.Conv2d(inputs, outputs, 2 * height - 1, device="meta")
    mechanism = DeconvolutionalFactorization(channels=(base, spread))
    values = {**mechanism.new_shared(layer, source()), **mechanism.new_mapping(layer, source(1))}
    bounds = {
        "base": 6 / (height**2 + height * base),
        "deconvolution": 6 / (9 * (spread + base)),
        "deconvolution_bias": 6 / (1 + spread),
        "contraction": 6 / (spread * (inputs + outputs)),
        "bias": 3 / outputs,
    }
    assert values.keys() == bounds.keys()
    for name, square in bounds.items():
        value, bound = values[name].detach(), square**0.5
        assert value.abs().max() <= bound
        assert value.abs().max() > bound * (1 - 20 / value.numel())
        assert abs(value.square().mean() - square / 3) < 4 * square / 3 / value.numel() ** 0.5
