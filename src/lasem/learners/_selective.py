"""Selective layer transfer: any search strategy over any mechanism."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from lasem.benchmarks import Task
from lasem.configurations import OWN, SHARED, ConfigurationSpace
from lasem.errors import LasemError, require
from lasem.learners._interface import AbstractLearner, LearnerState
from lasem.learners._parameters import count_parameters, count_trial, layers_of
from lasem.learners._retention import Retention, RetentionOptions, RetentionStatus
from lasem.learners._selective_state import Most, SelectiveState, read_state
from lasem.learners._status import ParameterCounts, SearchStatus
from lasem.nn import Backbone
from lasem.search import AbstractSearch, AbstractStrategy, Fixed, Front, Schedule, TaskNetwork, capture, leaf_features
from lasem.seeds import derive_seed
from lasem.training import (
    TaskTraining,
    Training,
    add_prefix,
    copy_values,
    fit_head,
    least_images,
    load_values,
    require_images,
    strip_prefix,
)


class SelectiveTransfer(AbstractLearner):
    """Shares some layers of a backbone with every task, chosen by a search strategy.

    With a `Fixed` strategy it is single-task learning ("none") or a mechanism with a static configuration; with `EM` it
    is LASEM.

    Args:
        backbone: Stages and heads; new.
        strategy: How each task's configuration is chosen.
        training: How a task is trained.
        seed: Seed of batches and dropout.
        redraw_unchosen: Draw shared knowledge that no task has chosen yet anew at every task.
        retention: Hold shared knowledge near what earlier tasks need; None lets it move freely.
        capture: Compile the steps of every task; see `lasem.search.capture`.

    Attributes:
        task: Training of the open task, and which tasks were trained before.
        space: Candidates of a new task.
        front: Stages in front of the network that the open task does not train; None before the first task.

    Raises:
        SpecError: The strategy's steps differ from each other, so they cannot be compiled.
    """

    def __init__(
        self,
        backbone: Backbone,
        strategy: AbstractStrategy,
        *,
        training: Training | None = None,
        seed: int = 0,
        redraw_unchosen: bool = False,
        retention: RetentionOptions | None = None,
        capture: bool = False,
    ) -> None:
        require(
            isinstance(strategy, AbstractStrategy),
            "strategy must be an object of a strategy",
            remedy="write for example EM()",
            strategy=strategy,
        )
        require(
            (strategy.one_tree and not backbone.stochastic) or not capture,
            "all steps must run the same candidates in one tree to be captured, without dropout in stages, as fixed"
            " configurations and EM without epsilon and memory do",
            remedy="leave these out, or do without capture",
            strategy=type(strategy).__name__,
        )
        self.backbone, self.strategy = backbone, strategy
        self.training = training or Training()
        self.redraw_unchosen = redraw_unchosen
        self.retention = None if retention is None else Retention(retention)
        self.capture = capture
        self.space = strategy.space(len(backbone.stages), branches=backbone.branches)
        like = next(backbone.parameters())
        self.task = TaskTraining(
            self.training, seed=seed, shape=backbone.shape, like=like, layers=layers_of(backbone), fits_heads=True
        )
        self._search: AbstractSearch | None = None
        self.front: Front | None = None
        self._most_rollback = 0
        self._estimated: tuple[int, ...] | None = None

    @property
    def search(self) -> AbstractSearch:
        """Search of the open task.

        It raises a LasemError if no task is open.
        """
        if self._search is None:
            raise LasemError("a task must be open for this (got none); call begin_task first")
        return self._search

    def begin_task(self, task: Task, *, space: ConfigurationSpace | None = None) -> None:
        """Open a task: fresh branches, a trial copy of the shared knowledge, a new optimizer and a new search.

        A task that comes back trains its committed configuration further, without a search.

        Args:
            task: The task.
            space: Candidates of a new task; those of the strategy by default.

        Raises:
            DataError: The training split holds less than one batch, or the images do not fit the backbone.
            LasemError: Another task is open.
        """
        self._open(task, space=space)
        if self.training.head_penalty is not None and self.task.identity not in self.backbone.configurations:
            self._fit_head(self.training.head_penalty)

    def _open(self, task: Task, *, space: ConfigurationSpace | None) -> None:
        """Open a task without fitting its head, as a learner does that is restored; see `begin_task`."""
        identity = self.task.identity_of(task)
        committed = self.backbone.configurations.get(identity)
        if not self.backbone.configurations and self.strategy.starts_shared:
            committed = (1,) * len(self.backbone.stages)  # there is no shared knowledge yet to choose
        space = (space or self.space) if committed is None else ConfigurationSpace.only(committed)
        strategy = self.strategy if committed is None else Fixed()
        strategy.check_epochs(self.training.epochs)
        self.task.check(task, held_out=strategy.held_out)
        self.backbone.begin_task(identity, classes=task.classes, uses=space.uses, redraw_unchosen=self.redraw_unchosen)
        self.task.begin(task, self.backbone.task_parameters(identity), held_out=strategy.held_out)
        images, limit = self.task.sources.num_images, self.training.front_bytes
        self.front = Front.find(self.backbone, identity, space=space, images=images, limit=limit)
        features = capture() if self.capture else leaf_features
        retention = self.retention and self.retention.penalty(len(task.train))
        network = TaskNetwork(self.backbone, identity, features=features, retention=retention, front=len(self.front))
        schedule = Schedule(batches=self.task.batches_per_epoch, epochs=self.training.epochs)
        self._search = strategy.search(space, network=network, schedule=schedule)
        self._estimated = None
        self._most_rollback = max(self._most_rollback, count_trial(self.backbone))

    def _fit_head(self, penalty: float) -> None:
        """Fit the head of the open task to the features of the candidate that takes the most that is known already."""
        digits = min(self.search.space.layer_digits, key=lambda path: (path.count(OWN), path.count(SHARED)))
        identity, batches = self.task.identity, [batch for _, batch in self.task.sources.epoch(0)]
        with torch.no_grad():
            features = [self.backbone.path_features(images, identity, digits=digits) for images, _ in batches]
        labels = torch.cat([labels for _, labels in batches])
        with torch.enable_grad():
            fit_head(self.backbone.heads[str(identity)], torch.cat(features), labels, penalty=penalty)

    def train_epoch(self) -> float:
        """Train the open task for one epoch and return the mean loss of its batches.

        It raises what `begin_epoch`, `train_step` and `end_epoch` raise.
        """
        self.begin_epoch()
        losses = [self.search.step(self.task, images, labels) for images, labels in self.task.batches(features=True)]
        return self.end_epoch(losses)

    def begin_epoch(self) -> None:
        """Begin an epoch of a loop of your own, which calls `train_step` for every batch, and `end_epoch` at its end.

        Raises:
            LasemError: No task is open, the epoch before was interrupted, or gradients are switched off.
        """
        if self.search.decision.settled is not None:
            self.task.sources.return_half()
        if self.front:
            self.task.sources.keep_features(self.front)
        self.task.begin_epoch()
        self._estimated = None
        self.search.start_epoch()

    def train_step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Train the open task on one batch of any size, (B, C, H, W) and (B,); return the loss, a detached scalar.

        Raises:
            LasemError: No epoch was begun, or the batch does not fit the network.
            RunError: The loss or a gradient is not finite.
        """
        self.task.take_batch(images, labels)
        self._estimated = None
        return self.search.step(self.task, self.front.features(images) if self.front else images, labels)

    def end_epoch(self, losses: Sequence[Tensor]) -> float:
        """End an epoch, so that the learning rate decays; return the mean of what `train_step` gave for its batches.

        Raises:
            LasemError: No epoch was begun, or there is no loss.
            RunError: On a device, a loss or a gradient was not finite.
        """
        return self.task.end_epoch(losses)

    def end_task(self) -> None:
        """Commit the leading configuration; restore the knowledge that it does not share."""
        leading, task, identity = self._leading(), self.task.task, self.task.identity
        self._estimate()
        self.backbone.commit(leading)
        self.task.end()
        self._search = None
        if self.retention is not None:
            seed = derive_seed(self.task.seed, "fisher", len(self.task.order))
            self.retention.consolidate(self.backbone, identity, task.train, seed=seed)

    def abandon_task(self) -> None:
        """Close the open task as if it had not begun."""
        self.task.abandon()
        self.backbone.abandon()
        self._search = None

    @property
    def least_images(self) -> int:
        """Fewest training images of a task: one batch, or two if the search takes half of the images."""
        return least_images(self.training.batch_size, self.strategy.held_out)

    def load_knowledge(self, values: Mapping[str, Tensor]) -> None:
        """Load values into the backbone, by the names of its parameters.

        Knowledge given as kernels is ignored if no stage shares its kernel as it is (TF, DF-CNN).

        Raises:
            LasemError: A name or a shape does not fit.
        """
        if any(name.endswith(".shared.weight") for name, _ in self.backbone.named_parameters()):
            self.backbone.load_values(values)
            if self.retention is not None:  # earlier tasks needed the values that are gone
                stages = range(len(self.backbone.stages))
                self.retention.forget(
                    stage for stage in stages if any(name.startswith(f"stages.{stage}.") for name in values)
                )
        if self.task.open_identity is not None:
            self.task.sources.drop_features()
        self._estimated = None

    @torch.no_grad()
    def logits(self, images: Tensor, task: int) -> Tensor:
        """Answer along the task's configuration, without dropout: (B, C, H, W) -> (B, classes)."""
        return self._logits(images, task, trial=None)

    @torch.no_grad()
    def trial_logits(self, images: Tensor, task: int) -> Tensor:
        """Answer for an earlier task, (B, C, H, W) -> (B, classes), with what the open task has changed so far."""
        return self._logits(images, task, trial=True)

    def _logits(self, images: Tensor, task: int, *, trial: bool | None) -> Tensor:
        if self.task.open_identity == task:
            self._estimate()
        require_images(images, shape=self.backbone.shape, like=next(self.backbone.parameters()))
        return self.backbone.path_logits(images, task, digits=self.configuration(task), trial=trial, running=True)

    def _leading(self) -> tuple[int, ...]:
        """Configuration that would be committed now, one digit per stage."""
        return self.search.space.layer_digits[self.search.leader()]

    def _estimate(self) -> None:
        """Estimate the open task's running statistics along its leading configuration, if they are out of date."""
        leading = self._leading()
        if self.backbone.normalizes and self._estimated != leading:
            self.backbone.estimate_statistics(self.task.unlabeled_batches(), self.task.identity, digits=leading)
            self._estimated = leading

    def configuration(self, task: int) -> tuple[int, ...]:
        """Return one digit per stage: the committed ones, or the leading candidate's for the open task."""
        return self._leading() if self.task.open_identity == task else self.backbone.configuration(task)

    def unaffected(self, task: int, *, by: int) -> bool:
        """Return whether no stage is shared by both committed tasks, so that one left the other's answers alone."""
        digits = zip(self.configuration(task), self.configuration(by), strict=True)
        return task != by and all(pair != (SHARED, SHARED) for pair in digits)

    def status(self) -> SearchStatus | None:
        """Return how far the search of the open task has come, read from the device; None if nothing is searched."""
        return SearchStatus.of(self.search)

    def retained(self) -> RetentionStatus | None:
        """Return how earlier tasks hold the shared knowledge while a task is open; None without retention."""
        return self.retention and self.retention.status(self.backbone, len(self.task.task.train))

    def posterior(self) -> Tensor | None:
        """Return the posterior of the last batch, (K,) in double precision, uniform before it; None without search."""
        return None if self.search.log_posterior is None else self.search.log_posterior.exp()

    def network(self, task: int) -> nn.Module:
        """Return the committed network of a task as plain modules with their own values."""
        return self.backbone.network(task)

    def parameter_counts(self) -> ParameterCounts:
        """Count parameters; shared knowledge and initial values count if a candidate of the space can use them."""
        most = {"search": self.task.most_trained, "rollback": self._most_rollback}
        counts = count_parameters(self.backbone, uses=self.space.uses, visits=self.task.order, **most)
        return counts if self.retention is None else replace(counts, beside=self.retention.num_values)

    def state(self) -> LearnerState:
        """Return all parameters, and the search and the optimizer of an open task."""
        values = SelectiveState(
            **dict(self.task.values()),
            configurations=self.backbone.configurations,
            most=Most(search=self.task.most_trained, rollback=self._most_rollback),
            constants=self.retention.constants if self.retention else {},
        )
        tensors = add_prefix("backbone.", self.backbone.state_dict()) | self.task.tensors()
        if self._search is not None:
            tensors |= add_prefix("search.", self._search.state())
        tensors |= self.retention.tensors() if self.retention else {}
        return LearnerState.of(values, tensors)

    def restore(self, state: LearnerState, *, task: Task | None, space: ConfigurationSpace | None = None) -> None:
        """Continue from a state: open and commit every task again to grow the network, then load all tensors.

        Args:
            state: State of a learner that was built alike.
            task: The task that was open then; None if none was.
            space: Space with which it was opened; see `begin_task`.
        """
        values = read_state(state, stages=len(self.backbone.stages))
        values.require_fit(task, trained=self.task.order, optimizer=self.task.training.optimizer)
        self.task.restore(values)
        for identity, digits in values.configurations.items():
            uses = ConfigurationSpace.only(digits).uses
            self.backbone.begin_task(identity, classes=values.classes[identity], uses=uses)
            self.backbone.commit(digits)
        self.task.most_trained, self._most_rollback = values.most.search, values.most.rollback
        if self.retention is not None:
            device = next(self.backbone.parameters()).device
            self.retention.restore(state.tensors, values.constants, device=device)
        if task is not None:
            self._open(task, space=space)
        load_values(self.backbone, strip_prefix(state.tensors, "backbone."))
        self.task.resume(values, state.tensors)
        if self._search is not None:
            copy_values(self._search.state(), strip_prefix(state.tensors, "search."))
