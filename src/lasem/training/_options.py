"""Options of training that all learners read."""

from math import cos, pi
from typing import Annotated, Literal

from pydantic import Field

from lasem.errors import SpecError, nearest, require
from lasem.optimizers import DECAYS, OPTIMIZERS
from lasem.options import Count, CountOrShare, NonNegative, Positive, Probability, Rate, Share, count_of, options


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
        weight_decay: Share by which a step shrinks weights, times the learning rate. Parameters of fewer than two
            dimensions, which are biases and the scales and shifts of norms, are left alone. Only "adamw" and "sgd" have
            it.
        warmup: Batches over which a task's learning rate rises linearly from 0: a number, or a share of the task.
        schedule: Learning rate after the warm-up: "constant", or "cosine" down to 0 at the end of the task's epochs.
        layer_decay: Factor by which the learning rate falls with every layer away from the head: layer l of d, counted
            from 1, has the rate times layer_decay^(d + 1 - l).
        head_rate: Factor of the learning rate of heads.
        head_penalty: Fit the head of a new task before its first epoch: a logistic regression on the features of the
            training images as the network is then, with this factor of half the squared weights added to the mean
            loss. Training that starts there distorts pretrained features less (Kumar et al., ICLR 2022). None starts
            heads at random.
        relative_rates: Whether a layer's learning rate is also multiplied, in every step, by its relative gradient norm
            |g| / |w| over the largest one of all layers (Auto-RGN). Heads are left out. On a GPU, every step waits for
            these numbers.
        clip_norm: Largest norm of the gradient of all parameters together; a longer one is shortened to it. None
            leaves gradients as they are.
        front_memory: MiB that may be taken by kept features of an open task's images, of stages in front of the network
            that no candidate trains. 0 computes them in every step.
        label_smoothing: Share of a label that the training loss spreads evenly over all classes. Evidence, held-out
            losses of DARTS and accuracies read the labels as they are.
        random_flip: Mirror every training image left to right with probability 1/2.
        random_crop: Pixels by which training images are padded, by reflection, before each is cut at a random place to
            its former size.
        color_jitter: Largest share by which brightness, contrast and saturation of training images change.
        epochs: Epochs per task. Searches and phases that look ahead need to know it; None if only the runner knows. The
            runner decides how long a task is trained, whatever is given here.
    """

    batch_size: Positive = 10
    learning_rate: Rate = 1e-4
    decay: NonNegative = 0.0
    optimizer: str = "rmsprop-tf"
    keep: Probability = 0.5
    weight_decay: NonNegative = 0.0
    warmup: CountOrShare = 0
    schedule: Literal["constant", "cosine"] = "constant"
    layer_decay: Probability = 1.0
    head_rate: Rate = 1.0
    head_penalty: Rate | None = None
    relative_rates: bool = False
    clip_norm: Rate | None = None
    front_memory: NonNegative = 512.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    random_flip: bool = False
    random_crop: Count = 0
    color_jitter: Share = 0.0
    epochs: Positive | None = None

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            known, remedy = ", ".join(OPTIMIZERS), nearest(self.optimizer, OPTIMIZERS)
            raise SpecError(f"optimizer must be one of {known} (got {self.optimizer!r}); {remedy}")

        require(
            self.weight_decay == 0 or self.optimizer in DECAYS,
            f"weight_decay must be 0 unless the optimizer is {' or '.join(DECAYS)}",
            remedy='set optimizer to "adamw"',
            weight_decay=self.weight_decay,
            optimizer=self.optimizer,
        )
        require(
            self.epochs is not None or (self.schedule == "constant" and isinstance(self.warmup, int)),
            "epochs must be given for a cosine schedule and for a warmup that is a share, which look ahead",
            remedy="set it to the number of epochs per task",
            epochs=self.epochs,
        )

    @property
    def augments(self) -> bool:
        """Whether training images are changed at random."""
        return self.random_flip or self.random_crop > 0 or self.color_jitter > 0

    @property
    def front_bytes(self) -> int:
        """Bytes that kept features may take: none if images are changed at random, whose features are always new."""
        return 0 if self.augments else int(2**20 * self.front_memory)

    def require_support(self, *, layers: bool, weight_decay: bool, fits_heads: bool) -> None:
        """Check that a learner has what the options ask for.

        Args:
            layers: Whether its layers can have learning rates of their own.
            weight_decay: Whether all that it trains may shrink.
            fits_heads: Whether it fits heads before training.

        Raises:
            SpecError: An option must be left out.
        """
        require(
            layers or (self.layer_decay == 1 and self.head_rate == 1 and not self.relative_rates),
            "layer_decay and head_rate must be 1, and relative_rates false, for a learner that changes the layers"
            " themselves (den, apd)",
            remedy="leave them out",
            layer_decay=self.layer_decay,
            head_rate=self.head_rate,
            relative_rates=self.relative_rates,
        )
        require(
            weight_decay or self.weight_decay == 0,
            "weight_decay must be 0 for a learner that holds a part of its weights fixed for earlier tasks (den, apd,"
            " gating), which it would shrink too",
            remedy="leave it out",
            weight_decay=self.weight_decay,
        )
        require(
            fits_heads or self.head_penalty is None,
            "head_penalty must be left out for a learner without fitted heads (prognn, den, apd, gating)",
            remedy="leave it out",
            head_penalty=self.head_penalty,
        )

    def rate(self, epochs: int) -> float:
        """Learning rate after this many epochs of the stream."""
        return self.learning_rate / (1 + epochs * self.decay)

    def schedule_factor(self, batch: int, *, per_epoch: int) -> float:
        """Return what the warm-up and the schedule multiply the learning rate by.

        Args:
            batch: Number of the batch within the task, from 0; the number of batches already trained.
            per_epoch: Batches of an epoch.
        """
        total = (self.epochs or 0) * per_epoch
        warm = count_of(self.warmup, total)
        if batch < warm:
            return (batch + 1) / warm
        if self.schedule == "constant":
            return 1.0
        # A runner may train for longer than it said; the rate then stays at its end.
        return (1 + cos(pi * min(1.0, (batch - warm) / max(1, total - warm)))) / 2
