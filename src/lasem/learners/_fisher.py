"""Diagonal of the Fisher information: how sharply a task's likelihood falls around its weights."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.func import vjp, vmap

from lasem.benchmarks import Split

Outcomes = Literal["exact", "sampled", "empirical"]
"""Over which classes a Fisher information is averaged; see `fisher_diagonal`."""


LIMIT = 2**23
"""Largest number of gradient values computed at once, 32 MiB in single precision."""

MOST_IMAGES = 32
"""Largest number of images whose gradients are computed at once."""


@torch.no_grad()
def fisher_diagonal(
    log_likelihoods: Callable[[dict[str, Tensor], Tensor], Tensor],
    parameters: Mapping[str, Tensor],
    split: Split,
    *,
    outcomes: Outcomes,
    source: Generator,
    limit: int = LIMIT,
) -> dict[str, Tensor]:
    """Compute the diagonal of the Fisher information: F_j = mean_i sum_y w_iy (d log p(y | x_i) / d theta_j)^2.

    The gradients of several images and classes are computed at once, each on its own.

    Args:
        log_likelihoods: Maps theta by name and images (B, C, H, W) to (B, classes), each image on its own; a function
            that `torch.func.vmap` can map over images.
        parameters: theta by name.
        split: Images x_i and labels.
        outcomes: The weights w_iy: "exact" takes the network's own p(y | x_i), as the definition does; "sampled" is 1
            for one class drawn from it, an estimate at one gradient per image; "empirical" is 1 for the label.
        source: Draws classes, on the CPU.
        limit: Largest number of gradient values computed at once; one gradient is always computed.

    Returns:
        F by name, in the parameters' shapes.
    """
    theta = {name: value.detach() for name, value in parameters.items()}
    gradients_at_once = max(1, limit // sum(value.numel() for value in theta.values()))

    def squares(image: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Sum the weighted squared gradients of an image (C, H, W), given R rows of roots of weights (R, classes)."""
        gradient_of = vjp(lambda values: log_likelihoods(values, image.unsqueeze(0)).squeeze(0), theta)[1]
        (gradients,) = vmap(gradient_of, chunk_size=gradients_at_once)(weights)
        return {name: gradient.square().sum(0) for name, gradient in gradients.items()}

    roots = _roots(log_likelihoods, theta, split, outcomes=outcomes, source=source)
    total = {name: torch.zeros_like(value) for name, value in theta.items()}
    size = max(1, min(MOST_IMAGES, gradients_at_once // roots.shape[1]))
    for images, weights in zip(split.images.split(size), roots.split(size), strict=True):
        laid = images.contiguous(memory_format=torch.channels_last)  # inside vmap a layout cannot be changed
        for name, found in vmap(squares)(laid, weights).items():
            total[name] += found.sum(0) / len(split)
    return total


def _roots(
    log_likelihoods: Callable[[dict[str, Tensor], Tensor], Tensor],
    theta: dict[str, Tensor],
    split: Split,
    *,
    outcomes: Outcomes,
    source: Generator,
) -> Tensor:
    """The root of w_iy for the class of each gradient that an image needs, R of them: (N, R, classes)."""
    log_p = torch.cat([log_likelihoods(theta, images) for images in split.images.split(MOST_IMAGES)])
    if outcomes == "exact":
        return (log_p / 2).exp().diag_embed()
    drawn = split.labels
    if outcomes == "sampled":
        drawn = torch.multinomial(log_p.exp().cpu(), 1, generator=source).squeeze(1).to(log_p.device)
    return F.one_hot(drawn, log_p.shape[1]).to(log_p.dtype).unsqueeze(1)
