"""Options of single learners and searches, a section each."""

from typing import Annotated, Literal

from pydantic import Field

from lasem.specs._fields import Positive, Section, Weight


class DartsSpec(Section):
    """How the strategy "darts" learns the mixture; the groups are those of the search."""

    order: Literal["first", "second"] = "first"
    held_out: Literal["none", "valid", "half"] = "valid"
    """What the architecture learns from: the weights' batch, the validation split, or half of the training split."""
    optimizer: Literal["adam", "rmsprop-tf"] = "adam"
    """The latter with the learning rate of the weights."""
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3e-4
    """Of Adam, as are the next two."""
    betas: list[Annotated[float, Field(ge=0, lt=1)]] = Field(default=[0.5, 0.999], min_length=2, max_length=2)
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-3


class PrognnSpec(Section):
    """How columns read older ones."""

    reduction: Positive = 2
    """C channels of each of P older columns are reduced to floor(C / (reduction (P + 1))), at least one."""


class EwcSpec(Section):
    """How earlier tasks hold the shared knowledge."""

    penalty_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 400.0
    online: bool = False
    """One running penalty, around the latest weights, instead of one per task."""
    decay: Annotated[float, Field(ge=0, le=1)] = 0.95
    """By which older information fades at every task of the online form."""
    fisher: Literal["exact", "sampled", "empirical"] = "exact"
    """Classes that the Fisher information is averaged over: all, by the network's probabilities; one drawn from
    these; the label."""


class GatingSpec(Section):
    """How a task's channels are switched on, and which of them it keeps."""

    hidden: Positive = 16
    """Hidden units of a gate."""
    open_share: Annotated[float, Field(gt=0, lt=1)] = 0.85
    """About the share of gates that are open when a task begins."""
    gain: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """How much faster than other parameters gates open and close."""
    sparsity_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    sparsity: Literal["learned", "patience"] = "patience"
    """When sparsity counts: as far as the task is learned, or in full after some epochs."""
    patience: Annotated[int, Field(ge=0)] = 20
    """Epochs of a task before it counts, either way."""
    relevance: Literal["valid", "train"] = "valid"
    """Images on which a task's relevant channels are found."""
    threshold: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of images above which a channel is relevant."""


class DenSpec(Section):
    """How a network grows; see `DENOptions`."""

    expand: Annotated[int, Field(ge=0)] = 32
    """Units that are added to every hidden layer."""
    l1: Weight = 1e-5
    l2: Weight = 1e-4
    group_lasso: Weight = 1e-3
    drift: Weight = 0.5
    loss_threshold: Weight = 0.01
    """Units are added where the training cross-entropy is above it."""
    drift_measure: Literal["distance", "cosine"] = "distance"
    split_threshold: list[Weight] = Field(default=[0.05, 0.05], min_length=2, max_length=2)
    """Of convolutions and of fully connected layers."""
    split: Literal["replace", "beside"] = "replace"
    settle: Literal["own", "all"] = "own"
    shrinkage: Literal["per-step", "step-size", "per-phase"] = "per-step"
    shares: list[Weight] = Field(default=[0.1, 0.4, 0.2, 0.2, 0.1], min_length=5, max_length=5)
    """Parts of a task's epochs: select, retrain, expand, drift, settle."""


class ApdSpec(Section):
    """How parameters are decomposed; see `APDOptions`."""

    sparsity: Weight = 4e-4
    """lambda_1."""
    retention: Weight = 100.0
    """lambda_2."""
    shrinkage: Literal["proximal", "gradient"] = "proximal"
    start: Literal["shared", "zero"] = "shared"
    layers: Literal["all", "convolutions"] = "all"
    consolidate_every: Annotated[int, Field(ge=0)] = 0
    """Tasks; 0 = never."""
    groups: Positive = 2
    gap: Weight = 1e-2
