"""Options of training that all learners read."""

from lasem.errors import SpecError, nearest
from lasem.optimizers import OPTIMIZERS
from lasem.options import NonNegative, Positive, Probability, Rate, options


@options
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

    batch_size: Positive = 10
    learning_rate: Rate = 1e-4
    decay: NonNegative = 0.0
    optimizer: str = "rmsprop-tf"
    keep: Probability = 0.5
    epochs: Positive | None = None

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            known, remedy = ", ".join(OPTIMIZERS), nearest(self.optimizer, OPTIMIZERS)
            raise SpecError(f"optimizer must be one of {known} (got {self.optimizer!r}); {remedy}")

    def rate(self, epochs: int) -> float:
        """Learning rate after this many epochs of the stream."""
        return self.learning_rate / (1 + epochs * self.decay)
