"""The module of a stage without values: a function of parameters that each branch brings along."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.lazy import LazyModuleMixin

from lasem.errors import SpecError
from lasem.nn._norm import AbstractNodeNorm, NodeBatchNorm, NormInputs, Statistics
from lasem.nn._parameters import Module, nest, tensors_of
from lasem.nn._randomness import RandomOperations, refuse_other_generators, seeded

Norms = Literal["task", "frozen"]
"""Which statistics batch norm uses; see `TransferModule`."""

BATCH = 2
"""Number of inputs in a run without values; batch norm refuses to train on one value per channel."""


class AbstractPureModule(ABC):
    """A module that computes from parameters it is given, without `functional_call`.

    `functional_call` takes some 30 microseconds to put parameters into a module and to restore what was there. That is
    as long as a small convolution takes, so the convolutions of small networks do without it.
    """

    @abstractmethod
    def compute(self, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Apply the module with these parameters: (B, ...) -> (B, ...)."""

    @abstractmethod
    def activations(self, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Compute the activations that DARTS averages over two branches, before the tail applied by `finish`."""

    @abstractmethod
    def finish(self, activations: Tensor) -> Tensor:
        """Apply the tail without parameters, such as a pool, that follows the average."""


class Template:
    """The module of a stage as a function of parameters and a batch.

    With statistics per task, batch norm within it is replaced by `NodeBatchNorm`. With frozen ones it stays in
    evaluation mode, and its running statistics are buffers like any other. The module keeps shapes, but no values.

    Args:
        made: The module as `make` built it; it stays as it is.
        norms: Which statistics batch norm uses; see `TransferModule`.

    Raises:
        SpecError: The module contains a layer whose parameters are not there yet, or batch norm over devices.

    Attributes:
        stochastic: Whether the module draws random numbers in training mode, as dropout does. It is True as long as
            this is not known, that is before `output_shape` has run the module.
    """

    def __init__(self, made: nn.Module, *, norms: Norms = "task") -> None:
        _refuse_what_cannot_be_right(made)
        module = copy_with(made, {k: v.to("meta") for k, v in tensors_of(made).items()})
        self._frozen = _frozen_norms(module) if norms == "frozen" else ()
        self.module = (module if norms == "frozen" else _with_node_norms(module)).eval()
        self._set_mode(training=True)
        self.names = tuple(tensors_of(self.module))
        self._pure = self.module if isinstance(self.module, AbstractPureModule) else None
        self.stochastic = self._pure is None
        self._inspected = False
        self._norms = {n: child for n, child in self.module.named_modules() if isinstance(child, AbstractNodeNorm)}

    @property
    def normalizes(self) -> bool:
        """Whether the module contains batch norm with statistics per task."""
        return bool(self._norms)

    def new_statistics(self) -> nn.Module | None:
        """Make a task's running statistics for all batch norms; None where there are none."""
        statistics = {name: Statistics(norm.channels) for name, norm in self._norms.items()}
        return nest(statistics) if statistics else None

    def compute(
        self,
        tensors: Mapping[str, Tensor],
        x: Tensor,
        *,
        nodes: int = 1,
        statistics: nn.Module | None = None,
        training: bool = True,
        seed: int | None = None,
    ) -> Tensor:
        """Apply the module with given tensors: (N B, ...) -> (N B, ...).

        Args:
            tensors: Parameters and buffers of the module by name.
            x: Batches of all nodes, one after another in the first axis.
            nodes: Number of nodes, N.
            statistics: Running statistics of a task, to normalize by these.
            training: Whether the module is in training mode.
            seed: Decides the random numbers that the module draws; None where it draws none.
        """
        if self._pure is not None:
            return self._pure.compute(tensors, x)
        for name, norm in self._norms.items():
            running = None if statistics is None else statistics.get_submodule(name)
            assert running is None or isinstance(running, Statistics)
            norm.inputs = NormInputs(nodes, running)
        self._set_mode(training=training)
        if seed is None:
            return functional_call(self.module, dict(tensors), (x,))
        with seeded(seed, x.device):
            return functional_call(self.module, dict(tensors), (x,))

    def _set_mode(self, *, training: bool) -> None:
        """Put the module into training or evaluation mode, except for frozen norms."""
        if self.module.training != training:
            self.module.train(training)
            for norm in self._frozen:
                # Not by `eval`, which would also switch what the norm contains, such as an activation with dropout.
                norm.training = False

    def activations(self, tensors: Mapping[str, Tensor], x: Tensor, *, nodes: int = 1) -> Tensor:
        """Compute what DARTS averages over both branches; see `AbstractPureModule.activations`."""
        return self.compute(tensors, x, nodes=nodes) if self._pure is None else self._pure.activations(tensors, x)

    def finish(self, activations: Tensor) -> Tensor:
        """Apply what follows the average; see `AbstractPureModule.finish`."""
        return activations if self._pure is None else self._pure.finish(activations)

    def filled(self, tensors: Mapping[str, Tensor], statistics: nn.Module | None) -> nn.Module:
        """Make an ordinary module with copies of given tensors, in evaluation mode."""
        module = copy_with(self.module, {name: tensor.detach().clone() for name, tensor in tensors.items()})

        def replaced(name: str, child: nn.Module) -> nn.Module | None:
            if not isinstance(child, AbstractNodeNorm):
                return None
            running = None if statistics is None else statistics.get_submodule(name)
            assert running is None or isinstance(running, Statistics)
            return child.plain(running)

        return _replace(module, replaced).eval()

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Run the module on the meta device, without values, to find the shape of its output.

        Args:
            shape: Shape of one input, without the batch axis.

        Raises:
            SpecError: The module changes a buffer, or draws random numbers that a seed cannot decide.
        """
        if not self._inspected and self._pure is None:
            drawn = self._run(shape, training=False)[1]
            if drawn:
                raise SpecError(
                    f"the module of a stage must not draw random numbers in evaluation mode (got {drawn[0]}), because"
                    " evidence and answers would be random; make it depend on self.training, as torch.nn.Dropout does"
                )
            self._inspected = True
        output, drawn = self._run(shape, training=True)
        self.stochastic = bool(drawn)
        return output

    def _run(self, shape: tuple[int, ...], *, training: bool) -> tuple[tuple[int, ...], list[str]]:
        """Run the module without values; return the shape of its output, and the operations that are random."""
        buffers = dict(self.module.named_buffers())
        versions = {name: buffer._version for name, buffer in buffers.items()}
        for norm in self._norms.values():
            norm.inputs = NormInputs()
        self._set_mode(training=training)
        with torch.no_grad(), refuse_other_generators(), RandomOperations() as operations:
            # Not by `functional_call`, which would put back a buffer that the module has replaced.
            y = self.module(torch.empty(BATCH, *shape, device="meta"))
        for name, buffer in self.module.named_buffers():
            if buffers.get(name) is not buffer or buffer._version != versions[name]:
                raise SpecError(
                    f"the module of a stage must not change a buffer in forward (got a new value of {name!r}), because"
                    " all tasks and branches use it in the same step; keep such values as parameters, or use batch"
                    " norm of torch.nn, which has statistics per task"
                )
        return tuple(y.shape[1:]), operations.found


def copy_with(module: Module, tensors: Mapping[str, Tensor]) -> Module:
    """Copy a module with other values of its parameters and buffers, tied ones tied again.

    Args:
        module: The module, which stays as it is.
        tensors: Values by name, for all of its parameters and buffers.
    """
    replacements: dict[int, object] = {}
    for name, old in tensors_of(module).items():
        if id(old) not in replacements:
            value = tensors[name]
            parameter = isinstance(old, nn.Parameter)
            replacements[id(old)] = nn.Parameter(value, requires_grad=old.requires_grad) if parameter else value
    return copy.deepcopy(module, replacements)


def norm_parameters(module: nn.Module) -> tuple[str, ...]:
    """Return the names of the scales and shifts of all norms within a module.

    Norms are recognized by the name of their class, since libraries of networks bring their own.
    """
    return tuple(
        f"{name}.{parameter}" if name else parameter
        for name, child in module.named_modules()
        if "norm" in type(child).__name__.lower()
        for parameter, value in child.named_parameters(recurse=False)
        if value.dim() == 1
    )


def _with_node_norms(module: nn.Module) -> nn.Module:
    """Replace the batch norms of torch within a module."""
    return _replace(module, lambda _, child: NodeBatchNorm(child) if isinstance(child, _BatchNorm) else None)


def _frozen_norms(module: nn.Module) -> tuple[nn.Module, ...]:
    """Find the norms within a module that use running statistics in evaluation mode.

    Raises:
        SpecError: A batch norm has no running statistics.
    """
    for name, child in module.named_modules():
        bare = isinstance(child, _BatchNorm) and child.running_mean is None
        if bare or isinstance(child, AbstractNodeNorm):
            raise SpecError(
                "batch norm with frozen statistics must have running statistics when the module is made (got"
                f' {type(child).__name__} at {name!r} without any); give the stage norms="task"'
            )
    return tuple(child for child in module.modules() if isinstance(child, _NormBase))


def _replace(module: nn.Module, replaced: Callable[[str, nn.Module], nn.Module | None]) -> nn.Module:
    """Replace submodules, the module itself included, where a function of (name, submodule) gives another one."""
    whole = replaced("", module)
    if whole is not None:
        return whole
    for name, child in list(module.named_modules(remove_duplicate=False))[1:]:
        other = replaced(name, child)
        if other is not None:
            module.set_submodule(name, other)
    return module


def _refuse_what_cannot_be_right(module: nn.Module) -> None:
    """Refuse layers that would make a stage's answers depend on more than its input and parameters."""
    for name, child in module.named_modules():
        where = f"{type(child).__name__} at {name!r}" if name else type(child).__name__
        if isinstance(child, LazyModuleMixin):
            raise SpecError(
                f"the module of a stage must have all its parameters when it is made (got {where}); use the layer with"
                " the number of its inputs instead"
            )
        if isinstance(child, nn.SyncBatchNorm):
            raise SpecError(
                f"the module of a stage must normalize on one device (got {where}); use torch.nn.BatchNorm2d instead"
            )
