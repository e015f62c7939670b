"""How a search came to its decision: when the leading configuration last changed, and until when evidence counted."""

from dataclasses import dataclass, field

from lasem.records._events import DecisionRecord, EpochRecord

INFORMATIVE = 0.1
"""Spread of a batch's log-evidence, in nats, below which evidence says next to nothing: a ratio of 1.1."""

CLOSE = 1.1
"""Ratio of the probabilities of the two best candidates below which the choice between them means nothing."""


@dataclass
class SearchTrack:
    """What the epochs of a task say about its search; it is updated one epoch at a time.

    Attributes:
        epochs: Number of epochs so far.
        decided: Epoch of the task since which the leading configuration has not changed; None without a search.
        informed: Last epoch of the task whose evidence told candidates apart; 0 for none, None without evidence.
    """

    epochs: int = 0
    decided: int | None = None
    informed: int | None = None
    _leading: list[int] | None = field(default=None, repr=False)

    def add(self, event: EpochRecord) -> None:
        """Take in one epoch; those of candidates that take turns and of learners without a search say nothing."""
        self.epochs = event.task_epoch
        if event.prior is None or event.candidate is not None:
            return
        if self.decided is None or event.configuration != self._leading:
            self.decided, self._leading = event.task_epoch, event.configuration
        if event.spread is not None:
            self.informed = event.task_epoch if event.spread >= INFORMATIVE else self.informed or 0

    def sentence(self) -> str | None:
        """Say since when the decision stood and until when evidence informed it; None without a search."""
        if self.decided is None:
            return None
        text = f"unchanged since epoch {self.decided} of {self.epochs}"
        if self.informed is None or self.informed == self.epochs:
            return text
        when = f"until epoch {self.informed}" if self.informed else "in no epoch"
        return f"{text}; evidence told candidates apart {when}"


def close_call(decision: DecisionRecord) -> str | None:
    """Warn of a decision whose runner-up was as probable as the chosen candidate; None otherwise."""
    chosen, margin = decision.probability, decision.margin
    if chosen is None or margin is None or chosen >= CLOSE * (other := chosen - margin):
        return None
    return (
        f"task {decision.task} was decided with probability {chosen:.3g} against {other:.3g} for the runner-up, a"
        " margin that means nothing; another seed may decide otherwise"
    )
