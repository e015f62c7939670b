"""Elastic weight consolidation: all layers are shared, and a penalty retains them (Kirkpatrick et al. 2017)."""

from typing import ClassVar, Literal

from lasem.errors import require
from lasem.learners._fisher import Outcomes
from lasem.learners._interface import AbstractLearner, AbstractLearnerOptions, Setup
from lasem.learners._retention import RetentionOptions
from lasem.learners._selective import SelectiveTransfer
from lasem.learners._single import SingleNetwork
from lasem.nn import Backbone, HardParameterSharing
from lasem.options import NonNegative, Share, options, require_unset
from lasem.search import Fixed
from lasem.training import Training


@options
class EWCOptions(AbstractLearnerOptions):
    """Options of elastic weight consolidation.

    With a weight of 0 it is the static configuration "all". Heads and mappings belong to a task and are not penalized,
    unless there is a single head.

    Attributes:
        head: Whether every task has its "own" head, or all tasks use a "single" one, which is then penalized like the
            layers, as in the experiments of Kirkpatrick et al. on permuted images.
        penalty_weight: The weight lambda; the penalty is lambda / 2 sum_tasks sum_j F_j (theta_j - theta*_j)^2.
        online: Whether there is one running penalty around the latest weights, in which older information fades,
            instead of one per task.
        decay: The factor gamma by which older information fades at every task of the online form.
        fisher: Classes over which the information is averaged; see `fisher_diagonal`.
    """

    reads: ClassVar[tuple[str, ...]] = ("mechanism",)
    head: Literal["own", "single"] = "own"
    penalty_weight: NonNegative = 400.0
    online: bool = False
    decay: Share = 0.95
    fisher: Outcomes = "exact"

    def __post_init__(self) -> None:
        if not self.online:
            require_unset(self, "decay", unless="online is true")

    def learner(self, backbone: Backbone, *, training: Training | None = None, seed: int = 0) -> SelectiveTransfer:
        """Make a learner on a new backbone.

        Args:
            backbone: Stages and heads; new.
            training: How a task is trained.
            seed: Seed of batches, dropout and sampled classes.
        """
        return SelectiveTransfer(backbone, Fixed("all"), training=training, seed=seed, retention=self.retention)

    @property
    def retention(self) -> RetentionOptions:
        """Options of the penalty, as retention has them."""
        return RetentionOptions(
            weight=self.penalty_weight,
            count_images=False,
            online=self.online,
            decay=self.decay if self.online else 1.0,
            fisher=self.fisher,
        )

    def build(self, setup: Setup) -> AbstractLearner:
        """Build a new learner on a new backbone.

        Raises:
            SpecError: There is a single head, and the mechanism is not "hps".
        """
        if self.head == "own":
            return self.learner(setup.backbone(), training=setup.training, seed=setup.seed)
        require(
            isinstance(setup.mechanism, HardParameterSharing),
            "the mechanism must be hps for a single head, because mappings would belong to all tasks too",
            remedy="set learner.mechanism to hps, or ewc.head to own",
            where="[learner]",
            mechanism=type(setup.mechanism).__name__,
        )
        return SingleNetwork(
            setup.backbone(),
            classes=max(setup.outline.classes),
            training=setup.training,
            seed=setup.seed,
            retention=self.retention,
        )
