"""The kinds of learners that a spec can name: options that build them."""

from dataclasses import asdict
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from lasem.learners._brute_force import BruteForce
from lasem.learners._ewc import ElasticWeightConsolidation
from lasem.learners._interface import AbstractLearner, AbstractLearnerOptions, Setup
from lasem.learners._layers import PlainNetwork
from lasem.learners._selective import SelectiveTransfer
from lasem.learners._single import SingleNetwork
from lasem.learners.apd import APD, APDOptions
from lasem.learners.den import DEN, DENOptions
from lasem.learners.gating import ChannelGating
from lasem.learners.prognn import ProgressiveNetworks
from lasem.options import Count, Fraction, NonNegative, Positive, Rate, Share, options
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


@options
class EWCOptions(AbstractLearnerOptions):
    """Options of elastic weight consolidation.

    Attributes:
        penalty_weight: Weight lambda of the penalty lambda / 2 sum_tasks sum_j F_j (theta_j - theta*_j)^2.
        online: Whether one running penalty, around the latest weights, takes the place of one per task.
        decay: Factor gamma by which older information fades at every task of the online form.
        fisher: Classes that the Fisher information is averaged over: all, by the network's probabilities ("exact"); one
            that is drawn from these ("sampled"); or the label ("empirical").
    """

    reads: ClassVar[tuple[str, ...]] = ("mechanism",)
    penalty_weight: NonNegative = 400.0
    online: bool = False
    decay: Share = 0.95
    fisher: Literal["exact", "sampled", "empirical"] = "exact"

    def build(self, setup: Setup) -> AbstractLearner:
        """Build the learner."""
        return ElasticWeightConsolidation(
            setup.backbone(),
            penalty_weight=self.penalty_weight,
            online=self.online,
            decay=self.decay,
            fisher=self.fisher,
            training=setup.training,
            seed=setup.seed,
        )


def _plain(setup: Setup) -> PlainNetwork:
    """The layers of the network, for learners that change it."""
    return PlainNetwork(setup.network, shape=setup.outline.shape, seed=setup.seed)


@options
class ProgNNOptions(AbstractLearnerOptions):
    """Options of progressive networks.

    Attributes:
        reduction: C channels of each of P older columns are reduced to floor(C / (reduction (P + 1))), at least one.
    """

    reduction: Positive = 2

    def build(self, setup: Setup) -> AbstractLearner:
        """Build the learner."""
        return ProgressiveNetworks(
            _plain(setup), reduction=self.reduction, training=setup.training, seed=setup.seed, device=setup.device
        )


@options
class GatingOptions(AbstractLearnerOptions):
    """Options of conditional channel gating.

    Attributes:
        hidden: Hidden units of a gate.
        open_share: About the share of gates that are open when a task begins.
        gain: How much faster than other parameters gates open and close.
        sparsity_weight: Weight of the sparsity of gates.
        sparsity: When sparsity counts: as far as the task is "learned", or in full after some epochs ("patience").
        patience: Epochs of a task before sparsity counts, either way.
        relevance: Images on which a task's relevant channels are found.
        threshold: Share of images above which a channel is relevant.
    """

    hidden: Positive = 16
    open_share: Fraction = 0.85
    gain: Rate = 1.0
    sparsity_weight: NonNegative = 0.5
    sparsity: Literal["learned", "patience"] = "patience"
    patience: Count = 20
    relevance: Literal["valid", "train"] = "valid"
    threshold: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def build(self, setup: Setup) -> AbstractLearner:
        """Build the learner."""
        return ChannelGating(
            _plain(setup), **asdict(self), training=setup.training, seed=setup.seed, device=setup.device
        )


@options
class DENKind(DENOptions, AbstractLearnerOptions):
    """Options of the learner, which build it."""

    def build(self, setup: Setup) -> AbstractLearner:
        """Build the learner."""
        return DEN(_plain(setup), options=self, training=setup.training, seed=setup.seed, device=setup.device)


@options
class APDKind(APDOptions, AbstractLearnerOptions):
    """Options of the learner, which build it."""

    def build(self, setup: Setup) -> AbstractLearner:
        """Build the learner."""
        return APD(_plain(setup), options=self, training=setup.training, seed=setup.seed, device=setup.device)


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
        "den": DENKind,
        "apd": APDKind,
    },
)
"""Kinds of learners by name."""
