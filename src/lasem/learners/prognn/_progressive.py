"""ProgNN: a column per task, which reads the frozen columns of the tasks before it (Rusu et al. 2016)."""

import torch
from torch import Generator, Tensor, nn

from lasem.benchmarks import Task
from lasem.learners._held import named, part, restore_values
from lasem.learners._layers import PlainNetwork
from lasem.learners._learner import AbstractLearner, LearnerState, ParameterCounts, Training
from lasem.learners._visits import Visits
from lasem.learners.prognn._columns import Columns
from lasem.search import cross_entropies


class ProgressiveNetworks(AbstractLearner):
    """Adds a column per task; the answers for older tasks never change.

    A task that comes back trains its whole column on while that is the newest. Once another column reads it, its last
    layer and head are trained alone, which no other task's answer depends on.

    Args:
        network: What every column looks like.
        reduction: r; with P older columns, C channels of each are reduced to floor(C / (r (P + 1))), at least one.
        training: How a task is trained.
        seed: Seed of batches and dropout.
        device: Where new columns go.
    """

    def __init__(
        self,
        network: PlainNetwork,
        *,
        reduction: int = 2,
        training: Training | None = None,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> None:
        self.columns = Columns(network, reduction=reduction)
        self.training = training or Training()
        self.device = device or torch.device("cpu")
        self._visits = Visits(self.training, seed=seed, shape=network.shape, like=torch.empty(0, device=self.device))

    def begin_task(self, task: Task) -> None:
        """Add the task's column, or take up the one it has.

        Raises:
            DataError: The training split holds less than one batch, or the images do not fit the network.
            LasemError: Another task is open.
        """
        batches = self._visits.check(task)
        identity = self._visits.identity(task)
        if identity not in self._visits.classes:
            self.columns.grow(identity, task.classes).to(self.device).requires_grad_(False)
        self._visits.open(task, self._trained(identity), batches)

    def _trained(self, task: int) -> list[nn.Parameter]:
        """What a visit of a task trains; nothing else takes gradients."""
        column = self.columns.column(task)
        parameters = list(column.parameters()) if self.columns.newest(task) else column.unread()
        for parameter in parameters:
            parameter.requires_grad_()
        return parameters

    def train_epoch(self) -> float:
        """Shuffle, then learn from every complete batch."""
        task = self._visits.opened.identity
        head = self.columns.column(task).head

        def loss(images: Tensor, labels: Tensor, masks: Generator) -> Tensor:
            features = self._visits.dropout(self.columns.features(images, task), masks)
            return cross_entropies(head(features).unsqueeze(0), labels)[0]

        return self._visits.train_epoch(loss)

    def end_task(self) -> None:
        """Freeze the column."""
        self._visits.close()
        self.columns.requires_grad_(False)

    @torch.no_grad()
    def logits(self, images: Tensor, task: int, *, trial: bool = False) -> Tensor:
        """Answer with the task's column, without dropout."""
        del trial
        self._visits.known(task)
        return self.columns.column(task).head(self.columns.features(images, task))

    def configuration(self, task: int) -> None:
        """None: nothing is chosen."""
        self._visits.known(task)

    def network(self, task: int) -> nn.Module:
        """The task's column and those that it reads, with their own copies of the values."""
        self._visits.known(task)
        return self.columns.network(task)

    def parameter_counts(self) -> ParameterCounts:
        """A column belongs to its task, lateral connections included; nothing is shared."""
        sizes = {
            task: sum(p.numel() for p in self.columns.column(task).parameters()) for task in set(self._visits.order)
        }
        counted = self._visits.counted(sizes)
        return ParameterCounts(shared=0, per_task=counted, search=self._visits.most_trained, rollback=0)

    def state(self) -> LearnerState:
        """All columns, and for an open task its optimizer."""
        state = self._visits.state()
        state.tensors |= named("backbone.", self.columns.state_dict())
        return state

    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Add the columns in order of arrival, then load their values."""
        for identity, classes in self._visits.past(state):
            self.columns.grow(identity, classes).to(self.device).requires_grad_(False)
        restore_values(self.columns, part(state.tensors, "backbone."))
        self._visits.restore(state, task=task, trained=self._trained)
