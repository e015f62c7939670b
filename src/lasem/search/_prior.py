"""Prior over the candidates while a task is learned.

A prior is uniform at the start of every task and then follows the posteriors.
"""

from abc import ABC, abstractmethod
from math import log
from typing import ClassVar, Literal

import torch
from torch import Tensor

from lasem.errors import SpecError


class AbstractPrior(ABC):
    """A prior pi over K candidates that learns from batches.

    Attributes:
        learns_from: What `update` takes of a batch: its "posterior" or its "evidence".
    """

    learns_from: ClassVar[Literal["posterior", "evidence"]] = "posterior"

    @property
    @abstractmethod
    def log_prior(self) -> Tensor:
        """Logarithm of pi, (K,), in double precision."""

    @abstractmethod
    def update(self, batch: Tensor, /) -> None:
        """Add the posterior of a batch, or its evidence if the prior `learns_from` that, given as (K,) logarithms."""

    @abstractmethod
    def replace(self, log_prior: Tensor) -> None:
        """Become another prior, given as (K,) normalized logarithms, which weighs as many batches as before."""

    @abstractmethod
    def margin(self) -> Tensor:
        """Return the margin of the leading candidate over the runner-up, in batches.

        A batch adds at most 1, so a margin above the number of batches left decides the search. A scalar; infinity for
        a single candidate.
        """

    @abstractmethod
    def restart(self) -> None:
        """Make the prior uniform again."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return the accumulators. They are live: writing into them restores the prior."""


class RunningMean(AbstractPrior):
    """Mean of all posteriors of this task so far; the uniform start does not count.

    Args:
        candidates: Number of candidates, K.
        device: Device of the accumulators.
    """

    def __init__(self, candidates: int, *, device: torch.device) -> None:
        self._log_total = torch.full((candidates,), -log(candidates), dtype=torch.float64, device=device)
        self._count = torch.zeros((), dtype=torch.float64, device=device)

    @property
    def log_prior(self) -> Tensor:
        """Logarithm of the normalized sum of posteriors, (K,)."""
        return self._log_total.log_softmax(0)

    def update(self, log_posterior: Tensor, /) -> None:
        """Add a posterior in log space; the first one replaces the uniform start."""
        # Added as logarithms: a candidate whose posterior underflows keeps a finite total, and can recover later.
        total = torch.logaddexp(self._log_total, log_posterior)
        self._log_total.copy_(torch.where(self._count > 0, total, log_posterior))
        self._count += 1

    def replace(self, log_prior: Tensor) -> None:
        """Become the mean of the posteriors so far; before the first one, what takes the place of the uniform start."""
        self._log_total.copy_(log_prior + self._count.clamp_min(1).log())

    def margin(self) -> Tensor:
        """Return the largest sum of posteriors minus the second largest."""
        return _margin(torch.where(self._count > 0, self._log_total.exp(), 0.0))

    def restart(self) -> None:
        """Forget all posteriors, so that the prior is uniform again."""
        self._log_total.fill_(-log(len(self._log_total)))
        self._count.zero_()

    def state(self) -> dict[str, Tensor]:
        """Return log_total (K,) and count ()."""
        return {"log_total": self._log_total, "count": self._count}


class Counts(AbstractPrior):
    """Laplace estimate from how often each candidate had the largest posterior: (n + s) / sum(n + s), s = 1.

    Args:
        ranks: (K,) preference where posteriors tie; the lowest wins.
        device: Device of the accumulators.
    """

    SMOOTHING = 1.0

    def __init__(self, ranks: Tensor, *, device: torch.device) -> None:
        self._ranks = ranks.to(device)
        self._counts = torch.zeros(len(ranks), dtype=torch.float64, device=device)

    @property
    def log_prior(self) -> Tensor:
        """Logarithm of the normalized counts, (K,)."""
        return (self._counts + self.SMOOTHING).log().log_softmax(0)

    def update(self, log_posterior: Tensor, /) -> None:
        """Count the candidate with the largest posterior of a batch."""
        winner = preferred(log_posterior, self._ranks).unsqueeze(0)
        self._counts.index_add_(0, winner, self._counts.new_ones(1))

    def replace(self, log_prior: Tensor) -> None:
        """Divide all batches so far and the smoothing among the candidates, whose counts may then be fractions."""
        total = (self._counts + self.SMOOTHING).sum()
        self._counts.copy_(log_prior.exp() * total - self.SMOOTHING)

    def margin(self) -> Tensor:
        """Return the largest count minus the second largest."""
        return _margin(self._counts)

    def restart(self) -> None:
        """Forget all counts, so that the prior is uniform again."""
        self._counts.zero_()

    def state(self) -> dict[str, Tensor]:
        """Return how often each candidate won, (K,)."""
        return {"counts": self._counts}


class EvidenceSum(AbstractPrior):
    """Posterior of one configuration for the whole task: log pi_c = tau sum_n log L_c(batch n), normalized.

    Args:
        candidates: Number of candidates, K.
        temper: The factor tau. With 1 / epochs, every image counts once, however often it is seen.
        device: Device of the accumulators.
    """

    learns_from = "evidence"

    def __init__(self, candidates: int, *, temper: float, device: torch.device) -> None:
        self._temper = temper
        self._log_weights = torch.zeros(candidates, dtype=torch.float64, device=device)

    @property
    def log_prior(self) -> Tensor:
        """Logarithm of the normalized weights, (K,)."""
        return self._log_weights.log_softmax(0)

    def update(self, log_evidence: Tensor, /) -> None:
        """Add the evidence of a batch, tempered."""
        self._log_weights += self._temper * log_evidence

    def replace(self, log_prior: Tensor) -> None:
        """Take the place of what all batches so far have added."""
        self._log_weights.copy_(log_prior)

    def margin(self) -> Tensor:
        """Return a margin that no batch is too small to make up for, because evidence has no largest value.

        It is positive where one candidate leads, so that the outcome is certain once no batch is left.
        """
        margin = _margin(self._log_weights)
        return margin if len(self._log_weights) == 1 else margin.clamp_max(torch.finfo(torch.float64).tiny)

    def restart(self) -> None:
        """Forget all evidence, so that the prior is uniform again."""
        self._log_weights.zero_()

    def state(self) -> dict[str, Tensor]:
        """Return the sum of tempered evidence, (K,)."""
        return {"log_weights": self._log_weights}


def _margin(totals: Tensor) -> Tensor:
    """Subtract the second largest entry from the largest, (K,) -> (); infinity for a single entry."""
    if len(totals) == 1:
        return totals.new_tensor(float("inf"))
    first, second = totals.topk(2).values
    return first - second


def preferred(log_probability: Tensor, ranks: Tensor) -> Tensor:
    """Return the index of the largest entry; among exact ties, the one of lowest rank: (K,), (K,) -> ()."""
    tied = log_probability == log_probability.max()
    return torch.where(tied, ranks, len(ranks)).argmin()


def require_double_precision(device: torch.device) -> None:
    """Check that a device can compute in double precision, which the accumulators of a search need.

    Raises:
        SpecError: It cannot, such as Apple's MPS.
    """
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except TypeError:
        raise SpecError(
            f"a search must compute probabilities in double precision (got the device '{device}', which has none);"
            " choose the device 'cpu' or 'cuda', or a fixed configuration"
        ) from None
