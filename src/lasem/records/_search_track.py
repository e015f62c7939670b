"""How a search came to its decision: when the leading configuration last changed, and until when evidence counted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lasem.options import count_of
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


def power_once(
    search: Mapping[str, Any], *, epochs: int, batch_size: int, images: Mapping[str, int], settled: int | None = None
) -> float:
    """Return the power of the prior "sum" in which every image counts once that evidence was computed on.

    A mean over a batch counts as one image, and an image is seen in several epochs. The prior by which candidates are
    trained is therefore flatter or steeper than what the images say, in the same order. It is 1 for other priors.

    Args:
        search: Keys of [search] in the spec; those that it lacks have their defaults.
        epochs: Epochs of the task.
        batch_size: Images in a batch.
        images: Number of images of the task by split.
        settled: Number of steps after which the search stopped; None if it did not.
    """
    if search.get("prior") != "sum":
        return 1.0
    train, half, held_out = images["train"], images["train"] // 2, search.get("held_out", "none")
    judging = {"valid": images["valid"], "half": half}.get(held_out, train)
    batches = (train - half if held_out == "half" else train) // batch_size
    first = count_of(search.get("evidence_from", 0), epochs)
    last = min(epochs, first + (search.get("evidence_epochs") or epochs))
    counted = min(last * batches, settled or last * batches) - first * batches
    each = 1 if search.get("evidence") == "mean" else min(batch_size, judging)
    temper = search.get("temper") or 1 / epochs
    return judging / (temper * counted * each) if counted > 0 else 1.0


def close_call(decision: DecisionRecord, *, power: float = 1.0) -> str | None:
    """Warn of a decision whose runner-up was as probable as the chosen candidate; None otherwise.

    Args:
        decision: The decision.
        power: Power of the prior that is compared; see `power_once`.
    """
    chosen, margin = decision.probability, decision.margin
    if chosen is None or margin is None or chosen <= 0:
        return None
    other = max(chosen - margin, 0.0)
    if other == 0 or (ratio := (chosen / other) ** power) >= CLOSE:
        return None
    return (
        f"task {decision.task} was decided for a candidate {ratio:.2f} times as probable as the runner-up, a margin"
        " that means nothing; another seed may decide otherwise"
    )
