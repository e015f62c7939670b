"""EWC: all layers are shared, and held the firmer the more earlier tasks depend on them (Kirkpatrick et al. 2017)."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from lasem.benchmarks import Split, Task
from lasem.errors import require
from lasem.learners._batches import Batches
from lasem.learners._fisher import Outcomes, Quadratic, fisher_diagonal
from lasem.learners._held import named, part, restore_values
from lasem.learners._learner import AbstractLearner, LearnerState, ParameterCounts, Training
from lasem.learners._parameters import count_parameters
from lasem.learners._visits import Visits
from lasem.nn import Backbone
from lasem.search import cross_entropies
from lasem.seeds import derive_seed


class ElasticWeightConsolidation(AbstractLearner):
    """Fine-tunes shared knowledge on every task under a quadratic penalty around what earlier tasks settled on.

    With a weight of 0 it is the static configuration "all". Heads and mappings are a task's own and not penalized.

    Args:
        backbone: Stages and heads; new.
        penalty_weight: lambda; the penalty is lambda / 2 sum_tasks sum_j F_j (theta_j - theta*_j)^2.
        online: One running penalty instead of one per task: around the latest weights, older information fading.
        decay: gamma, by which older information fades at every task of the online form.
        fisher: Over which classes the information is averaged; see `fisher_diagonal`.
        training: How a task is trained.
        seed: Seed of batches, dropout and sampled classes.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        penalty_weight: float = 400.0,
        online: bool = False,
        decay: float = 0.95,
        fisher: Outcomes = "exact",
        training: Training | None = None,
        seed: int = 0,
    ) -> None:
        require(0 <= penalty_weight < inf, "a weight is at least 0", penalty_weight=penalty_weight)
        require(0 <= decay <= 1, "older information keeps a share between 0 and 1", decay=decay)
        self.backbone = backbone
        self.penalty_weight = penalty_weight
        self.online = online
        self.decay = decay
        self.fisher: Outcomes = fisher
        self.training = training or Training()
        self.seed = seed
        self.penalty = Quadratic()
        """Of the tasks that have ended, without lambda / 2."""
        self._visits = Visits(self.training, seed=seed, shape=backbone.shape, like=next(backbone.parameters()))
        self._most_kept = 0
        self._estimated = False

    @property
    def _bits(self) -> tuple[int, ...]:
        return (1,) * len(self.backbone.stages)

    def begin_task(self, task: Task) -> None:
        """Open a task on a trial copy of the shared knowledge, with a fresh mapping and head.

        Raises:
            DataError: The training split holds less than one batch, or the images do not fit the network.
            LasemError: Another task is open.
        """
        batches = self._visits.check(task)
        identity = self._visits.identity(task)
        self._grow(identity, task.classes)
        self._visits.open(task, self.backbone.task_parameters(identity), batches)
        self._most_kept = sum(value.numel() for value in self._knowledge().values())

    def _grow(self, task: int, classes: int) -> None:
        self.backbone.begin_task(task, classes=classes, uses=[(False, True)] * len(self._bits))

    def _knowledge(self) -> dict[str, nn.Parameter]:
        """The shared parameters by name: the trial copy while a task is open."""
        stages = self.backbone.iter_stages()
        held = {stage.index: stage.shared if stage.trial is None else stage.trial for stage in stages}
        return {f"{index}.{name}": value for index, module in held.items() for name, value in module.named_parameters()}

    def load_knowledge(self, values: Mapping[str, Tensor]) -> None:
        """Put values into the backbone, where its stages share kernels as they are."""
        if any(name.endswith(".shared.weight") for name, _ in self.backbone.named_parameters()):
            self.backbone.load_values(values)

    def train_epoch(self) -> float:
        """Shuffle, then learn from every complete batch, under the penalty."""
        task = self._visits.opened.identity
        self._estimated = False

        def loss(images: Tensor, labels: Tensor, masks: Generator) -> Tensor:
            branches = [fork.branch(1) for fork in self.backbone.forks(task)]
            features = self.backbone.walk(images, lambda stage, hidden: branches[stage](hidden))
            dropped = self._visits.dropout(features.squeeze(0), masks).unsqueeze(0)
            data = cross_entropies(self.backbone.heads[str(task)](dropped), labels)[0]
            return data + sum(term for _, term in self.backbone.penalties(task)) + self._held()

        return self._visits.train_epoch(loss)

    def _held(self) -> Tensor | float:
        """The penalty; 0 before a task has ended."""
        if not self.penalty.precision or self.penalty_weight == 0:
            return 0.0
        return self.penalty_weight / 2 * self.penalty(self._knowledge())

    def end_task(self) -> None:
        """Commit, and add the task's information to the penalty."""
        visit = self._visits.opened
        self._estimate(visit.batches)
        self.backbone.commit(self._bits)
        self._visits.close()
        if self.penalty_weight > 0:
            self._consolidate(visit.identity, visit.task.train)
        for parameter in self.backbone.parameters():
            parameter.grad = None

    def _estimate(self, batches: Batches) -> None:
        """Estimate the open task's running statistics, if they are out of date."""
        if self.backbone.normalizes and not self._estimated:
            task = self._visits.opened.identity
            self.backbone.estimate_statistics(batches.unlabeled(), task, bits=self._bits)
            self._estimated = True

    def _consolidate(self, task: int, split: Split) -> None:
        knowledge = self._knowledge()
        place = derive_seed(self.seed, "fisher", len(self._visits.order))
        answers = Answers(self.backbone, task)
        precision = fisher_diagonal(
            lambda values, images: functional_call(answers, answers.named(values), (images,)),
            knowledge,
            split,
            outcomes=self.fisher,
            source=torch.Generator().manual_seed(place),
        )
        center = {name: value.detach() for name, value in knowledge.items()}
        faded = self.penalty.faded(self.decay, precision, center) if self.online else None
        self.penalty = faded or self.penalty.plus(precision, center)

    @torch.no_grad()
    def logits(self, images: Tensor, task: int, *, trial: bool = False) -> Tensor:
        """Answer without dropout, normalizing by the task's running statistics."""
        if task == self._visits.learning:
            self._estimate(self._visits.opened.batches)
        self._visits.known(task)
        on_trial = True if trial else None
        return self.backbone.path_logits(images, task, bits=self._bits, trial=on_trial, running=True)

    def status(self) -> None:
        """Return None: nothing is searched."""

    def trial_logits(self, images: Tensor, task: int) -> Tensor:
        """Answer for an earlier task, (B, C, H, W) -> (B, classes), with what the open task has changed so far."""
        return self.logits(images, task, trial=True)

    def configuration(self, task: int) -> tuple[int, ...]:
        """Every layer is shared."""
        self._visits.known(task)
        return self._bits

    def network(self, task: int) -> nn.Module:
        """Plain modules with their own copies of the committed values."""
        return self.backbone.network(task)

    def parameter_counts(self) -> ParameterCounts:
        """Beside parameters are held the information and the weights that it is centered on."""
        visits, most = self._visits.order, {"search": self._visits.most_trained, "rollback": self._most_kept}
        counts = count_parameters(self.backbone, usable=[True] * len(self._bits), visits=visits, **most)
        beside = sum(precision.numel() for precision in self.penalty.precision.values())
        return replace(counts, beside=2 * beside)

    def state(self) -> LearnerState:
        """Parameters, the penalty, and for an open task its optimizer."""
        state = self._visits.state()
        state.values |= {"most_kept": self._most_kept, "constant": self.penalty.constant}
        state.tensors |= named("backbone.", self.backbone.state_dict())
        state.tensors |= named("precision.", self.penalty.precision) | named("center.", self.penalty.center)
        return state

    def restore(self, state: LearnerState, *, task: Task | None) -> None:
        """Repeat the growth (each task opened and committed), then load the tensors."""
        values = state.values
        for identity, classes in self._visits.past(state, ended=task is not None):
            self._grow(identity, classes)
            self.backbone.commit(self._bits)
        if task is not None:
            self._grow(cast(list[int], values["visits"])[-1], task.classes)
        restore_values(self.backbone, part(state.tensors, "backbone."))
        self._visits.restore(state, task=task, trained=self.backbone.task_parameters)
        self._most_kept = cast(int, values["most_kept"])
        device = next(self.backbone.parameters()).device
        precision, center = (
            {name: value.to(device, copy=True) for name, value in part(state.tensors, f"{kind}.").items()}
            for kind in ("precision", "center")
        )
        self.penalty = Quadratic(precision, center, cast(float, values["constant"]))


class Answers(nn.Module):
    """What a backbone answers for a task between tasks, as a module of the backbone's parameters."""

    def __init__(self, backbone: Backbone, task: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.task = task

    @staticmethod
    def named(knowledge: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Shared knowledge, named ``{stage}.{name}``, by the names that it has in here."""
        parts = [(name.partition("."), value) for name, value in knowledge.items()]
        return {f"backbone.stages.{stage}.shared.{name}": value for (stage, _, name), value in parts}

    def forward(self, images: Tensor) -> Tensor:
        """Log-likelihoods: (B, C, H, W) -> (B, classes)."""
        return self.backbone.path_logits(images, self.task, running=True).log_softmax(1)
