"""What every mechanism promises; a mechanism takes part by being in the registry."""

import pytest
import torch

from lasem.nn import MECHANISMS, ConvShape, TransferConv2d

SHAPES = [ConvShape(3, 4, 3), ConvShape(1, 2, 1), ConvShape(2, 5, 5), ConvShape(4, 4, 11)]

pytestmark = pytest.mark.parametrize("name", MECHANISMS)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s.inputs}-{s.outputs}-{s.kernel}")


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def made(name, shape, seed=0):
    mechanism = MECHANISMS[name]()
    return mechanism, mechanism.new_shared(shape, source(seed)), mechanism.new_mapping(shape, source(seed + 1))


@shapes
def test_it_reads_a_kernel_and_a_bias_of_the_layers_shape(name, shape):
    mechanism, shared, mapping = made(name, shape)
    weight, bias = mechanism.read(shared, mapping)
    assert weight.shape == shape.weight == (shape.outputs, shape.inputs, shape.kernel, shape.kernel)
    assert bias.shape == (shape.outputs,)
    assert weight.isfinite().all()
    assert weight.std() > 0


@shapes
def test_gradients_flow_to_all_shared_and_mapping_parameters(name, shape):
    mechanism, shared, mapping = made(name, shape)
    weight, bias = mechanism.read(shared, mapping)
    probe = torch.randn(weight.shape, generator=source(9))
    ((weight * probe).sum() + bias.sum()).backward()
    for parameter in (*shared.parameters(), *mapping.parameters()):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_its_gradients_are_right(name):
    mechanism, shared, mapping = made(name, ConvShape(2, 3, 3))
    parts = [*shared.double().items(), *mapping.double().items()]
    split = len(shared)

    def read(*values):
        names = [key for key, _ in parts]
        pairs = list(zip(names, values, strict=True))
        return mechanism.read(dict(pairs[:split]), dict(pairs[split:]))

    assert torch.autograd.gradcheck(read, [value.detach().requires_grad_() for _, value in parts])


def test_initial_values_follow_from_the_generator(name):
    _, shared, mapping = made(name, SHAPES[0])
    torch.manual_seed(123)
    _, again, mapped = made(name, SHAPES[0])
    _, other, _ = made(name, SHAPES[0], seed=5)
    pairs = [*zip(shared.values(), again.values(), strict=True), *zip(mapping.values(), mapped.values(), strict=True)]
    assert all(torch.equal(one, two) for one, two in pairs)
    assert any(not torch.equal(shared[key], other[key]) for key in shared)


def test_its_penalty_is_a_scalar_with_a_finite_gradient_or_none(name):
    mechanism, _, mapping = made(name, SHAPES[0])
    penalty = mechanism.penalty(mapping)
    if penalty is None:
        pytest.skip("it has none")
    assert penalty.shape == ()
    assert penalty >= 0
    penalty.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in mapping.parameters())


def test_a_layer_reads_its_shared_branch_by_it(name):
    shape = SHAPES[0]
    layer = TransferConv2d(shape, pool=1, mechanism=MECHANISMS[name]())
    shared, mapping = layer.new_shared(source()), layer.new_mapping(source(1))
    weight, bias = layer.mechanism.read(shared, mapping)
    images = torch.rand(2, 3, 6, 6, generator=source(2))
    expected = torch.nn.functional.conv2d(images, weight, bias, padding=1).relu()
    torch.testing.assert_close(layer.shared_branch(shared, mapping)(images.unsqueeze(0))[0], expected)


def test_it_holds_no_parameters_of_its_own(name):
    assert not any(isinstance(value, torch.Tensor) for value in vars(MECHANISMS[name]()).values())
