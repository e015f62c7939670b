"""Options that build the learners of a strategy over a mechanism, and of a single network."""

from typing import ClassVar

from lasem.learners._brute_force import BruteForce
from lasem.learners._interface import AbstractLearner, AbstractLearnerOptions, Setup
from lasem.learners._selective import SelectiveTransfer
from lasem.learners._single import SingleNetwork
from lasem.options import options
from lasem.search import InTurn


@options
class SelectiveOptions(AbstractLearnerOptions):
    """Options of selective transfer: any strategy over any mechanism.

    Attributes:
        redraw_unchosen: Whether shared knowledge that no task has chosen yet is drawn anew at every task.
    """

    reads: ClassVar[tuple[str, ...]] = ("mechanism", "strategy")
    retains: ClassVar[bool] = True
    redraw_unchosen: bool = False

    def build(self, setup: Setup) -> AbstractLearner:
        """Build the learner; the candidates of the strategy "brute-force" are trained in turn."""
        if isinstance(setup.strategy, InTurn):
            return BruteForce(
                setup.backbone(),
                setup.strategy,
                training=setup.training,
                seed=setup.seed,
                redraw_unchosen=self.redraw_unchosen,
                retention=setup.retention,
            )
        return SelectiveTransfer(
            setup.backbone(),
            setup.strategy,
            training=setup.training,
            seed=setup.seed,
            redraw_unchosen=self.redraw_unchosen,
            retention=setup.retention,
            capture=setup.capture,
        )


@options
class SingleOptions(AbstractLearnerOptions):
    """Options of a single network for all tasks; it has none."""

    reads: ClassVar[tuple[str, ...]] = ("mechanism",)

    def build(self, setup: Setup) -> AbstractLearner:
        """Build the learner, with a head for the largest number of classes."""
        classes = max(setup.outline.classes)
        return SingleNetwork(setup.backbone(), classes=classes, training=setup.training, seed=setup.seed)
