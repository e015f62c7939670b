"""When a search may stop: once its outcome cannot change any more, or when an option asks for an early decision."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lasem.errors import require
from lasem.options import Probability, Share, count_of, options


@dataclass(frozen=True)
class Schedule:
    """How long a task will be trained.

    Attributes:
        batches: Minibatches per epoch.
        epochs: Epochs of the task; None if that is not known beforehand.
    """

    batches: int
    epochs: int | None = None

    def left(self, steps: int, *, restart: str) -> float:
        """Return the most E-steps that can still add to a prior.

        A prior that restarts at every epoch forgets all steps before the last epoch, so until then the number is
        infinite.

        Args:
            steps: E-steps of the task so far.
            restart: When the prior restarts, "task" or "epoch".
        """
        if self.epochs is None:
            return float("inf")
        left = self.epochs * self.batches - steps
        return float("inf") if restart == "epoch" and left >= self.batches else left

    def share(self, steps: int) -> float:
        """Return which share of the task this many E-steps are; 0 if its length is not known."""
        return 0.0 if self.epochs is None else steps / (self.epochs * self.batches)


@dataclass(frozen=True)
class EvidenceWindow:
    """The steps whose evidence counts, in epochs of the task's own batches.

    Attributes:
        schedule: How long the task will be trained.
        warm_up: Number of epochs before evidence counts, or their share of the task. Until then every candidate is
            trained by its prior.
        epochs: Number of epochs in which evidence counts; None until the task ends.
    """

    schedule: Schedule
    warm_up: float = 0
    epochs: int | None = None

    @property
    def begin(self) -> int:
        """Number of E-steps before evidence counts."""
        return count_of(self.warm_up, self.schedule.epochs or 0) * self.schedule.batches

    @property
    def end(self) -> float:
        """Number of E-steps after which evidence does not count any more; infinity where there is no end."""
        return float("inf") if self.epochs is None else self.begin + self.epochs * self.schedule.batches

    def counts(self, steps: int) -> bool:
        """Whether the evidence of the next step counts, after this many E-steps."""
        return self.begin <= steps < self.end

    def left(self, steps: int, *, restart: str) -> float:
        """Return the most E-steps that can still add to a prior; see `Schedule.left`."""
        left = self.schedule.left(steps, restart=restart)
        if restart == "task":
            left -= max(0, self.begin - steps)
        return min(left, max(0.0, self.end - max(steps, self.begin)))


@options
class CommitAt:
    """When to settle for the leading candidate before a task ends. Both conditions must hold if both are given.

    Attributes:
        prior: Prior probability that the leading candidate must have reached.
        share: Share of the task that must have passed.
    """

    prior: Probability | None = None
    share: Share | None = None

    def __post_init__(self) -> None:
        require(
            self.prior is not None or self.share is not None,
            "commit_at must give a prior, a share, or both",
            remedy="add one of them, or leave commit_at out",
            prior=self.prior,
            share=self.share,
        )


@dataclass(frozen=True)
class Decision:
    """What is known of a search's outcome before it ends.

    Attributes:
        certain: Number of E-steps after which no other candidate could win any more; None if that is not known.
        settled: Number of E-steps after which the search stopped; None while it continues.
        candidate: Index of the candidate for which it stopped.
    """

    certain: int | None = None
    settled: int | None = None
    candidate: int | None = None


class SearchProgress:
    """Number of E-steps so far, and when the decision became certain or was settled.

    Args:
        schedule: How long the task will be trained.
        window: Which E-steps inform the prior; all by default.
        restart: When the prior restarts, "task" or "epoch".

    Attributes:
        marks: (4,) number of E-steps, and the steps and candidate of the decision, -1 for None. It is a tensor in main
            memory, so that it is saved and restored with the rest of the search.
    """

    def __init__(self, schedule: Schedule, *, restart: str, window: EvidenceWindow | None = None) -> None:
        self._window, self._restart = window or EvidenceWindow(schedule), restart
        self.marks = torch.tensor([0, -1, -1, -1])

    @property
    def steps(self) -> int:
        """Number of E-steps so far."""
        return self.marks.tolist()[0]

    @property
    def decision(self) -> Decision:
        """What is known of the outcome."""
        certain, settled, candidate = (None if mark < 0 else mark for mark in self.marks[1:].tolist())
        return Decision(certain=certain, settled=settled, candidate=candidate)

    @property
    def warming_up(self) -> bool:
        """Whether the evidence of the next E-step comes before any that counts."""
        return self.steps < self._window.begin

    @property
    def counts(self) -> bool:
        """Whether the evidence of the next E-step informs the prior."""
        return self._window.counts(self.steps)

    def advance(self) -> None:
        """Count one more E-step of the task."""
        self.marks[0] += 1

    def note_margin(self, margin: Tensor) -> None:
        """Note that the outcome is certain, if the batches left cannot make up for the margin.

        Args:
            margin: Margin of the leading candidate, in batches; a batch adds at most 1 to a candidate, and takes
                nothing away.
        """
        left = self._window.left(self.steps, restart=self._restart)
        if self.marks[1] < 0 and left < float("inf") and float(margin) > left:
            self.marks[1] = self.steps

    def reached(self, commit_at: CommitAt, log_prior: Tensor) -> bool:
        """Whether the moment to commit has come; never before the first E-step that counts."""
        share = commit_at.share is None or self._window.schedule.share(self.steps) >= commit_at.share
        prior = commit_at.prior is None or float(log_prior.max().exp()) >= commit_at.prior
        return self.steps > self._window.begin and share and prior

    def settle(self, candidate: int) -> None:
        """Stop the search for a candidate; later calls do nothing."""
        if self.marks[3] < 0:
            self.marks[2], self.marks[3] = self.steps, candidate
