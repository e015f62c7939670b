"""Selective layer transfer: any search strategy over any mechanism."""

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Generator, Tensor, nn

from lasem.benchmarks import Task
from lasem.configurations import ConfigurationSpace
from lasem.errors import LasemError, require
from lasem.learners._active import Active
from lasem.learners._batches import Batch, Batches, least_images
from lasem.learners._fit import require_fit
from lasem.learners._held import count_parameters, named, part, restore_values
from lasem.learners._learner import AbstractLearner, LearnerState, ParameterCounts, SearchStatus, Training
from lasem.learners._optimizers import OPTIMIZERS
from lasem.learners._updates import Updates
from lasem.nn import Backbone
from lasem.search import AbstractStrategy, Fixed, Schedule, capture, leaf_features


class SelectiveTransfer(AbstractLearner):
    """Shares some layers of a backbone with every task, chosen by a search strategy.

    With `Fixed` strategies it is STL ("none") or a mechanism with a static configuration; with `EM` it is LASEM.

    Args:
        backbone: Stages and heads; new.
        strategy: Chooses each task's configuration.
        training: How a task is trained.
        seed: Seed of batches and dropout.
        redraw_unchosen: Draw shared knowledge anew, at every task, that no task has chosen yet.
        capture: Compile the steps of every task; see `lasem.search.capture`.

    Raises:
        SpecError: The strategy's steps differ from each other, so they cannot be captured.
    """

    def __init__(
        self,
        backbone: Backbone,
        strategy: AbstractStrategy,
        *,
        training: Training | None = None,
        seed: int = 0,
        redraw_unchosen: bool = False,
        capture: bool = False,
    ) -> None:
        require(
            strategy.one_tree or not capture,
            "steps are captured where each runs the same candidates in one tree: fixed configurations, and EM without"
            " epsilon and memory",
            remedy="leave these out, or do without capture",
            strategy=type(strategy).__name__,
        )
        self.backbone = backbone
        self.strategy = strategy
        self.training = training or Training()
        self.seed = seed
        self.redraw_unchosen = redraw_unchosen
        self.capture = capture
        self.space = strategy.space(len(backbone.stages))
        self.active: Active | None = None
        self.epochs_trained = 0
        self._visits: list[int] = []
        self._classes: dict[int, int] = {}
        self._most = {"search": 0, "rollback": 0}

    def begin_task(self, task: Task, *, space: ConfigurationSpace | None = None) -> None:
        """Open a task: fresh branches, a trial copy of the shared knowledge, a new optimizer and a new search.

        A task that comes back goes on training its committed configuration, without a search.

        Args:
            task: The task.
            space: Candidates of a new task; those of the strategy by default.

        Raises:
            DataError: The training split holds less than one batch, or the images do not fit the backbone.
            LasemError: Another task is open.
        """
        require_fit(task, shape=self.backbone.shape, like=next(self.backbone.parameters()))
        identity = len(self._visits) if task.identity is None else task.identity
        committed = self.backbone.configurations.get(identity)
        space = (space or self.space) if committed is None else ConfigurationSpace.only(committed)
        strategy = self.strategy if committed is None else Fixed()
        batches = Batches(
            task,
            size=self.training.batch_size,
            held_out=strategy.held_out,
            seed=self.seed,
            visit=len(self._visits),
        )
        self.backbone.begin_task(identity, classes=task.classes, uses=space.uses, redraw_unchosen=self.redraw_unchosen)
        parameters = self.backbone.task_parameters(identity)
        optimizer = OPTIMIZERS[self.training.optimizer](parameters, self.training.learning_rate)
        schedule = Schedule(batches=batches.number, epochs=self.training.epochs)
        search = strategy.search(space, device=parameters[0].device, schedule=schedule)
        self.active = Active(
            task=task,
            position=len(self._visits),
            identity=identity,
            search=search,
            updates=Updates(optimizer),
            batches=batches,
            features=capture() if self.capture else leaf_features,
        )
        self._visits.append(identity)
        self._classes[identity] = task.classes
        trial = sum(p.numel() for stage in self.backbone.iter_stages() if stage.trial for p in stage.trial.parameters())
        for name, count in (("search", sum(p.numel() for p in parameters)), ("rollback", trial)):
            self._most[name] = max(self._most[name], count)

    def abandon_task(self) -> None:
        """Close the open task as if it had not begun."""
        self.epochs_trained -= self.opened().epoch
        self.backbone.abandon()
        self._visits.pop()
        self.active = None

    @property
    def least_images(self) -> int:
        """A batch; two where the search takes half of the images."""
        return least_images(self.training.batch_size, self.strategy.held_out)

    def load_knowledge(self, values: Mapping[str, Tensor]) -> None:
        """Put values into the backbone, by its parameters' names.

        Knowledge given as kernels is ignored where no stage shares its kernel as it is (TF, DF-CNN).

        Raises:
            LasemError: A name or a shape does not fit.
        """
        names = {name for name, _ in self.backbone.named_parameters()}
        if any(name.endswith(".shared.weight") for name in names):
            self.backbone.load_values(values)
        if self.active is not None:
            self.active.estimated = None

    def train_epoch(self) -> float:
        """Shuffle, then learn from every complete batch."""
        loss = self.opened().train_epoch(self.train_step)
        self.epochs_trained += 1
        return loss

    def train_step(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        masks: Generator | None = None,
        held_out: Iterator[Batch] | None = None,
    ) -> Tensor:
        """Learn from one given minibatch.

        Args:
            images: (B, C, H, W).
            labels: (B,).
            masks: Source of dropout masks; the first epoch's by default.
            held_out: Batches for a search that learns from held-out images; the first epoch's by default.

        Returns:
            The loss, a detached scalar.
        """
        active, rate = self.opened(), self.training.rate(self.epochs_trained)
        source = masks or active.batches.masks(0)
        network = active.open_task(self.backbone, rate=rate, keep=self.training.keep, masks=source, held_out=held_out)
        return active.search.step(network, images, labels)

    def end_task(self) -> None:
        """Commit the leading configuration; restore the knowledge that it does not share."""
        active = self.opened()
        active.estimate(self.backbone)
        self.backbone.commit(active.leading)
        for parameter in self.backbone.parameters():
            parameter.grad = None
        self.active = None

    @torch.no_grad()
    def logits(self, images: Tensor, task: int, *, trial: bool = False) -> Tensor:
        """Answer along the task's configuration, without dropout, normalizing by the task's running statistics."""
        if self.active is not None and self.active.identity == task:
            self.active.estimate(self.backbone)
        on_trial = True if trial else None
        return self.backbone.path_logits(images, task, bits=self.configuration(task), trial=on_trial, running=True)

    def configuration(self, task: int) -> tuple[int, ...]:
        """Committed, or leading for the open task."""
        if self.active is not None and self.active.identity == task:
            return self.active.leading
        return self.backbone.configuration(task)

    def status(self) -> SearchStatus | None:
        """The prior over the space, read from the device."""
        return self.opened().status()

    def posterior(self) -> Tensor | None:
        """Posterior of the last minibatch, (K,), double precision: uniform before the first; None without a search."""
        log_posterior = self.opened().search.log_posterior
        return None if log_posterior is None else log_posterior.exp()

    def network(self, task: int) -> nn.Module:
        """Plain modules with their own copies of the committed values."""
        return self.backbone.network(task)

    def parameter_counts(self) -> ParameterCounts:
        """Shared knowledge counts where a candidate of the space can use it."""
        usable = [shared for _, shared in self.space.uses]
        return count_parameters(self.backbone, usable=usable, visits=self._visits, most=self._most)

    def state(self) -> LearnerState:
        """Parameters, and for an open task its optimizer and search."""
        tensors = named("backbone.", self.backbone.state_dict())
        values: dict[str, object] = {
            "visits": list(self._visits),
            "classes": {str(identity): classes for identity, classes in self._classes.items()},
            "configurations": {str(task): list(bits) for task, bits in self.backbone.configurations.items()},
            "epochs_trained": self.epochs_trained,
            "most": dict(self._most),
            "epoch": None,
        }
        if self.active is not None:
            values["epoch"] = self.active.epoch
            tensors |= self.active.state()
        return LearnerState(tensors=tensors, values=values)

    def restore(self, state: LearnerState, *, task: Task | None, space: ConfigurationSpace | None = None) -> None:
        """Repeat the growth (each task opened and committed), then load the tensors.

        Args:
            state: Of an equal learner.
            task: The task that was open then; None where none was.
            space: With which it was opened; see `begin_task`.
        """
        values = state.values
        classes = {int(key): size for key, size in cast(dict[str, int], values["classes"]).items()}
        for key, bits in cast(dict[str, list[int]], values["configurations"]).items():
            uses = ConfigurationSpace.only(bits).uses
            self.backbone.begin_task(int(key), classes=classes[int(key)], uses=uses)
            self.backbone.commit(bits)
        visits = list(cast(list[int], values["visits"]))
        self._visits = visits[:-1] if task is not None else visits
        if task is not None:
            self.begin_task(task, space=space)
        self._classes = classes
        self._most = dict(cast(dict[str, int], values["most"]))
        self.epochs_trained = cast(int, values["epochs_trained"])
        restore_values(self.backbone, part(state.tensors, "backbone."))
        if self.active is not None:
            self.active.restore(state.tensors, epoch=cast(int, values["epoch"]))

    def opened(self) -> Active:
        """What exists only while a task is learned.

        Raises:
            LasemError: No task is open.
        """
        if self.active is None:
            raise LasemError("this needs an open task - there is none - call begin_task first")
        return self.active
