"""What a learner reports to its runner: the state of its search, its growth, its numbers of parameters."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lasem.configurations import FROZEN, SHARED
from lasem.search import AbstractSearch, Decision, Effort


@dataclass(frozen=True)
class SearchStatus:
    """How far the search of the open task has come.

    Attributes:
        names: (K,) candidates as strings of digits, one per group.
        prior: (K,) probabilities of the candidates.
        marginals: (G,) probability of each group that it is shared.
        branch_marginals: (G, 3) probability of each group's branches, by digit; None with two branches.
        effort: Work of the current epoch's steps; None if every step takes the same.
        decision: What is known of the outcome before the task ends; None if that is never known.
        spread: Mean over the current epoch of the largest minus the smallest log-evidence of a batch, in nats; None if
            the search computed no evidence in it.
        drawn: Whether the candidates change while the task trains; they are those of the current list then.
    """

    names: list[str]
    prior: NDArray[np.float64]
    marginals: NDArray[np.float64]
    branch_marginals: NDArray[np.float64] | None = None
    effort: Effort | None = None
    decision: Decision | None = None
    spread: float | None = None
    drawn: bool = False

    @classmethod
    def of(cls, search: AbstractSearch) -> "SearchStatus | None":
        """Read how far a search has come from the device; None if nothing is searched."""
        log_prior = search.log_prior()
        if log_prior is None:
            return None
        prior = np.exp(log_prior.cpu().numpy())
        known, space = search.marginals(), search.space
        if known is None:
            candidates = np.array(space.candidates)
            taken = [(candidates == digit).astype(np.float64) for digit in range(space.branches)]
            by_digit = np.stack([prior @ digit for digit in taken], 1)
        else:
            by_digit = known.cpu().numpy()
        return cls(
            space.names(),
            prior,
            by_digit[:, SHARED],
            by_digit if space.branches > FROZEN else None,
            effort=search.effort,
            decision=search.decision,
            spread=search.spread,
            drawn=search.redraws,
        )

    @property
    def entropy(self) -> float:
        """Entropy of the prior, in nats."""
        positive = self.prior[self.prior > 0]
        return float(-(positive * np.log(positive)).sum())

    @property
    def margin(self) -> float:
        """Largest probability of the prior minus the second largest; 1 for a single candidate."""
        ordered = np.sort(self.prior)
        return float(ordered[-1] - ordered[-2]) if len(ordered) > 1 else 1.0


@dataclass(frozen=True)
class Growth:
    """How far a network has grown.

    Attributes:
        phase: Training phase of the open task; None if no task is open, or if the learner has no phases.
        units: Number of units in every hidden layer, of all tasks together.
        selected: Units that the last task retrained, per hidden layer; None where none were selected, as below.
        expanded: Units that stayed of those that were added for the last task, per hidden layer.
        split: Units that were split because they had drifted in the last task, per hidden layer.
    """

    phase: str | None
    units: list[int]
    selected: list[int] | None = None
    expanded: list[int] | None = None
    split: list[int] | None = None


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters that a learner stores.

    Attributes:
        shared: Parameters of shared knowledge.
        per_task: Parameters that one task has to itself (own branches, mappings, head), by position in the stream.
        search: Most parameters trained at once for one task.
        rollback: Most values stored while a task was learned to undo what it does not share, and the parameters of the
            best candidate where candidates train in turn.
        beside: Values stored from task to task that are no parameters, such as EWC's information on earlier tasks.
    """

    shared: int
    per_task: list[int]
    search: int
    rollback: int
    beside: int = 0

    @property
    def held(self) -> int:
        """Number of all values that are stored from task to task."""
        return self.shared + sum(self.per_task) + self.beside
