"""JSON values of a training, as a checkpoint stores them."""

from collections.abc import Sequence

from pydantic import BaseModel, model_validator

from lasem.benchmarks import Task
from lasem.errors import RunError


class TrainingState(BaseModel):
    """JSON values of a `TaskTraining`, as a checkpoint stores them.

    Attributes:
        visits: Identity of the task at each position of the stream.
        classes: Number of classes by identity.
        epochs_trained: Epochs trained over the whole stream.
        most_trained: Most parameters trained at once.
        epoch: Epochs trained on the open task; None if no task is open.
        optimizer: Name of the open task's optimizer; None if no task is open, and in states of older versions.
    """

    visits: list[int] = []
    classes: dict[int, int] = {}
    epochs_trained: int = 0
    most_trained: int = 0
    epoch: int | None = None
    optimizer: str | None = None

    @model_validator(mode="after")
    def _agrees(self) -> "TrainingState":
        if self.epoch is not None and not self.visits:
            raise ValueError("an open task must be one of the visits")
        if not set(self.visits) <= self.classes.keys():
            raise ValueError("every visited task must have a number of classes")
        return self

    @property
    def ended(self) -> list[int]:
        """Identity of the task at each position whose training has ended."""
        return self.visits if self.epoch is None else self.visits[:-1]

    def tasks(self, *, ended: bool = False) -> list[tuple[int, int]]:
        """Return (identity, number of classes) of each task in order of arrival; with `ended`, without the open one."""
        return [(task, self.classes[task]) for task in dict.fromkeys(self.ended if ended else self.visits)]

    def require_fit(self, task: Task | None, *, trained: Sequence[int], optimizer: str) -> None:
        """Check that this state is restored into a new learner, with the task that was open and the same optimizer.

        Args:
            task: The task that the learner is restored with; None for none.
            trained: Identities of the tasks that the learner has trained.
            optimizer: Name of the learner's optimizer.

        Raises:
            RunError: The learner has trained, a task is missing, none was open, or the optimizer is another one.
        """
        if trained:
            raise RunError(f"a state must be restored into a new learner (got one with {len(trained)} tasks); make one")
        if (task is None) != (self.epoch is None):
            came = "no task" if task is None else f"'{task.name}'"
            was = "none" if self.epoch is None else f"task {self.visits[-1]}"
            raise RunError(
                f"a state must be restored with the task that was open, {was} here (got {came}); pass `task`, None if"
                " none was open"
            )
        if self.optimizer not in (None, optimizer):
            raise RunError(
                f"a state within a task must be restored into a learner with its optimizer, {self.optimizer!r} (got"
                f" {optimizer!r}); set Training(optimizer={self.optimizer!r})"
            )
