from itertools import product

import pytest
import torch
from torch import nn

from lasem.errors import SpecError
from lasem.nn import TensorFactorization

LAYERS = [nn.Conv2d(*sizes, device="meta") for sizes in ((2, 3, 3), (3, 2, 5), (2, 2, 11))]
FACTORS = ("height", "width", "inputs", "outputs")


def size_of(layer):
    return "x".join(map(str, layer.kernel_size))


layers = pytest.mark.parametrize("layer", LAYERS, ids=size_of)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def made(layer, **options):
    mechanism = TensorFactorization(**options)
    return mechanism, mechanism.new_shared(layer, source()).double(), mechanism.new_mapping(layer, source(1)).double()


def orthogonal(layer):
    """A mapping of signed permutations: orthogonal to the last bit."""
    _, _, mapping = made(layer)
    with torch.no_grad():
        for name in FACTORS:
            size = len(mapping[name])
            mapping[name].copy_(-torch.eye(size).roll(1, 0))
    return mapping


@layers
def test_a_kernel_is_the_core_times_a_factor_per_axis(layer):
    mechanism, shared, mapping = made(layer)
    weight, bias = mechanism.read(shared, mapping).values()
    core = shared["core"].permute(2, 3, 1, 0)  # the paper's [i, j, k, m]
    factors = [mapping[name] for name in FACTORS]
    expected = torch.einsum("ijkm,ia,jb,kc,me->abce", core, *factors)  # the paper's [a, b, c, e]
    torch.testing.assert_close(weight.permute(2, 3, 1, 0), expected, rtol=1e-12, atol=1e-12)
    assert bias is mapping["bias"]


def test_an_entry_of_a_kernel_is_the_sum_of_the_definition():
    mechanism, shared, mapping = made(LAYERS[0])
    weight = mechanism.read(shared, mapping)["weight"]
    core, (u1, u2, u3, u4) = shared["core"], (mapping[name] for name in FACTORS)
    a, b, c, e = 0, 2, 1, 2
    expected = sum(
        core[m, k, i, j] * u1[i, a] * u2[j, b] * u3[k, c] * u4[m, e]
        for i, j, k, m in product(range(3), range(3), range(2), range(3))
    )
    assert weight[e, c, a, b].item() == pytest.approx(expected.item(), rel=1e-12)


@layers
def test_with_identity_factors_the_kernel_is_the_core(layer):
    mechanism, shared, mapping = made(layer)
    with torch.no_grad():
        for name in FACTORS:
            mapping[name].copy_(torch.eye(len(mapping[name])))
    torch.testing.assert_close(mechanism.read(shared, mapping)["weight"], shared["core"].data)


@pytest.mark.parametrize("layer", LAYERS[:2], ids=size_of)
def test_gradients_of_kernel_and_penalty_are_right(layer):
    mechanism, shared, mapping = made(layer)
    names = list(mapping)

    def read(core, *values):
        given = dict(zip(names, values, strict=True))
        return *mechanism.read({"core": core}, given).values(), mechanism.penalty(given)

    values = [value.detach().requires_grad_() for value in (shared["core"], *mapping.values())]
    assert torch.autograd.gradcheck(read, values)


# The penalty


@pytest.mark.parametrize("weight", [0.0, 0.001, 0.1])
def test_the_penalty_sums_distances_from_orthogonality(weight):
    mechanism, _, mapping = made(LAYERS[1], penalty_weight=weight)
    gaps = [mapping[name].T @ mapping[name] - torch.eye(len(mapping[name])) for name in FACTORS]
    expected = weight * sum(torch.linalg.matrix_norm(gap) for gap in gaps)
    assert mechanism.penalty(mapping).item() == pytest.approx(expected.item(), rel=1e-12)


def test_the_penalty_of_doubled_orthogonal_factors_is_known():
    mapping = orthogonal(LAYERS[0])
    with torch.no_grad():
        for name in FACTORS:
            mapping[name].mul_(2)
    expected = sum(3 * size**0.5 for size in (3, 3, 2, 3))  # |4 I - I| = 3 sqrt(n)
    assert TensorFactorization(penalty_weight=1.0).penalty(mapping).item() == pytest.approx(expected)


@layers
def test_at_exact_orthogonality_the_penalty_and_its_gradient_are_zero(layer):
    mapping = orthogonal(layer)
    penalty = TensorFactorization().penalty(mapping)
    penalty.backward()
    assert penalty == 0
    assert all((mapping[name].grad == 0).all() for name in FACTORS)


def test_at_exact_orthogonality_second_derivatives_are_finite():
    mapping = orthogonal(LAYERS[0])
    factors = [mapping[name] for name in FACTORS]
    gradients = torch.autograd.grad(TensorFactorization().penalty(mapping), factors, create_graph=True)
    again = torch.autograd.grad(sum(gradient.sum() for gradient in gradients), factors, allow_unused=True)
    assert all(gradient is None or gradient.isfinite().all() for gradient in again)


def test_near_orthogonality_the_gradient_is_finite():
    mapping = orthogonal(LAYERS[0]).float()
    with torch.no_grad():
        for name in FACTORS:
            mapping[name].mul_(1 + 2e-7)
    TensorFactorization().penalty(mapping).backward()
    assert all(mapping[name].grad.isfinite().all() for name in FACTORS)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_an_impossible_weight_is_refused(weight):
    with pytest.raises(SpecError, match="penalty_weight"):
        TensorFactorization(penalty_weight=weight)


# Initial values


def within(value, bound):
    """Uniform in [-bound, bound]: inside, near the ends, variance bound^2 / 3."""
    assert value.abs().max() <= bound
    assert value.abs().max() > bound * (1 - 20 / value.numel())
    spread = 4 * bound**2 / 3 / value.numel() ** 0.5
    assert abs(value.square().mean() - bound**2 / 3) < spread


def test_initial_values_are_uniform_within_their_bounds():
    layer = nn.Conv2d(50, 70, 5, device="meta")
    mechanism = TensorFactorization()
    within(mechanism.new_shared(layer, source())["core"].detach(), (6 / (25 * (50 + 70))) ** 0.5)
    mapping = mechanism.new_mapping(layer, source())
    for name, number in zip(FACTORS, (5, 5, 50, 70), strict=True):
        assert mapping[name].shape == (number, number)
        within(mapping[name].detach(), (3 / number) ** 0.5)
    assert mapping["bias"].shape == (70,)
    within(mapping["bias"].detach(), (3 / 70) ** 0.5)
