"""What is measured on the way through a stream, and the measuring itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from lasem.benchmarks import Split, TaskStream
from lasem.errors import require
from lasem.learners import AbstractLearner, AnswersOnTrial, TellsUnaffected
from lasem.options import Count, Positive, options
from lasem.runs._memory_errors import memory_for

CACHED_BYTES = 2**30
"""Largest size of the test splits that stay on the device; splits beyond it are loaded anew for every evaluation."""


@options(kw_only=True)
class Evaluation:
    """What is measured, and when.

    Attributes:
        while_training: Whether the current task is tested while it is trained, as peak accuracy needs. Without that,
            tasks are tested after commits only, which takes less time where a network is large.
        every: Number of epochs between tests of the current task; 0 tests twenty times per task.
        earlier_tasks: Whether to measure earlier tasks "after-commit", or "before-commit" with everything that the last
            task has changed.
        reference: Accuracy that a forgetting ratio compares with: at the "end" of a task's own training, or its "peak".
        batch_size: Images per batch.
    """

    while_training: bool = True
    every: Count = 0
    earlier_tasks: Literal["after-commit", "before-commit"] = "after-commit"
    reference: Literal["end", "peak"] = "end"
    batch_size: Positive = 500

    def __post_init__(self) -> None:
        require(
            self.while_training or not self.every,
            "every must be left out if tasks are not tested while they are trained",
            remedy="set while_training = true, or remove it",
            every=self.every,
        )
        require(
            self.while_training or self.reference == "end",
            'reference must be "end" if tasks are not tested while they are trained, which leaves no peak',
            remedy="set while_training = true, or the reference",
            reference=self.reference,
        )


@dataclass
class Evaluator:
    """Measures how a learner answers for the tasks of a stream.

    Attributes:
        learner: The learner.
        stream: The tasks, in order.
        options: What is measured.
    """

    learner: AbstractLearner
    stream: TaskStream
    options: Evaluation
    _splits: dict[int, Split] = field(default_factory=dict)

    def accuracy(self, split: Split, task: int, *, trial: bool = False) -> float:
        """Return the share of correct answers on a split.

        Args:
            split: The images.
            task: Identity of the task.
            trial: Answer with what the open task has changed so far.
        """
        correct = torch.zeros((), dtype=torch.int64, device=split.labels.device)
        size, learner = self.options.batch_size, self.learner
        answer = learner.trial_logits if trial and isinstance(learner, AnswersOnTrial) else learner.logits
        with memory_for(lambda: f"measuring with batches of {size} images", remedy="lower evaluation.batch_size"):
            for images, labels in zip(split.images.split(size), split.labels.split(size), strict=True):
                correct += (answer(images, task).argmax(1) == labels).sum()
        return int(correct) / len(split)

    def test(self, position: int, *, trial: bool = False) -> float:
        """Return the test accuracy of the task at a position."""
        return self.accuracy(self._split(position), self.stream.outline.identities[position], trial=trial)

    def on_trial(self, position: int) -> list[float]:
        """Return the test accuracies of the tasks before a position, with what the open task has changed so far."""
        return [self.test(earlier, trial=True) for earlier in range(position)]

    def earlier(self, position: int, *, last: Sequence[float]) -> list[float]:
        """Return the test accuracies of the tasks before a position, whose task has ended.

        Args:
            position: Position of the task that was committed last.
            last: Their accuracies before it, which those keep that answer as before.
        """
        return [last[i] if self._unaffected(i, by=position) else self.test(i) for i in range(position)]

    def _unaffected(self, position: int, *, by: int) -> bool:
        """Return whether learning the task at a position has left the answers of another task as they were."""
        if by == 1 and self.stream.knowledge:  # which replaced what the first task has shared
            return False
        identities, learner = self.stream.outline.identities, self.learner
        return isinstance(learner, TellsUnaffected) and learner.unaffected(identities[position], by=identities[by])

    def _split(self, position: int) -> Split:
        """Return a task's test split, from the cache where possible."""
        if position in self._splits:
            return self._splits[position]
        split = self.stream[position].test
        cached = sum(other.images.nbytes for other in self._splits.values())
        if cached + split.images.nbytes <= CACHED_BYTES:
            self._splits[position] = split
        return split
