"""Elastic weight consolidation: all layers are shared, and a penalty retains them (Kirkpatrick et al. 2017)."""

from typing import ClassVar

from lasem.learners._fisher import Outcomes
from lasem.learners._interface import AbstractLearner, AbstractLearnerOptions, Setup
from lasem.learners._retention import RetentionOptions
from lasem.learners._selective import SelectiveTransfer
from lasem.nn import Backbone
from lasem.options import NonNegative, Share, options
from lasem.search import Fixed
from lasem.training import Training


@options
class EWCOptions(AbstractLearnerOptions):
    """Options of elastic weight consolidation.

    With a weight of 0 it is the static configuration "all". Heads and mappings belong to a task and are not penalized.

    Attributes:
        penalty_weight: The weight lambda; the penalty is lambda / 2 sum_tasks sum_j F_j (theta_j - theta*_j)^2.
        online: Whether there is one running penalty around the latest weights, in which older information fades,
            instead of one per task.
        decay: The factor gamma by which older information fades at every task of the online form.
        fisher: Classes over which the information is averaged; see `fisher_diagonal`.
    """

    reads: ClassVar[tuple[str, ...]] = ("mechanism",)
    penalty_weight: NonNegative = 400.0
    online: bool = False
    decay: Share = 0.95
    fisher: Outcomes = "exact"

    def learner(self, backbone: Backbone, *, training: Training | None = None, seed: int = 0) -> SelectiveTransfer:
        """Make a learner on a new backbone.

        Args:
            backbone: Stages and heads; new.
            training: How a task is trained.
            seed: Seed of batches, dropout and sampled classes.
        """
        retention = RetentionOptions(
            weight=self.penalty_weight,
            count_images=False,
            online=self.online,
            decay=self.decay if self.online else 1.0,
            fisher=self.fisher,
        )
        return SelectiveTransfer(backbone, Fixed("all"), training=training, seed=seed, retention=retention)

    def build(self, setup: Setup) -> AbstractLearner:
        """Build a new learner on a new backbone."""
        return self.learner(setup.backbone(), training=setup.training, seed=setup.seed)
