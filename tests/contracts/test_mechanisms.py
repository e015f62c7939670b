"""What every mechanism promises; a mechanism takes part by being in the registry."""

import pytest
import torch

from lasem.nn import MECHANISMS, Conv, Stage

SIZES = [(3, 4, 3), (1, 2, 1), (2, 5, 5), (4, 4, 11)]
"""Inputs, outputs and kernel of a convolution."""

pytestmark = pytest.mark.parametrize("name", MECHANISMS)
sizes = pytest.mark.parametrize("sizes", SIZES, ids=lambda s: "-".join(map(str, s)))


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def stage(name, sizes, seed=0):
    """A stage of one convolution, whose task 0 has a mapping."""
    inputs, outputs, kernel = sizes
    made = Stage(Conv(kernel, outputs).build(inputs, MECHANISMS[name]()), index=0, seed=seed)
    made.mapping["0"] = made.new_mapping(0)
    return made


def read(made):
    found = made.sharing.read(made.shared, made.mapping["0"])
    return found["weight"], found["bias"]


@sizes
def test_it_reads_a_kernel_and_a_bias_of_the_layers_shape(name, sizes):
    inputs, outputs, kernel = sizes
    weight, bias = read(stage(name, sizes))
    assert weight.shape == (outputs, inputs, kernel, kernel)
    assert bias.shape == (outputs,)
    assert weight.isfinite().all()
    assert weight.std() > 0


@sizes
def test_gradients_flow_to_all_shared_and_mapping_parameters(name, sizes):
    made = stage(name, sizes)
    weight, bias = read(made)
    probe = torch.randn(weight.shape, generator=source(9))
    ((weight * probe).sum() + bias.sum()).backward()
    for parameter in made.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_its_gradients_are_right(name):
    made = stage(name, (2, 3, 3)).double()
    parameters = dict(made.named_parameters())

    def kernel(*values):
        found = torch.func.functional_call(Reading(made), dict(zip(parameters, values, strict=True)), ())
        return tuple(found.values())

    assert torch.autograd.gradcheck(kernel, [value.detach().requires_grad_() for value in parameters.values()])


class Reading(torch.nn.Module):
    """What a stage reads for task 0, as a function of all its parameters."""

    def __init__(self, made):
        super().__init__()
        self.shared, self.mapping, self.sharing = made.shared, made.mapping, made.sharing

    def forward(self):
        return self.sharing.read(self.shared, self.mapping["0"])


def test_initial_values_follow_from_the_generator(name):
    made = stage(name, SIZES[0])
    torch.manual_seed(123)
    again, other = stage(name, SIZES[0]), stage(name, SIZES[0], seed=5)
    assert all(torch.equal(one, two) for one, two in zip(made.parameters(), again.parameters(), strict=True))
    assert any(not torch.equal(one, two) for one, two in zip(made.parameters(), other.parameters(), strict=True))


def test_its_penalty_is_a_scalar_with_a_finite_gradient_or_none(name):
    made = stage(name, SIZES[0])
    penalty = made.penalty(0)
    if penalty is None:
        pytest.skip("it has none")
    assert penalty.shape == ()
    assert penalty >= 0
    penalty.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in made.mapping.parameters())


def test_a_layer_reads_its_shared_branch_by_it(name):
    made = stage(name, SIZES[0])
    weight, bias = read(made)
    images = torch.rand(2, 3, 6, 6, generator=source(2))
    expected = torch.nn.functional.conv2d(images, weight, bias, padding=1).relu()
    torch.testing.assert_close(made.fork(0, trial=False).branch(1)(images.unsqueeze(0))[0], expected)


def test_it_holds_no_parameters_of_its_own(name):
    assert not any(isinstance(value, torch.Tensor) for value in vars(MECHANISMS[name]()).values())


def test_it_shares_layers_that_it_does_not_know_as_they_are(name):
    from lasem.nn import TransferModule

    made = Stage(TransferModule(lambda _: torch.nn.LayerNorm(4), MECHANISMS[name]()), index=0, seed=0)
    made.mapping["0"] = made.new_mapping(0)
    found = made.sharing.read(made.shared, made.mapping["0"])
    assert found.keys() == {"weight", "bias"}
    assert all(value is made.shared[key] for key, value in found.items())
    assert not list(made.mapping.parameters())
