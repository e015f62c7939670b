"""A head that is fitted to features before training begins."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

STEPS = 200
"""Most iterations of the optimizer; the problem is convex for a linear head, and takes fewer."""


def fit_head(head: nn.Module, features: Tensor, labels: Tensor, *, penalty: float) -> None:
    """Fit a head to features by logistic regression with a penalty on its weights, from where it is.

    Biases, and the scales and shifts of norms, are not penalized.

    Args:
        head: Maps (N, F) to (N, classes).
        features: (N, F).
        labels: (N,).
        penalty: Factor of half the sum of squared weights.
    """
    parameters = list(head.parameters())
    optimizer = torch.optim.LBFGS(parameters, max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        squares = torch.stack([weight.square().sum() for weight in parameters if weight.dim() > 1])
        loss = cross_entropy(head(features), labels) + penalty / 2 * squares.sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    optimizer.zero_grad(set_to_none=True)
