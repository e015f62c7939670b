"""Options of training that all learners read."""

from dataclasses import dataclass
from math import inf

from lasem.errors import SpecError, nearest, require
from lasem.optimizers import OPTIMIZERS


@dataclass(frozen=True)
class Training:
    """How a task is trained.

    Attributes:
        batch_size: Images per minibatch; an incomplete last batch is left out.
        learning_rate: Learning rate in the first epoch of the stream.
        decay: Decay of the learning rate: lr_e = learning_rate / (1 + e decay), where e counts the epochs trained so
            far over the whole stream.
        optimizer: Key of `OPTIMIZERS`. The optimizer's state is new for every task.
        keep: Probability with which dropout keeps a feature before the head.
        epochs: Epochs per task. Searches and phases that look ahead need to know it; None if only the runner knows. The
            runner decides how long a task is trained, whatever is given here.
    """

    batch_size: int = 10
    learning_rate: float = 1e-4
    decay: float = 0.0
    optimizer: str = "rmsprop-tf"
    keep: float = 0.5
    epochs: int | None = None

    def __post_init__(self) -> None:
        whole = isinstance(self.batch_size, int) and self.batch_size >= 1
        require(whole, "a batch must hold a whole number of images, at least one", batch_size=self.batch_size)
        require(0 < self.learning_rate < inf, "a learning rate must be above 0", learning_rate=self.learning_rate)
        require(0 <= self.decay < inf, "a decay must be at least 0", decay=self.decay)
        require(0 < self.keep <= 1, "dropout must keep a share above 0 and up to 1", keep=self.keep)
        require(self.epochs is None or self.epochs >= 1, "a task must have at least one epoch", epochs=self.epochs)
        if self.optimizer not in OPTIMIZERS:
            raise SpecError(f"optimizer: unknown name {self.optimizer!r} - {nearest(self.optimizer, OPTIMIZERS)}")

    def rate(self, epochs: int) -> float:
        """Learning rate after this many epochs of the stream."""
        return self.learning_rate / (1 + epochs * self.decay)
