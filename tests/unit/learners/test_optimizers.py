import math

import pytest
import torch
from torch import nn

from lasem.optimizers import OPTIMIZERS, TFRMSprop


def by_hand(start, gradients, *, lr, rho=0.9, epsilon=1e-10):
    """s <- rho s + (1 - rho) g^2, theta <- theta - lr g / sqrt(s + epsilon), s = 1 at first; in plain floats."""
    theta, square = start, 1.0
    for gradient in gradients:
        square = rho * square + (1 - rho) * gradient**2
        theta -= lr * gradient / math.sqrt(square + epsilon)
    return theta


def steps(optimizer, parameter, gradients):
    for gradient in gradients:
        parameter.grad = torch.as_tensor(gradient, dtype=parameter.dtype).expand(parameter.shape).clone()
        optimizer.step()


@pytest.mark.parametrize("gradients", [[2.0], [0.5, -1.5, 3.0, 0.0, 1e-6] * 4, [1e4, 1e-4] * 5, [0.0] * 3])
def test_rmsprop_of_tensorflow_equals_its_formula(gradients):
    parameter = nn.Parameter(torch.tensor([0.3], dtype=torch.float64))
    steps(TFRMSprop([parameter], lr=0.01), parameter, gradients)
    assert math.isclose(parameter.item(), by_hand(0.3, gradients, lr=0.01), rel_tol=1e-12)


@pytest.mark.parametrize("gradient", [1e-3, 1.0, 10.0])
def test_the_first_step_has_the_closed_form_of_squares_that_start_at_one(gradient):
    parameter = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    steps(TFRMSprop([parameter], lr=1.0), parameter, [gradient])
    assert math.isclose(parameter.item(), -gradient / math.sqrt(0.9 + 0.1 * gradient**2 + 1e-10), rel_tol=1e-12)


def test_epsilon_is_inside_the_root():
    parameter = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    steps(TFRMSprop([parameter], lr=1.0, rho=0.0, epsilon=4.0), parameter, [0.0, 1.0])
    assert math.isclose(parameter.item(), -1 / math.sqrt(5))


def test_parameters_of_any_shape_layout_and_number_step_alike():
    source = torch.Generator().manual_seed(0)
    shapes = [(3, 2, 3, 3), (5,), ()]
    parameters = [nn.Parameter(torch.randn(shape, generator=source, dtype=torch.float64)) for shape in shapes]
    parameters[0] = nn.Parameter(parameters[0].detach().contiguous(memory_format=torch.channels_last))
    starts = [p.detach().clone() for p in parameters]
    optimizer = TFRMSprop(parameters, lr=0.1)
    gradients = [[torch.randn(p.shape, generator=source, dtype=torch.float64) for p in parameters] for _ in range(3)]
    for row in gradients:
        for parameter, gradient in zip(parameters, row, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    for i, (parameter, start) in enumerate(zip(parameters, starts, strict=True)):
        columns = zip(*(row[i].flatten().tolist() for row in gradients), strict=True)
        pairs = zip(start.flatten().tolist(), columns, strict=True)
        expected = [by_hand(value, column, lr=0.1) for value, column in pairs]
        torch.testing.assert_close(parameter.detach().flatten(), torch.tensor(expected, dtype=torch.float64))


def test_a_parameter_without_a_gradient_stays_and_so_do_its_squares():
    used, unused = (nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2))
    optimizer = TFRMSprop([used, unused], lr=0.1)
    steps(optimizer, used, [1.0, 1.0])
    assert torch.equal(unused.detach(), torch.ones(2, dtype=torch.float64))
    steps(optimizer, unused, [1.0])
    assert math.isclose(unused[0].item(), by_hand(1.0, [1.0], lr=0.1), rel_tol=1e-12)


def test_torchs_rmsprop_makes_a_much_larger_first_step():
    moved = {}
    for name in ("rmsprop-tf", "rmsprop"):
        parameter = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        steps(OPTIMIZERS[name]([parameter], 0.1), parameter, [0.01])
        moved[name] = abs(parameter.item())
    assert math.isclose(moved["rmsprop"], 0.1 * 0.01 / (math.sqrt(0.1 * 0.01**2) + 1e-8), rel_tol=1e-9)
    assert moved["rmsprop"] > 100 * moved["rmsprop-tf"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_downhill(name):
    parameter = nn.Parameter(torch.tensor([2.0, -3.0]))
    optimizer = OPTIMIZERS[name]([parameter], 0.05)
    for _ in range(400):
        optimizer.zero_grad()
        (parameter**2).sum().backward()
        optimizer.step()
    assert parameter.abs().max() < 0.2
