"""JSON values of a training, as a checkpoint stores them."""

from pydantic import BaseModel


class TrainingState(BaseModel):
    """JSON values of a `TaskTraining`, as a checkpoint stores them.

    Attributes:
        visits: Identity of the task at each position of the stream.
        classes: Number of classes by identity.
        epochs_trained: Epochs trained over the whole stream.
        most_trained: Most parameters trained at once.
        epoch: Epochs trained on the open task; None if no task is open.
    """

    visits: list[int] = []
    classes: dict[int, int] = {}
    epochs_trained: int = 0
    most_trained: int = 0
    epoch: int | None = None

    @property
    def ended(self) -> list[int]:
        """Identity of the task at each position whose training has ended."""
        return self.visits if self.epoch is None else self.visits[:-1]

    def tasks(self, *, ended: bool = False) -> list[tuple[int, int]]:
        """Return (identity, number of classes) of each task in order of arrival; with `ended`, without the open one."""
        return [(task, self.classes[task]) for task in dict.fromkeys(self.ended if ended else self.visits)]
