"""Options of DEN."""

from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf
from typing import Literal

from lasem.errors import require

PHASES = ("select", "retrain", "expand", "drift", "settle")
"""What a task's epochs are divided among, in order; the first task of a stream has one phase, "first"."""


@dataclass(frozen=True)
class DENOptions:
    """How a dynamically expandable network learns a task.

    Attributes:
        expand: k, units that are added to every hidden layer.
        l1: Weight of the l1 norm: of everything in the first task, of the new head, of added units.
        l2: Weight of the squared l2 norm while connected units are retrained.
        group_lasso: Weight of the norm of every added unit's incoming weights.
        drift: Weight of the squared distance from the weights before the task.
        loss_threshold: Units are added where the training cross-entropy is above it.
        drift_measure: How far a unit has drifted: the "distance" between its incoming weights before and after, or
            the "cosine" of the angle between them.
        split_threshold: (convolutions, fully connected layers): a unit is split whose distance is above it, or whose
            cosine is below it.
        split: A copy takes the original's place in the open task and later ones ("replace"), or stands "beside" it.
        settle: After the split, train only what "own" connections no earlier task reads, or "all".
        shrinkage: A proximal step shrinks by its weight ("per-step"), by its weight times the optimizer's step size
            ("step-size"), or by its share of the weight, which a whole phase shrinks by ("per-phase"); then it is what
            a group loses of the root mean square of its weights.
        shares: Parts of a task's epochs that the phases take, in the order of `PHASES`.
    """

    expand: int = 32
    l1: float = 1e-5
    l2: float = 1e-4
    group_lasso: float = 1e-3
    drift: float = 0.5
    loss_threshold: float = 0.01
    drift_measure: Literal["distance", "cosine"] = "distance"
    split_threshold: tuple[float, float] = (0.05, 0.05)
    split: Literal["replace", "beside"] = "replace"
    settle: Literal["own", "all"] = "own"
    shrinkage: Literal["per-step", "step-size", "per-phase"] = "per-step"
    shares: tuple[float, float, float, float, float] = (0.1, 0.4, 0.2, 0.2, 0.1)

    def __post_init__(self) -> None:
        require(self.expand >= 0, "a layer grows by at least 0 units", expand=self.expand)
        for name in ("l1", "l2", "group_lasso", "drift", "loss_threshold"):
            value = getattr(self, name)
            require(0 <= value < inf, "weights and thresholds of DEN are at least 0", **{name: value})
        require(min(self.split_threshold) >= 0, "thresholds are at least 0", split_threshold=self.split_threshold)
        total = sum(self.shares)
        require(
            min(self.shares) >= 0 and abs(total - 1) < 1e-6,
            "the phases take parts of a task's epochs that add up to 1",
            shares=self.shares,
        )

    def ends(self, epochs: int) -> list[int]:
        """Epochs of a task after which each phase has ended.

        >>> DENOptions().ends(40)
        [4, 20, 28, 36, 40]
        """
        return [round(epochs * share) for share in accumulate(self.shares)]

    def length(self, phase: str, epochs: int) -> int:
        """Epochs of a task that a phase takes, where none before it is left out; "first" takes them all.

        >>> DENOptions().length("expand", 40)
        8
        """
        if phase == "first":
            return epochs
        begin, end = list(pairwise([0, *self.ends(epochs)]))[PHASES.index(phase)]
        return end - begin
