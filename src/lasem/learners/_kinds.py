"""The kinds of learners that a spec can name: options that build them."""

from typing import ClassVar

from lasem.learners._brute_force import BruteForce
from lasem.learners._ewc import EWCOptions
from lasem.learners._interface import AbstractLearner, AbstractLearnerOptions, Setup
from lasem.learners._selective import SelectiveTransfer
from lasem.learners._single import SingleNetwork
from lasem.learners.apd import APDOptions
from lasem.learners.den import DENOptions
from lasem.learners.gating import GatingOptions
from lasem.learners.prognn import ProgNNOptions
from lasem.options import options
from lasem.registry import Registry
from lasem.search import InTurn


@options
class SelectiveOptions(AbstractLearnerOptions):
    """Options of selective transfer: any strategy over any mechanism.

    Attributes:
        redraw_unchosen: Whether shared knowledge that no task has chosen yet is drawn anew at every task.
    """

    reads: ClassVar[tuple[str, ...]] = ("mechanism", "strategy")
    redraw_unchosen: bool = False

    def build(self, setup: Setup) -> AbstractLearner:
        """Build the learner; the candidates of the strategy "brute-force" are trained in turn."""
        if isinstance(setup.strategy, InTurn):
            return BruteForce(
                setup.backbone(),
                setup.strategy,
                training=setup.training,
                seed=setup.seed,
                ties=setup.strategy.ties,
                first_task=setup.strategy.first_task,
                redraw_unchosen=self.redraw_unchosen,
            )
        return SelectiveTransfer(
            setup.backbone(),
            setup.strategy,
            training=setup.training,
            seed=setup.seed,
            redraw_unchosen=self.redraw_unchosen,
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


LEARNERS: Registry[type[AbstractLearnerOptions]] = Registry(
    "learner",
    group="lasem.learners",
    base=AbstractLearnerOptions,
    builtin={
        "selective": SelectiveOptions,
        "snn": SingleOptions,
        "prognn": ProgNNOptions,
        "ewc": EWCOptions,
        "gating": GatingOptions,
        "den": DENOptions,
        "apd": APDOptions,
    },
)
"""Kinds of learners by name."""
