"""The naive twin of the EM step: every configuration as a network of its own, one after the other.

Forward passes of all of them for the E-step; then forward and backward passes of all of them for the M-step. It exists
to be timed against the tree, and to check it.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lasem.configurations import ConfigurationSpace
from lasem.nn import Backbone
from lasem.search import DropoutMasks


def naive_em_step(
    backbone: Backbone,
    images: Tensor,
    labels: Tensor,
    *,
    space: ConfigurationSpace,
    prior: Tensor,
    masks: Generator,
    keep: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Posterior of the batch, and gradients of the posterior-weighted loss in the parameters.

    Args:
        backbone: With task 0 open.
        images: (B, C, H, W).
        labels: (B,).
        space: K candidates.
        prior: (K,) logarithms.
        masks: Source of the dropout masks.
        keep: Probability by which dropout keeps a feature.

    Returns:
        The posterior (K,) and the loss.
    """
    likelihoods = []
    with torch.no_grad():
        for bits in space.layer_digits:
            logits = backbone.path_logits(images, 0, digits=bits)
            likelihoods.append(-F.cross_entropy(logits.double(), labels, reduction="sum"))
        q = (prior + torch.stack(likelihoods)).softmax(0)
    total = torch.zeros(())
    for weight, bits in zip(q, space.layer_digits, strict=True):
        branches = [fork.branch(bit) for fork, bit in zip(backbone.forks(0), bits, strict=True)]
        features = backbone.walk(images, lambda stage, hidden, branches=branches: branches[stage](hidden))
        features = DropoutMasks.draw(1, *features.shape[1:], keep=keep, source=masks).apply(features)
        loss = F.cross_entropy(backbone.heads["0"](features).squeeze(0), labels) * weight.float()
        loss.backward()
        total = total + loss.detach()
    return q, total
