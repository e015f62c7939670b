"""A backbone: stages in sequence, a head per task, and the transaction by which a task changes them."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Unpack

import torch
from torch import Tensor, nn

from lasem.configurations import OWN, SHARED
from lasem.errors import LasemError
from lasem.nn._backbone_checks import (
    count_branches,
    require_digits,
    require_none_open,
    require_open,
    require_uses,
)
from lasem.nn._branch import Fork
from lasem.nn._features import FlattenPositionsFirst, flatten_features
from lasem.nn._initializers import MakeHead, generator
from lasem.nn._norm import average
from lasem.nn._parameters import Module, load_parameters, place
from lasem.nn._randomness import refuse_dropout
from lasem.nn._skips import Skip, SkipSequential, walk
from lasem.nn._stage import Stage, TransferModule
from lasem.nn._template import BATCH
from lasem.seeds import derive_seed

if TYPE_CHECKING:
    from lasem.nn._cut import CutOptions


class Backbone(nn.Module):
    """A network that several tasks share: its stages, a head per task, and all of their parameters.

    Parameters are named ``stages.{l}.shared.*`` (knowledge), ``stages.{l}.trial.*`` (its copy while a task is learned),
    ``stages.{l}.own.{task}.*``, ``stages.{l}.mapping.{task}.*`` and ``heads.{task}.*``, with l from 0. Layers with
    batch norm have buffers ``stages.{l}.statistics.{task}.*``; stages with a branch that reads initial values have
    buffers ``stages.{l}.initial.*``.

    Args:
        layers: One transferable layer per stage, from input to output.
        shape: (C, H, W) of an image.
        head: Builds a task's output layers.
        seed: Seed of all initial values.
        skips: Identity connections around stages.
        memory_format: Layout of images and kernels.

    Attributes:
        branches: Number of branches of every stage: 2 (own and shared), or 3 with the frozen one.

    Raises:
        SpecError: Some stages have a frozen branch and others have none, or a stage does not fit the one before.
    """

    def __init__(
        self,
        layers: Sequence[TransferModule],
        *,
        shape: tuple[int, ...],
        head: MakeHead,
        seed: int = 0,
        skips: Sequence[Skip] = (),
        memory_format: torch.memory_format = torch.channels_last,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(Stage(layer, index=i, seed=seed) for i, layer in enumerate(layers))
        self.branches = count_branches(layers)
        self.heads = nn.ModuleDict()
        self.configurations: dict[int, tuple[int, ...]] = {}
        self.shape = shape
        self.make_head = head
        self.seed = seed
        self.memory_format = memory_format
        self.skips = tuple(skips)
        self.normalizes = any(stage.template.normalizes for stage in self.iter_stages())
        self.learning: int | None = None
        self.num_features = prod(self.output_shapes()[-1])
        self.stochastic = any(stage.template.stochastic for stage in self.iter_stages())
        self._place(self)

    @staticmethod
    def of(model: nn.Module, **options: Unpack["CutOptions"]) -> "Backbone":
        """Cut a backbone out of any module, with heads in place of its classifier; see `lasem.nn.CutOptions`."""
        from lasem.nn._cut import cut_backbone

        return cut_backbone(model, **options)

    def output_shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of an image and of the result of every stage, skips included.

        Raises:
            SpecError: A stage does not run on what the stage before gives, or a skip joins different shapes.
        """
        ends, shapes = {skip.end: skip for skip in self.skips}, [self.shape]
        for number, stage in enumerate(self.iter_stages()):
            result = stage.output_shape(shapes[-1])
            skip = ends.get(number)
            shapes.append(result if skip is None else skip.output_shape(result, source=shapes[skip.start]))
        return shapes

    def multiply_adds(self) -> list[int]:
        """Count multiply-adds of every stage for one image, from a run without values: (d,)."""
        from torch.utils.flop_counter import FlopCounterMode  # takes half a second to import

        counts: list[int] = []
        for stage, shape in zip(self.iter_stages(), self.output_shapes(), strict=False):
            with FlopCounterMode(display=False) as counter:
                stage.output_shape(shape)
            counts.append(counter.get_total_flops() // 2 // BATCH)
        return counts

    def iter_stages(self) -> Iterator[Stage]:
        """Iterate over the stages from input to output, with their type."""
        return (stage for stage in self.stages if isinstance(stage, Stage))

    def begin_task(
        self, task: int, *, classes: int, uses: Sequence[tuple[bool, ...]], redraw_unchosen: bool = False
    ) -> None:
        """Open a task: a trial copy of the shared knowledge, fresh branches and a fresh head.

        A task that comes back keeps its parameters; only the trial copy is made.

        Args:
            task: Identity of the task.
            classes: Number of its classes.
            uses: Per stage, whether the task may take each of the branches, by digit: (own, shared) or (own, shared,
                frozen).
            redraw_unchosen: Draw shared knowledge anew that no task has chosen yet.

        Raises:
            LasemError: Another task is still being learned.
        """
        require_uses(uses, stages=len(self.stages), branches=self.branches)
        require_none_open(self.learning, following=task)
        chosen = [SHARED in digits for digits in zip(*self.configurations.values(), strict=True)]
        for stage, (own, shared, *_) in zip(self.iter_stages(), uses, strict=True):
            if redraw_unchosen and not (chosen and chosen[stage.index]):
                stage.shared = self._place(stage.redraw_shared(task))
            if task not in self.configurations:
                stage.add_task(task, own=own, shared=shared, place=self._place)
            if shared:
                stage.open_trial()
        if str(task) not in self.heads:
            source = generator(derive_seed(self.seed, "head", task))
            head = self.make_head(self.num_features, classes, source)
            refuse_dropout(head)
            self.heads[str(task)] = self._place(head).eval()
        self.learning = task

    def commit(self, digits: Sequence[int]) -> None:
        """End the open task with this configuration, one digit per stage: keep one branch of each, free the other.

        At stages that it shares, the trial copy becomes the shared knowledge. At all others the shared knowledge stays
        as it was before the task.

        Raises:
            LasemError: No task is open, or the configuration has another length or needs a branch that is missing.
        """
        identity = require_open(self.learning, end="committed")
        require_digits(digits, stages=len(self.stages))
        # Every stage is asked for its branch before any is changed, so that a refused commit changes nothing.
        for stage, digit in zip(self.iter_stages(), digits, strict=True):
            stage.fork(identity, trial=True).branch(digit)
        for stage, digit in zip(self.iter_stages(), digits, strict=True):
            stage.commit(identity, int(digit))
        self.configurations[identity] = tuple(digits)
        self.learning = None

    def abandon(self) -> None:
        """End the open task as if it had not begun: drop its trial copies and, if it is new, all that it added."""
        identity = require_open(self.learning, end="abandoned")
        new = identity not in self.configurations
        for stage in self.iter_stages():
            stage.abandon(identity, new=new)
        if new:
            del self.heads[str(identity)]
        self.learning = None

    def detach(self, task: int, digits: Sequence[int]) -> None:
        """Give a committed task its own copy of the stages that it shares and that another configuration does not."""
        before = self.configuration(task)
        detached = [old == SHARED != new for old, new in zip(before, digits, strict=True)]
        for stage, leaves in zip(self.iter_stages(), detached, strict=True):
            if leaves:
                stage.detach(task)
                self._place(stage.own[str(task)])
        self.configurations[task] = tuple(OWN if leaves else old for old, leaves in zip(before, detached, strict=True))

    def forks(
        self, task: int, *, trial: bool | None = None, running: bool = False, seed: int | None = None
    ) -> list[Fork]:
        """Compute the branches that a task has at every stage.

        Args:
            task: Identity of the task.
            trial: Read the trial copy of shared knowledge; by default for the task that is being learned.
            running: Normalize by the task's running statistics instead of each batch; see `estimate_statistics`.
            seed: Seed of a training step, for modules that draw random numbers; see `Stage.fork`.
        """
        on_trial = task == self.learning if trial is None else trial
        return [stage.fork(task, trial=on_trial, running=running, seed=seed) for stage in self.iter_stages()]

    def path_logits(
        self,
        images: Tensor,
        task: int,
        *,
        digits: Sequence[int] | None = None,
        trial: bool | None = None,
        running: bool = False,
    ) -> Tensor:
        """Compute the logits of one configuration, without dropout: (B, C, H, W) -> (B, classes).

        Args:
            images: A batch.
            task: Identity of the task.
            digits: One digit per stage; the committed configuration by default.
            trial: See `forks`.
            running: See `forks`.
        """
        path = self.configuration(task) if digits is None else digits
        features = self.path_features(images, task, digits=path, trial=trial, running=running)
        return self.heads[str(task)](features)

    def path_features(
        self, images: Tensor, task: int, *, digits: Sequence[int], trial: bool | None = None, running: bool = False
    ) -> Tensor:
        """Compute what one configuration gives to the head, (B, C, H, W) -> (B, F); see `path_logits`."""
        forks = self.forks(task, trial=trial, running=running)
        branches = [fork.branch(digit) for fork, digit in zip(forks, digits, strict=True)]
        return self.walk(images, lambda stage, hidden: branches[stage](hidden)).squeeze(0)

    def walk(
        self,
        images: Tensor,
        step: Callable[[int, Tensor], Tensor],
        *,
        ancestors: Callable[[Skip], tuple[int, ...]] | None = None,
        start: int = 0,
    ) -> Tensor:
        """Carry a batch through the stages and around them: (B, C, H, W) -> (N, B, F).

        Args:
            images: A batch.
            step: Applies one stage, by its number from 0, to all nodes.
            ancestors: Returns for a skip and each of the N nodes after it the node before it; by default the same.
            start: First stage that is applied; then the batch is its input.
        """
        x, stages, skips = self.enter(images), len(self.stages), self.skips
        return flatten_features(walk(x, step, stages=stages, skips=skips, ancestors=ancestors, start=start))

    @torch.no_grad()
    def estimate_statistics(self, batches: Iterable[Tensor], task: int, *, digits: Sequence[int]) -> None:
        """Set a task's running statistics to the average over batches, along one configuration.

        Each batch counts alike, as in `torch.nn.BatchNorm2d` with ``momentum=None``. Without any, nothing is done.
        """
        of_task = [stage.statistics[str(task)] for stage in self.iter_stages() if str(task) in stage.statistics]
        average(of_task, batches, lambda images: self.path_logits(images, task, digits=digits, running=True))

    def configuration(self, task: int) -> tuple[int, ...]:
        """Return the committed configuration of a task, one digit per stage.

        Raises:
            LasemError: No task with this identity was committed.
        """
        if task not in self.configurations:
            raise LasemError(
                f"a task must be committed to have a configuration (got task {task});"
                f" committed tasks: {sorted(self.configurations) or 'none'}"
            )
        return self.configurations[task]

    def enter(self, images: Tensor) -> Tensor:
        """Lay a batch out as the root of the tree: (B, C, H, W) -> (1, B, C, H, W)."""
        # Convolutions of channels-last images and kernels are faster, and the tree then never changes the layout.
        return (images.contiguous(memory_format=self.memory_format) if images.dim() == 4 else images).unsqueeze(0)

    def penalties(self, task: int) -> list[tuple[int, Tensor]]:
        """Return the regularizers of a task's mappings as (stage, scalar), for the stages that have one."""
        terms = ((stage.index, stage.penalty(task)) for stage in self.iter_stages())
        return [(index, term) for index, term in terms if term is not None]

    def task_parameters(self, task: int) -> list[nn.Parameter]:
        """Return what a task trains while it is open: trial copies, its own branches and mappings, and its head."""
        parts: list[nn.Module] = [self.heads[str(task)]]
        for stage in self.iter_stages():
            parts += [group[str(task)] for group in (stage.own, stage.mapping) if str(task) in group]
            parts += [stage.trial] if stage.trial is not None else []
        return [parameter for part in parts for parameter in part.parameters()]

    def network(self, task: int) -> nn.Sequential:
        """Return the committed network of a task as plain modules with copies of the values.

        It maps (B, C, H, W) to (B, classes).
        """
        digits = self.configuration(task)
        forks = self.forks(task, running=True)
        modules = [fork.branch(digit).module() for fork, digit in zip(forks, digits, strict=True)]
        modules += [FlattenPositionsFirst(), copy.deepcopy(self.heads[str(task)])]
        return (SkipSequential(*modules, skips=self.skips) if self.skips else nn.Sequential(*modules)).eval()

    def load_values(self, values: Mapping[str, Tensor]) -> None:
        """Replace the values of parameters, by the names that the class describes; see `load_parameters`."""
        load_parameters(self, values)

    def _place(self, module: Module) -> Module:
        """Move new parameters to the backbone's device, in its dtype and memory layout."""
        return place(module, like=next(self.stages.parameters(), None), memory_format=self.memory_format)
