"""Options of DEN, and its phases."""

from itertools import accumulate, pairwise
from typing import Annotated, Literal

from lasem.learners._interface import AbstractLearner, AbstractLearnerOptions, Setup
from lasem.learners._layers import PlainNetwork
from lasem.options import Count, NonNegative, must, options

PHASES = ("select", "retrain", "expand", "drift", "settle")
"""The phases that a task's epochs are divided among, in order. The first task has a single phase, "first"."""

Shares = tuple[NonNegative, NonNegative, NonNegative, NonNegative, NonNegative]


@options
class DENOptions(AbstractLearnerOptions):
    """How a dynamically expandable network learns a task (Yoon et al. 2018).

    Attributes:
        expand: Number k of units that are added to every hidden layer.
        l1: Weight of the l1 norm: of all weights in the first task, later of the new head and of added units.
        select_shrinkage: What every weight of the new head loses in a step while units are selected, in learning rates
            and whatever `shrinkage` is; 0 shrinks weights by `l1` instead. RMSProp and Adam move a weight by up to
            about one learning rate. A unit that no class reads is not retrained.
        l2: Weight of the squared l2 norm while connected units are retrained.
        group_lasso: Weight of the norm of every added unit's incoming weights.
        drift: Weight of the squared distance from the weights before the task.
        loss_threshold: Units are added if the training cross-entropy, in nats, is above it.
        drift_measure: How the drift of a unit is measured: by the "distance" between its incoming weights before and
            after, or by the "cosine" of the angle between them.
        split_threshold: Two thresholds, for convolutions and for fully connected layers. A unit is split if its
            distance is above the threshold, or its cosine below it.
        split: Whether a copy takes the original's place in the open task and later ones ("replace"), or is read
            together with it ("beside").
        settle: What trains after the split: only connections that no earlier task reads ("own"), or "all".
        shrinkage: What a proximal step shrinks by: the penalty's weight ("per-step", as in the authors' code); the
            weight times the optimizer's step size ("step-size"); or the weight divided by the steps of the phase
            ("per-phase"), where a group's weight is what the root mean square of its weights loses in the phase.
        shares: Shares of a task's epochs that the phases take, in the order of `PHASES`; they add up to 1.
    """

    expand: Count = 32
    l1: NonNegative = 1e-5
    select_shrinkage: NonNegative = 0.0
    l2: NonNegative = 1e-4
    group_lasso: NonNegative = 1e-3
    drift: NonNegative = 0.5
    loss_threshold: NonNegative = 0.01
    drift_measure: Literal["distance", "cosine"] = "distance"
    split_threshold: tuple[NonNegative, NonNegative] = (0.05, 0.05)
    split: Literal["replace", "beside"] = "replace"
    settle: Literal["own", "all"] = "own"
    shrinkage: Literal["per-step", "step-size", "per-phase"] = "per-step"
    shares: Annotated[Shares, must(lambda shares: abs(sum(shares) - 1) < 1e-6, "five shares that add up to 1")] = (
        0.1,
        0.4,
        0.2,
        0.2,
        0.1,
    )

    def ends(self, epochs: int) -> list[int]:
        """Return after how many epochs of a task each phase has ended.

        >>> DENOptions().ends(40)
        [4, 20, 28, 36, 40]
        """
        return [round(epochs * share) for share in accumulate(self.shares)]

    def length(self, phase: str, epochs: int) -> int:
        """Return how many of a task's epochs a phase takes if none before it is left out; "first" takes them all.

        >>> DENOptions().length("expand", 40)
        8
        """
        if phase == "first":
            return epochs
        begin, end = list(pairwise([0, *self.ends(epochs)]))[PHASES.index(phase)]
        return end - begin

    def build(self, setup: Setup) -> AbstractLearner:
        """Build a new learner.

        Raises:
            SpecError: The network has skips or batch norm, or `epochs` are not given.
        """
        from lasem.learners.den._den import DEN  # its phases read these options

        plain = PlainNetwork.of(setup)
        return DEN(plain, options=self, training=setup.training, seed=setup.seed, device=setup.device)
