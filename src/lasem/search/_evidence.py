"""Evidence of a batch under every candidate, and the posterior, as logarithms in double precision.

The product of a batch's likelihoods underflows as a plain number, and differences between candidates are small numbers
next to large ones.

Source: LASEM (Lee, Behpour & Eaton, ICML 2021), equations 1 and 2; the mean over instances is from its appendix D.
"""

from collections.abc import Callable, Mapping
from math import log
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor


def log_likelihoods(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the log-probability of every label: (K, B, classes), (B,) -> (K, B) in double precision."""
    log_probabilities = logits.double().log_softmax(-1)
    return log_probabilities.gather(-1, labels.expand(len(logits), -1).unsqueeze(-1)).squeeze(-1)


def log_product(log_likelihood: Tensor) -> Tensor:
    """Compute the log of the product of the instances' likelihoods (equation 2): (K, B) -> (K,)."""
    return log_likelihood.sum(1)


def log_mean(log_likelihood: Tensor) -> Tensor:
    """Compute the log of the mean of the instances' likelihoods: (K, B) -> (K,)."""
    return log_likelihood.logsumexp(1) - log(log_likelihood.shape[1])


EVIDENCE: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType({"product": log_product, "mean": log_mean})
"""Functions that compute the log-evidence from log-likelihoods, by the option ``search.evidence``."""


class EvidenceSpread:
    """Largest minus smallest log-evidence among the candidates of a batch, averaged over batches.

    Where it is near 0, a batch says nothing about which candidate is better. It is summed on the device.
    """

    def __init__(self) -> None:
        self._total: Tensor | None = None
        self._batches = 0

    def add(self, log_evidence: Tensor) -> None:
        """Take in the log-evidence of a batch, (K,); -inf for candidates that were not evaluated."""
        evaluated = log_evidence.isfinite()
        lowest = torch.where(evaluated, log_evidence, float("inf")).min()
        highest = torch.where(evaluated, log_evidence, float("-inf")).max()
        self._total = highest - lowest if self._total is None else self._total + highest - lowest
        self._batches += 1

    @property
    def mean(self) -> float | None:
        """Mean over the batches so far, in nats; None before the first."""
        return None if self._total is None else float(self._total) / self._batches


def log_posterior(log_prior: Tensor, log_evidence: Tensor) -> Tensor:
    """Compute log q(c), where q(c) is proportional to prior(c) times evidence(c): (K,), (K,) -> (K,).

    A candidate that was not evaluated has the log-evidence -inf.
    """
    return (log_prior + log_evidence).log_softmax(0)


def cross_entropies(logits: Tensor, labels: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Compute the mean cross-entropy of the batch under every candidate: (K, B, classes), (B,) -> (K,).

    Args:
        logits: Logits under every candidate.
        labels: Labels of the batch.
        smoothing: Share of a label that is spread evenly over all classes.
    """
    candidates, batch = logits.shape[:2]
    targets = labels.expand(candidates, batch).flatten()
    losses = F.cross_entropy(logits.flatten(0, 1), targets, reduction="none", label_smoothing=smoothing)
    return losses.unflatten(0, (candidates, batch)).mean(1)
