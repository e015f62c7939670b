"""APD: weights as shared weights, masked per task, plus sparse weights of the task's own."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lasem.benchmarks import Task
from lasem.errors import LasemError
from lasem.extras import require_packages
from lasem.learners._interface import AbstractLearner, AbstractLearnerOptions, LearnerState, Setup
from lasem.learners._layers import Kernel, PlainNetwork
from lasem.learners._parameters import at_first_visits
from lasem.learners._status import ParameterCounts
from lasem.learners.apd._decomposition import Decomposition
from lasem.learners.apd._packed import PackedTensor
from lasem.learners.apd._store import Store, StoreState, TaskParameters
from lasem.options import Count, NonNegative, Positive, options
from lasem.seeds import derive_seed
from lasem.training import TaskTraining, Training, TrainingState, add_prefix, strip_prefix


class APDState(TrainingState):
    """JSON values of an `APD` learner, as a checkpoint stores them.

    Attributes:
        store: Groups and layers of the stored parameters.
        rollback: Most weights of earlier tasks that were remembered while a task was learned.
    """

    store: StoreState
    rollback: int


@options
class APDOptions(AbstractLearnerOptions):
    """How the parameters of tasks are decomposed (Yoon et al. 2020).

    Attributes:
        sparsity: Weight lambda_1 of the l1 norm of every task's sparse weights. Sparse weights that are no larger when
            a task ends become 0.
        retention: Weight lambda_2 of the squared distance between earlier tasks' weights and their values before the
            task.
        shrinkage: How the l1 norm acts: by proximal steps ("proximal"), or by its gradient as published ("gradient").
        start: Where a task's sparse weights start: at the shared weights ("shared", as in the authors' code), or at
            "zero".
        layers: Which hidden layers are decomposed: "all", or the "convolutions" only; the weights of the others are the
            task's own then.
        consolidate_every: Number of tasks after which sparse weights are consolidated; 0 for never.
        groups: Number K of groups for every `consolidate_every` tasks.
        gap: Largest difference, inside a group, of values that are stored once for the group.
    """

    sparsity: NonNegative = 4e-4
    retention: NonNegative = 100.0
    shrinkage: Literal["proximal", "gradient"] = "proximal"
    start: Literal["shared", "zero"] = "shared"
    layers: Literal["all", "convolutions"] = "all"
    consolidate_every: Count = 0
    groups: Positive = 2
    gap: NonNegative = 1e-2

    def build(self, setup: Setup) -> "APD":
        """Build a new learner.

        Raises:
            SpecError: The network is not made of plain convolutions.
        """
        require_packages("sklearn", what="the learner apd, which groups values by k-means")
        plain = PlainNetwork.of(setup)
        return APD(plain, options=self, training=setup.training, seed=setup.seed, device=setup.device)


class APD(AbstractLearner):
    """Additive parameter decomposition (Yoon et al. 2020), on convolutions and fully connected layers.

    The weights of task t are sigma * sigmoid(M_t) + tau_t: weights that all tasks share, masked per unit, plus sparse
    weights. While a task is learned, the masks and sparse weights of earlier tasks follow the shared weights, so that
    their sum stays where it was. Biases and the output layer are the task's own.

    Args:
        network: Layers of the network.
        options: Weights of the penalties, and consolidation.
        training: How a task is trained.
        seed: Seed of batches, dropout and consolidation.
        device: Where tensors go.
    """

    def __init__(
        self,
        network: PlainNetwork,
        *,
        options: APDOptions | None = None,
        training: Training | None = None,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> None:
        self.plain = network
        self.options = options or APDOptions()
        self.training = training or Training()
        self.seed = seed
        self.device = device or torch.device("cpu")
        self.decomposed = network.num_convs if self.options.layers == "convolutions" else len(network.units)
        self.store = Store()
        self.open: Decomposition | None = None
        like = torch.empty(0, device=self.device)
        self.task = TaskTraining(self.training, seed=seed, shape=network.shape, like=like, freezes_items=True)
        self._rollback = 0

    def begin_task(self, task: Task) -> None:
        """Open a task with fresh parameters of its own or, if it has come back, with those that it has.

        Raises:
            DataError: There are too few training images, or they do not fit the network.
            LasemError: Another task is open.
        """
        self.task.check(task)
        self.open = self._decompose(self.task.identity_of(task), task.classes)
        self.task.begin(task, self.open.parameters)
        self._rollback = max(self._rollback, sum(target.numel() for target in self.open.targets))

    def _decompose(self, identity: int, classes: int) -> Decomposition:
        """Begin the decomposition of a task."""
        kernels = [
            (weight.to(self.device), bias.to(self.device))
            for weight, bias in self.plain.new_kernels(identity, classes=classes)
        ]
        if not self.store.shared:
            self.store.shared = [weight for weight, _ in kernels[: self.decomposed]]
        return Decomposition.of(self.store, identity, self.store.tasks.get(identity) or self._fresh(kernels))

    def _fresh(self, kernels: list[Kernel]) -> TaskParameters:
        """Parameters that a new task begins with; a mask of 0 is a sigmoid of 1/2."""
        shared = self.store.shared
        start = shared if self.options.start == "shared" else [torch.zeros_like(weight) for weight in shared]
        return TaskParameters(
            masks=[torch.zeros_like(bias) for _, bias in kernels[: self.decomposed]],
            sparse=[PackedTensor.of(weight) for weight in start],
            biases=[bias for _, bias in kernels[: self.decomposed]],
            rest=kernels[self.decomposed :],
        )

    def train_epoch(self) -> float:
        """Learn from every batch; after each step, sparse weights take a proximal step.

        Returns:
            Mean cross-entropy of the batches, without the penalties.
        """
        parameters, options, losses = self._parameters, self.options, list[Tensor]()
        for images, labels in self.task.batches():
            logits = self.plain.logits(images, parameters.kernels(), drop=self.task.dropout)
            penalty = options.retention * parameters.retention()
            if options.shrinkage == "gradient":
                penalty = penalty + options.sparsity * parameters.norm()
            # The reported loss is the cross-entropy: of the penalty only the gradient counts.
            losses.append(
                self.task.step(
                    F.cross_entropy(logits, labels, label_smoothing=self.task.label_smoothing)
                    + (penalty - penalty.detach())
                )
            )
            if options.shrinkage == "proximal":
                parameters.shrink(self.task.optimizer, options.sparsity, finite=self.task.finite)
        return self.task.end_epoch(losses)

    def end_task(self) -> None:
        """Threshold and store the sparse weights; consolidate them if it is time to."""
        parameters, identity = self._parameters, self.task.identity
        new = identity not in self.store.tasks
        parameters.commit(self.store, identity, threshold=self.options.sparsity)
        self.task.end()
        self.open = None
        number, every = len(self.store.tasks), self.options.consolidate_every
        if new and every and number % every == 0:
            groups = self.options.groups * number // every
            seed = derive_seed(self.seed, "consolidation", number)
            self.store.consolidate(groups=groups, gap=self.options.gap, seed=seed)

    @torch.no_grad()
    def logits(self, images: Tensor, task: int) -> Tensor:
        """Answer with the task's parameters, thresholded, without dropout: (B, C, H, W) -> (B, classes)."""
        self.task.check_images(images, task)
        return self.plain.logits(images, self._kernels(task))

    @torch.no_grad()
    def trial_logits(self, images: Tensor, task: int) -> Tensor:
        """Answer for an earlier task with what its parameters have become in the open task."""
        kernels = self._kernels(task)
        if self.open is not None and task in self.open.others:
            row = self.open.others.index(task)
            weights = [weight[row] for weight in self.open.other_weights(threshold=self.options.sparsity)]
            pairs = zip(weights, kernels, strict=False)
            kernels[: self.decomposed] = [(weight, bias) for weight, (_, bias) in pairs]
        return self.plain.logits(images, kernels)

    def _kernels(self, task: int) -> list[Kernel]:
        self.task.classes_of(task)
        if self.open is not None and task == self.task.open_identity:
            return self.open.kernels(threshold=self.options.sparsity)
        return self.store.kernels(task)

    def network(self, task: int) -> nn.Module:
        """Return the network of a task with its weights put together: (B, C, H, W) -> (B, classes)."""
        return self.plain.module(self._kernels(task))

    def parameter_counts(self) -> ParameterCounts:
        """Count the numbers that are stored; sparse weights count their values and their positions."""
        sizes = {task: parameters.numbers for task, parameters in self.store.tasks.items()}
        if self.open is not None:
            sizes[self.task.identity] = self.open.own_parameters(threshold=self.options.sparsity).numbers
        return ParameterCounts(
            shared=self.store.shared_numbers,
            per_task=at_first_visits(self.task.order, sizes),
            search=self.task.most_trained,
            rollback=self._rollback,
        )

    def state(self) -> LearnerState:
        """Return what is stored and, for an open task, what it trains."""
        store, tensors = self.store.state()
        opened = {} if self.open is None else self.open.state()
        values = APDState(**dict(self.task.values()), store=store, rollback=self._rollback)
        prefixed = add_prefix("backbone.", tensors) | add_prefix("open.", opened)
        return LearnerState.of(values, self.task.tensors() | prefixed)

    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Take over what is stored and, for an open task, what it has trained so far."""
        values = state.read(APDState)
        values.require_fit(task, trained=self.task.order, optimizer=self.task.training.optimizer)
        tensors = {name: tensor.to(self.device) for name, tensor in strip_prefix(state.tensors, "backbone.").items()}
        self.store = Store.read(values.store, tensors)
        self._rollback = values.rollback
        self.task.restore(values)
        if task is not None:
            self.open = self._decompose(self.task.identity_of(task), task.classes)
            self.open.restore(strip_prefix(state.tensors, "open."))
            self.task.begin(task, self.open.parameters)
            self.task.resume(values, state.tensors)

    @property
    def _parameters(self) -> Decomposition:
        """The open task's decomposition."""
        if self.open is None:
            raise LasemError("a task must be open to be trained (got none); call begin_task first")
        return self.open
