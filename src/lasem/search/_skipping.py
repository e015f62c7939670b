"""Which candidates a step may skip, with a bound on the posterior mass that is lost by it.

Evidence is a probability, at most 1. Let S be the sum of prior times evidence of the candidates that were evaluated,
and P the prior of all others together. Then the posterior of these others is at most P / (S + P).
"""

from dataclasses import dataclass
from math import exp, inf, log

import torch
from torch import Tensor

from lasem.configurations import ConfigurationSpace
from lasem.search._tree import indices

Members = tuple[int, ...]
"""Indices of some candidates, in ascending order."""


def least_probable(log_probability: Tensor, log_mass: float) -> tuple[Members, Members, float]:
    """Drop the least probable candidates, as many as have at most a given mass together.

    Everything is computed with logarithms, because masses far below the smallest floating-point number must compare.

    Args:
        log_probability: (K,).
        log_mass: Logarithm of the mass that may be dropped; -inf drops only candidates of probability 0.

    Returns:
        Indices retained, at least one, and indices dropped, both ascending; and the logarithm of the mass dropped.
    """
    ordered, order = log_probability.detach().cpu().sort()
    total = ordered.logcumsumexp(0)
    number = min(int(torch.searchsorted(total, torch.tensor(log_mass, dtype=total.dtype), right=True)), len(order) - 1)
    dropped = float(total[number - 1]) if number else -inf
    return tuple(sorted(order[number:].tolist())), tuple(sorted(order[:number].tolist())), dropped


def unseen_mass(log_prior: float, log_seen: float) -> float:
    """Bound the posterior mass of candidates that were not evaluated: P / (S + P).

    It is computed as a sigmoid of the difference of logarithms, because S and P may be too small for a float.

    Args:
        log_prior: Logarithm of P, the sum of their priors; -inf for none.
        log_seen: Logarithm of S, the sum of prior times evidence of the evaluated candidates.
    """
    return 0.0 if log_prior == -inf else sigmoid(log_prior - log_seen)


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


@dataclass
class Effort:
    """Work of the steps of an epoch.

    Attributes:
        steps: Number of E-steps.
        evaluated: Number of candidates whose evidence was computed, summed over steps.
        learned: Number of candidates that the M-step trained, summed over steps.
        skipped: Largest posterior mass that a step left out, or the bound on it.
    """

    steps: int = 0
    evaluated: int = 0
    learned: int = 0
    skipped: float = 0.0

    def add(self, *, evaluated: int, learned: int, skipped: float) -> None:
        """Count one E-step and its M-steps."""
        self.steps += 1
        self.evaluated += evaluated
        self.learned += learned
        self.skipped = max(self.skipped, skipped)


class Selection:
    """Chooses which candidates a step evaluates, and which it trains.

    Half of epsilon may go to candidates that are not evaluated, the rest to those that are not trained.

    Args:
        space: The candidates.
        epsilon: Posterior mass that a step may leave out.
        each_step: Whether to choose anew in every step, which reads the posterior. Otherwise the choice is made at the
            start of every epoch, from the largest posteriors of the epoch before. All candidates are evaluated then,
            and the mass left out is only known afterwards, so that `Effort.skipped` may exceed epsilon.

    Attributes:
        learned: Indices of the candidates that the current M-step trains.
    """

    def __init__(self, space: ConfigurationSpace, *, epsilon: float, each_step: bool) -> None:
        self.each_step = each_step
        self.learned: Members = tuple(range(len(space)))
        self._all = self.learned
        self._epsilon = epsilon
        self._log_epsilon = log(epsilon) if epsilon else -inf
        self._effort = Effort()
        self._left_out: Tensor | None = None
        self._largest: Tensor | None = None
        self._expected = len(space)
        self._log_seen = -inf
        self._unseen = 0.0
        self._evaluated = len(space)

    def start_epoch(self) -> None:
        """Reset what was learned of the last epoch, after choosing what this epoch leaves out."""
        if self._largest is not None:
            self.learned, _, _ = least_probable(self._largest.log(), self._log_epsilon)
        self._effort, self._left_out, self._largest = Effort(), None, None
        self._expected, self._log_seen = len(self._all), -inf

    def first(self, log_prior: Tensor) -> Members:
        """Return the candidates to evaluate first: those that would have mass with the evidence of the last batch."""
        if self._epsilon == 0 or not self.each_step:
            return self._all
        likely, _, _ = least_probable(log_prior, self._log_epsilon - log(2) + min(0.0, self._log_seen))
        return likely if 2 * len(likely) <= len(self._all) else self._all

    def second(self, log_prior: Tensor, log_evidence: Tensor, first: Members) -> Members:
        """Return the candidates to evaluate after all, because the bound on their posterior is too large.

        Args:
            log_prior: (K,).
            log_evidence: (K,), -inf for candidates that were not evaluated.
            first: Indices of the candidates that were.
        """
        self._evaluated, self._unseen = len(first), 0.0
        if self._epsilon == 0 or not self.each_step:
            return ()
        self._log_seen = float((log_prior + log_evidence).logsumexp(0))
        rest = tuple(sorted(set(self._all) - set(first)))
        if rest:
            self._unseen = unseen_mass(float(log_prior[list(rest)].logsumexp(0)), self._log_seen)
        if self._unseen <= self._epsilon / 2:
            return ()
        self._evaluated, self._unseen = len(self._all), 0.0
        return rest

    def should_share_forward_pass(self, members: Members) -> bool:
        """Whether the M-step is expected to train most of `members`.

        Then one forward pass with a graph is cheaper than one without for the E-step and another for the M-step.
        """
        if not self.each_step:
            return len(self.learned) == len(self._all)
        return 2 * self._expected > len(members)

    def choose(self, log_posterior: Tensor, *, learned: Members | None) -> None:
        """Choose which candidates the M-step trains, and count the step.

        Args:
            log_posterior: (K,).
            learned: Candidates that it trains in any case; None leaves the choice to epsilon.
        """
        skipped = self._unseen
        if not self.each_step:
            self._watch(log_posterior.exp())
        elif self._epsilon == 0:
            self.learned = self._all
        else:
            left = self._epsilon - self._unseen
            likely, _, log_dropped = least_probable(log_posterior, log(left) if left > 0 else -inf)
            self._expected = len(likely)
            self.learned = likely if learned is None else learned
            skipped += exp(log_dropped) if learned is None else 0.0
        self._effort.add(evaluated=self._evaluated, learned=len(self.learned), skipped=skipped)

    def _watch(self, q: Tensor) -> None:
        """Note what the next epoch's choice needs, without reading the posterior."""
        if self._epsilon == 0:
            return
        self._largest = q if self._largest is None else torch.maximum(self._largest, q)
        left_out = 1 - q[indices(self.learned, q.device)].sum()
        self._left_out = left_out if self._left_out is None else torch.maximum(self._left_out, left_out)

    @property
    def effort(self) -> Effort:
        """Work of the current epoch's steps so far."""
        if self._left_out is not None:
            self._effort.skipped = max(0.0, float(self._left_out))
        return self._effort
