"""The sections that every spec has."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lasem.specs._fields import Bits, Positive, Section, Seed
from lasem.tables import Table


class BenchmarkSpec(BaseModel):
    """Which stream: its kind, and that kind's own options beside it."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)
    name: str
    """What results are called after."""
    kind: str
    """Key of the constructors of streams."""

    @property
    def options(self) -> Table:
        """The kind's own options."""
        return dict(self.model_extra or {})


class NetworkSpec(Section):
    """Which network."""

    name: str


class LearnerSpec(Section):
    """Which learner: for selective transfer, a mechanism and a strategy."""

    name: str
    """What results are called after."""
    kind: Literal["selective", "snn", "prognn", "ewc", "gating", "den", "apd"] = "selective"
    mechanism: str = "hps"
    strategy: Literal["fixed", "em", "darts", "brute-force"] = "fixed"
    configuration: str = "all"
    """Of the fixed strategy."""
    first_task: Literal["searched", "as-second"] = "searched"
    """Whether brute force searches the first task, or lets it take the second task's choice."""
    redraw_unchosen: bool = False
    """Draw shared knowledge anew at every task that no task has chosen yet."""


class CommitAtSpec(Section):
    """When the search settles for the leading candidate before a task ends; all that is given must hold."""

    prior: Annotated[float, Field(gt=0, le=1)] | None = None
    """The leading candidate's prior has reached this."""
    share: Annotated[float, Field(ge=0, le=1)] | None = None
    """This share of the task has passed."""


class SearchSpec(Section):
    """How configurations are searched."""

    partition: str | None = None
    """Groups of layers that decide together, such as "{1,2},{3}"; every layer for itself by default."""
    candidates: Annotated[list[Bits], Field(min_length=1)] | None = None
    """Configurations to choose from, one character per group; all by default."""
    evidence: Literal["product", "mean"] = "product"
    prior: Literal["running-mean", "counts"] = "running-mean"
    restart: Literal["task", "epoch"] = "task"
    m_steps: Positive = 1
    ties: Literal["most-shared", "enumeration"] = "most-shared"
    epsilon: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Posterior mass that an EM step may leave out, to save work; 0 computes everything."""
    stop_when_certain: bool = False
    """Train the leading candidate alone once no other one can win any more."""
    commit_at: CommitAtSpec | None = None
    """Train the leading candidate alone from an earlier moment on."""
    memory: Positive | None = None
    """MiB that a backward pass may keep of activations; beyond, the tree is evaluated in sub-trees."""


Precision = Literal["float32", "tf32", "bfloat16"]
"""In which convolutions and matrix products are computed."""


class TrainingSpec(Section):
    """How a task is trained."""

    epochs: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    optimizer: str = "rmsprop-tf"
    keep: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Probability by which dropout keeps a feature."""
    precision: Precision = "float32"


class EvaluationSpec(Section):
    """What is measured, and when."""

    every: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Evaluate the current task's test set every so many epochs; 0 = a twentieth of the epochs."""
    earlier_tasks: Literal["after-commit", "before-commit"] = "after-commit"
    """Whether earlier tasks are measured with the committed knowledge, or with all that the last task changed."""
    reference: Literal["end", "peak"] = "end"
    """Reference of the forgetting ratio: the accuracy at the end of a task's own training, or its peak there."""
    batch_size: Positive = 500


class SeedsSpec(Section):
    """Every source of randomness."""

    stream: Seed = 0
    """Classes, noise, channel orders: the same in all trials."""
    data: Seed = 0
    """Which images."""
    training: Seed = 0
    """Initial values, batches, dropout."""
