"""APD: parameters as a masked shared part and a sparse part of the task's own."""

from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from lasem.benchmarks import Task
from lasem.learners._held import named, part
from lasem.learners._layers import Kernel, PlainNetwork
from lasem.learners._learner import AbstractLearner, LearnerState, ParameterCounts, Training
from lasem.learners._visits import Visits
from lasem.learners.apd._decomposition import Decomposition, pruned
from lasem.learners.apd._options import APDOptions
from lasem.learners.apd._packed import Packed
from lasem.learners.apd._store import Part, Store
from lasem.seeds import derive_seed


class APD(AbstractLearner):
    """Additive parameter decomposition (Yoon et al. 2020), on convolutions and fully connected layers.

    The weights of task t are sigma * sigmoid(M_t) + tau_t: a part that all tasks share, masked per unit, and a sparse
    one. While a task is learned, the masks and sparse parts of earlier tasks follow the shared part, so that their
    sum stays where it was. Biases and the output layer are the task's own.

    Args:
        network: The network's layers.
        options: Weights of the penalties, consolidation.
        training: How a task is trained.
        seed: Seed of batches, dropout and consolidation.
        device: Where parameters go.
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
        self._rollback = 0
        self._visits = Visits(self.training, seed=seed, shape=network.shape, like=torch.empty(0, device=self.device))

    def begin_task(self, task: Task) -> None:
        """Begin with a fresh part of the task's own, or with the one that it has where it comes back.

        Raises:
            DataError: The training split holds less than one batch, or the images do not fit the network.
            LasemError: Another task is open.
        """
        batches = self._visits.check(task)
        identity = self._visits.identity(task)
        self._visits.open(task, self._begin(identity, task.classes), batches)
        self._equip()
        self._rollback = max(self._rollback, sum(target.numel() for target in self._opened().targets))

    def _begin(self, identity: int, classes: int) -> list[nn.Parameter]:
        """Open the decomposition of a task; what it trains."""
        kernels = [
            (weight.to(self.device), bias.to(self.device))
            for weight, bias in self.plain.new_kernels(identity, classes=classes)
        ]
        if not self.store.shared:
            self.store.shared = [weight for weight, _ in kernels[: self.decomposed]]
        own = self.store.parts.get(identity) or self._fresh(kernels)
        self.open = Decomposition.of(self.store, identity, own)
        return self.open.parameters

    def _fresh(self, kernels: list[Kernel]) -> Part:
        """A new task's own part."""
        shared = self.store.shared
        start = shared if self.options.start == "shared" else [torch.zeros_like(weight) for weight in shared]
        return Part(
            masks=[torch.zeros_like(bias) for _, bias in kernels[: self.decomposed]],
            own=[Packed.of(weight) for weight in start],
            biases=[bias for _, bias in kernels[: self.decomposed]],
            rest=kernels[self.decomposed :],
        )

    def _equip(self) -> None:
        """Let the optimizer take proximal steps."""
        if self.options.shrinkage == "proximal":

            def shrink(optimizer: Optimizer, *_: object) -> None:
                self._opened().shrink(optimizer, self.options.sparsity)

            self._visits.opened.optimizer.register_step_post_hook(shrink)

    def train_epoch(self) -> float:
        """Shuffle, then learn from every complete batch.

        Returns:
            Mean cross-entropy, without the penalties.
        """
        network, options = self._opened(), self.options

        def loss(images: Tensor, labels: Tensor, masks: Generator) -> Tensor:
            drop = partial(self._visits.dropout, masks=masks)
            entropy = F.cross_entropy(self.plain.logits(images, network.kernels(), drop=drop), labels)
            penalty = options.retention * network.retention()
            if options.shrinkage == "gradient":
                penalty = penalty + options.sparsity * network.norm()
            return entropy + (penalty - penalty.detach())  # its gradient, but not its value

        return self._visits.train_epoch(loss)

    def end_task(self) -> None:
        """Threshold and pack the sparse parts; consolidate where it is time to."""
        identity = self._visits.opened.identity
        new = identity not in self.store.parts
        self._opened().commit(self.store, identity, threshold=self.options.sparsity)
        self._visits.close()
        self.open = None
        number, every = len(self.store.parts), self.options.consolidate_every
        if new and every and number % every == 0:
            groups = self.options.groups * number // every
            seed = derive_seed(self.seed, "consolidation", number)
            self.store.consolidate(groups=groups, gap=self.options.gap, seed=seed)

    @torch.no_grad()
    def logits(self, images: Tensor, task: int, *, trial: bool = False) -> Tensor:
        """Answer with the task's parameters, thresholded, without dropout."""
        return self.plain.logits(images, self._kernels(task, trial=trial))

    @torch.no_grad()
    def trial_logits(self, images: Tensor, task: int) -> Tensor:
        """Answer for an earlier task, (B, C, H, W) -> (B, classes), with what the open task has changed so far."""
        return self.logits(images, task, trial=True)

    def _kernels(self, task: int, *, trial: bool = False) -> list[Kernel]:
        self._visits.known(task)
        if self.open is not None and task == self._visits.learning:
            return self.open.kernels(threshold=self.options.sparsity)
        kernels = self.store.kernels(task)
        if trial and self.open is not None:
            row = self.open.others.index(task)
            weights = [weight[row] for weight in self.open.other_weights(threshold=self.options.sparsity)]
            pairs = zip(weights, kernels, strict=False)
            kernels[: self.decomposed] = [(weight, bias) for weight, (_, bias) in pairs]
        return kernels

    def configuration(self, task: int) -> None:
        """None: every layer is shared in part."""
        self._visits.known(task)

    def network(self, task: int) -> nn.Module:
        """The task's parameters put together, with their own copies of the values."""
        return self.plain.module(self._kernels(task))

    def parameter_counts(self) -> ParameterCounts:
        """Numbers stored; a sparse part counts its values and their places."""
        order = self._visits.order
        sizes = {task: stored.numbers for task, stored in self.store.parts.items()}
        if self.open is not None:
            now = (*self.open.masks, *self.open.biases, *(item for kernel in self.open.rest for item in kernel))
            packed = [Packed.of(pruned(own, self.options.sparsity)) for own in self.open.own]
            sizes[order[-1]] = sum(item.numel() for item in now) + sum(own.numbers for own in packed)
        return ParameterCounts(
            shared=self.store.shared_numbers,
            per_task=self._visits.counted(sizes),
            search=self._visits.most_trained,
            rollback=self._rollback,
        )

    def state(self) -> LearnerState:
        """What is stored, and for an open task what it trains."""
        state = self._visits.state()
        store = self.store.state()
        state.tensors |= named("backbone.", store.tensors)
        state.values |= {"store": store.values, "rollback": self._rollback}
        if self.open is not None:
            state.tensors |= named("open.", self.open.state())
        return state

    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Take over what is stored; for an open task, what it has trained so far."""
        values = state.values
        held = {name: value.to(self.device) for name, value in part(state.tensors, "backbone.").items()}
        self.store = Store.read(held, cast(dict[str, object], values["store"]))
        self._rollback = cast(int, values["rollback"])
        self._visits.restore(state, task=task, trained=lambda identity: self._reopen(identity, state))
        if task is not None:
            self._equip()

    def _reopen(self, identity: int, state: LearnerState) -> list[nn.Parameter]:
        """The open task's decomposition, as it was."""
        classes = cast(dict[str, int], state.values["classes"])[str(identity)]
        trained = self._begin(identity, classes)
        cast(Decomposition, self.open).restore(part(state.tensors, "open."))
        return trained

    def _opened(self) -> Decomposition:
        """The open task's decomposition."""
        self._visits.opened  # noqa: B018 - raises where no task is open
        return cast(Decomposition, self.open)
