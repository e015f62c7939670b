"""ProgNN: a column per task, which reads the frozen columns of the tasks before it (Rusu et al. 2016)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lasem.benchmarks import Task
from lasem.learners._interface import AbstractLearner, AbstractLearnerOptions, LearnerState, Setup
from lasem.learners._layers import PlainNetwork
from lasem.learners._parameters import at_first_visits
from lasem.learners._status import ParameterCounts
from lasem.learners.prognn._columns import Columns
from lasem.learners.prognn._frozen import FrozenActivations, kept_columns
from lasem.learners.prognn._laterals import Laterals, Start
from lasem.options import Positive, options, require_unset
from lasem.training import TaskTraining, Training, TrainingState, add_prefix, load_values, strip_prefix


@options
class ProgNNOptions(AbstractLearnerOptions):
    """How columns read older ones (Rusu et al. 2016).

    Attributes:
        reduction: Divisor r of the lateral connections. With P older columns, C channels of each are reduced to
            floor(C / (r (P + 1))), at least one. r = 2 is the choice of LASEM's paper. Left out if `form` is "joint".
        form: Whether older columns are reduced each by itself ("per-column", as in LASEM's release), or all together
            to the C channels of the layer's own input ("joint", as Rusu et al. write it).
        start: Initial values of lateral connections: all truncated normal with standard deviation 0.05 ("small"); the
            same with a bias of 0.2 behind the reduction ("release"); or scales of 1 and weights that keep the size of
            what they read ("scaled", He et al. 2015), which a short training can use.
        head: Whether the fully connected layers of the head read older columns too, as in Rusu et al.
    """

    reduction: Positive = 2
    form: Literal["per-column", "joint"] = "per-column"
    start: Start = "small"
    head: bool = False

    def __post_init__(self) -> None:
        if self.form == "joint":
            require_unset(self, "reduction", unless="form is per-column")

    @property
    def laterals(self) -> Laterals:
        """Form and initial values of the connections."""
        return Laterals(reduction=self.reduction, form=self.form, start=self.start, head=self.head)

    def build(self, setup: Setup) -> "ProgressiveNetworks":
        """Build a new learner.

        Raises:
            SpecError: The network is not made of plain convolutions.
        """
        plain = PlainNetwork.of(setup)
        return ProgressiveNetworks(plain, options=self, training=setup.training, seed=setup.seed, device=setup.device)


class ProgressiveNetworks(AbstractLearner):
    """Progressive networks: every task adds a column, and the answers for older tasks never change.

    A task that comes back continues to train its whole column while no other column reads it. After that only its last
    layer and its head are trained, on which no other task's answer depends.

    Args:
        network: Layers of every column.
        options: How columns read older ones.
        training: How a task is trained.
        seed: Seed of batches and dropout.
        device: Where new columns go.
    """

    def __init__(
        self,
        network: PlainNetwork,
        *,
        options: ProgNNOptions | None = None,
        training: Training | None = None,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> None:
        self.options = options or ProgNNOptions()
        self.columns = Columns(network, self.options.laterals)
        self.training = training or Training()
        self._frozen: FrozenActivations | None = None
        self.device = device or torch.device("cpu")
        like = torch.empty(0, device=self.device)
        self.task = TaskTraining(self.training, seed=seed, shape=network.shape, like=like, layers=self.columns.layers)

    def begin_task(self, task: Task) -> None:
        """Open a task with a new column or, if it has come back, with the column that it has.

        Raises:
            DataError: There are too few training images, or they do not fit the network.
            LasemError: Another task is open.
        """
        self.task.check(task)
        identity = self.task.identity_of(task)
        if identity not in self.task.classes:
            self._add_column(identity, task.classes)
        self.task.begin(task, self._trained(identity))

    def _add_column(self, task: int, classes: int) -> None:
        self.columns.grow(task, classes).to(self.device).requires_grad_(False)

    def _trained(self, task: int) -> list[nn.Parameter]:
        """Parameters that a visit of a task trains; nothing else takes gradients."""
        column = self.columns.column(task)
        parameters = (
            list(column.parameters()) if self.columns.is_newest(task) else column.unread(head=self.options.head)
        )
        for parameter in parameters:
            parameter.requires_grad_()
        return parameters

    def train_epoch(self) -> float:
        """Train the open task's column for one epoch and return the mean loss of its batches."""
        losses = [self._step(images, labels) for images, labels in self.task.batches()]
        return self.task.end_epoch(losses)

    def _step(self, images: Tensor, labels: Tensor) -> Tensor:
        task = self.task.identity
        if self._frozen is None and not self.training.augments:
            self._frozen = FrozenActivations(
                self.columns, task, self.task.task.train.images, batch_size=self.training.batch_size
            )
        older = None if self._frozen is None else self._frozen.read(images, self.task.rows)
        logits = self.columns.logits(images, task, drop=self.task.dropout, older=older)
        return self.task.step(F.cross_entropy(logits, labels, label_smoothing=self.task.label_smoothing))

    def end_task(self) -> None:
        """Close the open task and freeze its column."""
        self.task.end()
        self._frozen = None
        self.columns.requires_grad_(False)

    @torch.no_grad()
    def logits(self, images: Tensor, task: int) -> Tensor:
        """Answer with the task's column, without dropout: (B, C, H, W) -> (B, classes)."""
        self.task.check_images(images, task)
        return self.columns.logits(images, task)

    def network(self, task: int) -> nn.Module:
        """Return the task's column and those that it reads, with their own values: (B, C, H, W) -> (B, classes)."""
        self.task.classes_of(task)
        return self.columns.network(task)

    def parameter_counts(self) -> ParameterCounts:
        """Count parameters: a column with its lateral connections belongs to its task, and nothing is shared."""
        sizes = {task: sum(p.numel() for p in self.columns.column(task).parameters()) for task in set(self.task.order)}
        per_task = at_first_visits(self.task.order, sizes)
        return ParameterCounts(shared=0, per_task=per_task, search=self.task.most_trained, rollback=0)

    def kept_bytes(self, images: int, *, older: int) -> int:
        """Return the bytes of what a task keeps of older columns, in single precision.

        Args:
            images: Number of training images of the task.
            older: Number of older columns.
        """
        if self.training.augments:
            return 0
        return 4 * images * self.columns.values_read * kept_columns(self.columns, older, image_values_bytes=4 * images)

    def state(self) -> LearnerState:
        """Return all columns and, for an open task, its optimizer."""
        tensors = self.task.tensors() | add_prefix("backbone.", self.columns.state_dict())
        return LearnerState.of(self.task.values(), tensors)

    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Add the columns in order of arrival, then load their values."""
        values = state.read(TrainingState)
        values.require_fit(task, trained=self.task.order, optimizer=self.task.training.optimizer)
        for identity, classes in values.tasks():
            self._add_column(identity, classes)
        load_values(self.columns, strip_prefix(state.tensors, "backbone."))
        self.task.restore(values)
        if task is not None:
            self.task.begin(task, self._trained(self.task.identity_of(task)))
            self.task.resume(values, state.tensors)
