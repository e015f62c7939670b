"""How sharply a task's likelihood falls around its weights, and the quadratic that holds later tasks to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.func import vjp, vmap

from lasem.benchmarks import Split

Outcomes = Literal["exact", "sampled", "empirical"]
"""Over which classes a Fisher information is averaged; see `fisher_diagonal`."""


ROOM = 2**23
"""Numbers that gradients taken at once may hold, 32 MiB of single precision."""

MOST_IMAGES = 32
"""Images at once, at most."""


@torch.no_grad()
def fisher_diagonal(
    log_likelihoods: Callable[[dict[str, Tensor], Tensor], Tensor],
    parameters: Mapping[str, Tensor],
    split: Split,
    *,
    outcomes: Outcomes,
    source: Generator,
    room: int = ROOM,
) -> dict[str, Tensor]:
    """Diagonal of the Fisher information: F_j = mean_i sum_y w_iy (d log p(y | x_i) / d theta_j)^2.

    The gradients of several images and classes are taken at once, each by itself.

    Args:
        log_likelihoods: From theta by name and images (B, C, H, W) to (B, classes), each image by itself; a function
            that `torch.func.vmap` can map over images.
        parameters: theta by name.
        split: Images x_i and labels.
        outcomes: The weights w_iy: "exact" takes the network's own p(y | x_i), as the definition does; "sampled" is 1
            for one class drawn from it, an estimate at one gradient per image; "empirical" is 1 for the label.
        source: Draws classes, on the CPU.
        room: Numbers that gradients taken at once may hold; one gradient is always taken.

    Returns:
        By name, in the parameter's shape.
    """
    theta = {name: value.detach() for name, value in parameters.items()}
    gradients_at_once = max(1, room // sum(value.numel() for value in theta.values()))

    def squares(image: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Of an image (C, H, W), with rows (R, classes) of roots of weights: the sum of weighted squared gradients."""
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


@dataclass
class Quadratic:
    """constant + sum_j precision_j (theta_j - center_j)^2, over parameters by name.

    A sum of such quadratics is one again, so any number of tasks takes the room of one.

    Attributes:
        precision: At least 0.
        center: Of the same shapes.
        constant: The value at the center.
    """

    precision: dict[str, Tensor] = field(default_factory=dict)
    center: dict[str, Tensor] = field(default_factory=dict)
    constant: float = 0.0

    def __call__(self, values: Mapping[str, Tensor]) -> Tensor:
        """The value at theta, a scalar."""
        terms = [
            (precision * (values[name] - self.center[name]).square()).sum()
            for name, precision in self.precision.items()
        ]
        return torch.stack(terms).sum() + self.constant

    @torch.no_grad()
    def plus(self, precision: Mapping[str, Tensor], center: Mapping[str, Tensor]) -> "Quadratic":
        """The sum with another one whose constant is 0, by completing the square."""
        if not self.precision:
            return Quadratic(dict(precision), {name: value.clone() for name, value in center.items()})
        added = Quadratic(constant=self.constant)
        for name, more in precision.items():
            before = self.precision[name]
            total, shift = before + more, center[name] - self.center[name]
            share = torch.where(total > 0, more / total, 1.0)
            added.precision[name] = total
            added.center[name] = self.center[name] + share * shift
            added.constant += float((before * share * shift.square()).sum())
        return added

    @torch.no_grad()
    def faded(self, decay: float, precision: Mapping[str, Tensor], center: Mapping[str, Tensor]) -> "Quadratic":
        """Precision times a decay plus a new one, around the new center alone (Schwarz et al. 2018)."""
        known = self.precision
        added = {name: decay * known[name] + more if known else more for name, more in precision.items()}
        return Quadratic(added, {name: value.clone() for name, value in center.items()})
