"""What an answer about layers is worth: accuracy and cost of the search, beside those of static configurations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from lasem.records import TaskHistory
from lasem.report._run import Run, nested, whole

SURE = 2.0
"""Standard errors of a difference, below which it may be chance."""


@dataclass(frozen=True)
class Rival:
    """Accuracy and cost of one learner.

    Attributes:
        name: Such as "search", "full" or "last-2".
        accuracy: Test accuracy of each task after the last task, as fractions.
        seconds: Seconds of training.
    """

    name: str
    accuracy: tuple[float, ...]
    seconds: float

    @property
    def mean(self) -> float:
        """Mean accuracy over the tasks."""
        return sum(self.accuracy) / len(self.accuracy)


def compare(runs: Mapping[str, Run]) -> list[Rival]:
    """Return accuracy and cost of finished runs by their names."""
    rows = {name: run.measures.accuracy[-1] for name, run in runs.items()}
    return [
        Rival(name, tuple(value or 0.0 for value in row), runs[name].training_seconds or 0.0)
        for name, row in rows.items()
    ]


def chance(run: Run, rivals: Sequence[Rival]) -> float | None:
    """Return the difference of two mean accuracies that the number of test images leaves to chance.

    These are two standard errors of a difference, as if both learners answered independently. None where the number of
    images is not known.
    """
    images = _images(run, "test")
    if not images or not rivals:
        return None
    tasks = len(rivals[0].accuracy)
    variance = max(sum(p * (1 - p) for p in rival.accuracy) / tasks for rival in rivals)
    return SURE * sqrt(2 * variance / (images * tasks))


def static_steps(run: Run, *, work: float, batch_size: int) -> float:
    """Return the multiply-adds of a search in units of those of one static training.

    Args:
        run: The finished search.
        work: Multiply-adds of a step of the search, in units of a step of one network.
        batch_size: Images of a batch.
    """
    batches = (_images(run, "train") or 0) // batch_size
    shares = [_searched(task, batches) for task in run.tasks]
    return 1.0 + (work - 1.0) * sum(shares) / max(1, len(shares))


def _images(run: Run, split: str) -> int | None:
    """Return the number of images of a task in a split; None where it is not known."""
    return whole(nested(nested(run.stream.get("outline")).get("images")).get(split))


def _searched(task: TaskHistory, batches: int) -> float:
    """Return the share of a task's steps that searched, before the chosen candidate was trained alone."""
    settled = task.decision and task.decision.settled
    return 1.0 if settled is None or not batches else min(1.0, settled / (batches * max(1, task.num_epochs)))
