"""Candidates that need no work in a step, with a bound on the posterior mass that is lost by it.

Evidence is a probability, at most 1. So once some candidates' prior times evidence is known, the posterior of all
others together is at most their prior / (that mass + their prior), before any of them is computed.
"""

from dataclasses import dataclass
from math import exp

import torch
from torch import Tensor

from lasem.configurations import ConfigurationSpace
from lasem.search._tree import indices

Members = tuple[int, ...]
"""Indices of candidates, ascending."""


def least_probable(log_probability: Tensor, mass: float) -> tuple[Members, Members, float]:
    """Part candidates by probability: the least probable ones, as many as have this mass together, are dropped.

    At least one candidate is kept.

    Args:
        log_probability: (K,).
        mass: From 0 to 1.

    Returns:
        Indices kept and indices dropped, both ascending, and the mass dropped.
    """
    probability, order = log_probability.exp().cpu().sort()
    total = probability.cumsum(0)
    number = min(int(torch.searchsorted(total, torch.tensor(mass, dtype=total.dtype), right=True)), len(order) - 1)
    dropped = float(total[number - 1]) if number else 0.0
    return tuple(sorted(order[number:].tolist())), tuple(sorted(order[:number].tolist())), dropped


def unseen_mass(prior: float, log_seen: float) -> float:
    """Most posterior mass of candidates that were not computed.

    Args:
        prior: Their prior.
        log_seen: Logarithm of the others' prior times evidence.
    """
    seen = exp(log_seen)
    return prior / (seen + prior) if prior > 0 else 0.0


@dataclass
class Effort:
    """Work of the steps since the last reset.

    Attributes:
        steps: E-steps.
        evaluated: Candidates whose evidence was computed, summed over steps.
        learned: Candidates that the M-step went back through, summed over steps.
        skipped: Most posterior mass, or the bound on it, that a step left out.
    """

    steps: int = 0
    evaluated: int = 0
    learned: int = 0
    skipped: float = 0.0

    def add(self, *, evaluated: int, learned: int, skipped: float) -> None:
        """Count one step."""
        self.steps += 1
        self.evaluated += evaluated
        self.learned += learned
        self.skipped = max(self.skipped, skipped)


class Selection:
    """Which candidates a step evaluates, and which it learns from.

    Half of epsilon may go to candidates that are not evaluated, the rest to those that are not learned from.

    Args:
        space: The candidates.
        epsilon: Posterior mass that a step may leave out.
        each_step: Whether it is decided anew in every step, which reads the posterior; or at the start of every epoch,
            from the largest posteriors of the one before: all are evaluated then, and the mass left out is what the
            steps turn out to have, so that `Effort.skipped` may exceed epsilon.

    Attributes:
        learned: Those that the current M-step learns from.
    """

    def __init__(self, space: ConfigurationSpace, *, epsilon: float, each_step: bool) -> None:
        self.each_step = each_step
        self.learned: Members = tuple(range(len(space)))
        self._all = self.learned
        self._epsilon = epsilon
        self._effort = Effort()
        self._left_out: Tensor | None = None
        self._largest: Tensor | None = None
        self._expected = len(space)
        self._log_seen = float("-inf")
        self._unseen = 0.0
        self._evaluated = len(space)

    def start_epoch(self) -> None:
        """Forget what the last epoch's steps told, but for what this epoch is to leave out."""
        if self._largest is not None:
            self.learned, _, _ = least_probable(self._largest.log(), self._epsilon)
        self._effort, self._left_out, self._largest = Effort(), None, None
        self._expected, self._log_seen = len(self._all), float("-inf")

    def first(self, log_prior: Tensor) -> Members:
        """Candidates to evaluate first: those that may have posterior mass if the last batch's evidence is typical."""
        if self._epsilon == 0 or not self.each_step:
            return self._all
        kept, _, _ = least_probable(log_prior, self._epsilon / 2 * min(1.0, exp(self._log_seen)))
        return kept if 2 * len(kept) <= len(self._all) else self._all

    def second(self, log_prior: Tensor, joint: Tensor, first: Members) -> Members:
        """Candidates to evaluate after all, because the bound on their posterior turns out to be too large.

        Args:
            log_prior: (K,).
            joint: (K,) log prior + log evidence, -inf where not evaluated.
            first: Those evaluated.
        """
        self._evaluated, self._unseen = len(first), 0.0
        if self._epsilon == 0 or not self.each_step:
            return ()
        self._log_seen = float(joint.logsumexp(0))
        rest = tuple(sorted(set(self._all) - set(first)))
        if rest:
            self._unseen = unseen_mass(float(log_prior[list(rest)].exp().sum()), self._log_seen)
        if self._unseen <= self._epsilon / 2:
            return ()
        self._evaluated, self._unseen = len(self._all), 0.0
        return rest

    def learns_most_of(self, members: Members) -> bool:
        """Whether so many of them are expected to be learned from that their features had better be computed once."""
        if not self.each_step:
            return len(self.learned) == len(self._all)
        return 2 * self._expected > len(members)

    def choose(self, log_posterior: Tensor, *, learned: Members | None) -> None:
        """Choose what the M-step learns from, and count the step.

        Args:
            log_posterior: (K,).
            learned: Candidates that it learns from in any case; None leaves the choice to epsilon.
        """
        skipped = self._unseen
        if not self.each_step:
            self._watch(log_posterior.exp())
        elif self._epsilon == 0:
            self.learned = self._all
        else:
            kept, _, mass = least_probable(log_posterior, self._epsilon - self._unseen)
            self._expected = len(kept)
            self.learned = kept if learned is None else learned
            skipped += mass if learned is None else 0.0
        self._effort.add(evaluated=self._evaluated, learned=len(self.learned), skipped=skipped)

    def _watch(self, q: Tensor) -> None:
        """Without reading the posterior, keep what the next epoch's choice needs."""
        if self._epsilon == 0:
            return
        self._largest = q if self._largest is None else torch.maximum(self._largest, q)
        left_out = 1 - q[indices(self.learned, q.device)].sum()
        self._left_out = left_out if self._left_out is None else torch.maximum(self._left_out, left_out)

    @property
    def effort(self) -> Effort:
        """Work of the current epoch's steps."""
        if self._left_out is not None:
            self._effort.skipped = max(0.0, float(self._left_out))
        return self._effort
