import pytest
import torch
from torch import nn

from lasem.optimizers import OPTIMIZERS
from lasem.training import group_soft_threshold, soft_threshold, sparse_group_threshold, step_sizes

SOURCE = torch.Generator().manual_seed(0)


def test_soft_threshold_is_the_minimizer_of_its_problem():
    grid = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    for x, threshold in ((1.5, 0.4), (-0.7, 0.4), (0.3, 0.4), (-0.4, 0.4), (2.0, 0.0)):
        best = grid[((grid - x) ** 2 / 2 + threshold * grid.abs()).argmin()]
        found = soft_threshold(torch.tensor([x], dtype=torch.float64), threshold)
        assert float(found) == pytest.approx(float(best), abs=1e-3)


@pytest.mark.parametrize("l1", [0.0, 0.3])
@pytest.mark.parametrize("group", [0.0, 0.5, 1.2])
def test_sparse_group_threshold_meets_the_optimality_conditions(l1, group):
    """0 is in z - x + l1 d|z| + group d|z|_2, row by row; a row is 0 exactly where the shrunken row is short."""
    x = (
        torch.randn(6, 2, 3, 3, generator=SOURCE, dtype=torch.float64)
        * torch.tensor([0.1, 0.2, 0.4, 1, 2, 3])[:, None, None, None]
    )
    for row, z in zip(x, sparse_group_threshold(x, l1=l1, group=group), strict=True):
        shrunken = (row.abs() - l1).clamp_min(0)
        if not z.any():
            assert shrunken.norm() <= group or not shrunken.any()
            continue
        residual = row - z - group * z / z.norm()
        kept = z != 0
        torch.testing.assert_close(residual[kept], l1 * z[kept].sign())
        assert (residual[~kept].abs() <= l1 + 1e-12).all()


def test_a_group_without_any_weight_stays_without():
    assert not group_soft_threshold(torch.zeros(2, 3), 0.0).any()
    assert torch.equal(group_soft_threshold(torch.ones(2, 3), 0.0), torch.ones(2, 3))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_step_sizes_are_what_an_optimizer_multiplies_the_gradient_by(name):
    parameter = nn.Parameter(torch.randn(5, generator=SOURCE, dtype=torch.float64))
    optimizer = OPTIMIZERS[name]([nn.Parameter(torch.zeros(2)), parameter], 0.01)
    gradient = torch.tensor([1.0, -2.0, 0.5, 1e-3, 3.0], dtype=torch.float64)
    for _ in range(3):  # of equal gradients, Adam's mean of gradients is the gradient
        before = parameter.detach().clone()
        parameter.grad = gradient.clone()
        optimizer.step()
        moved = parameter.detach() - before
        torch.testing.assert_close(moved, -(step_sizes(optimizer, parameter) * gradient))
