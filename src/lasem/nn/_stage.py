"""A stage: the smallest unit that decides between a task's own branch, the shared one, and the frozen one."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from torch import Generator, Tensor, nn

from lasem.configurations import FROZEN, OWN, SHARED
from lasem.errors import LasemError, SpecError, alternatives, require
from lasem.nn._branch import Branch, Fork
from lasem.nn._initializers import generator
from lasem.nn._low_rank import LoRA
from lasem.nn._mechanisms import AbstractMechanism, HardParameterSharing
from lasem.nn._parameters import ParameterSet, tensors_of
from lasem.nn._sharing import Sharing
from lasem.nn._template import Norms, Template, norm_parameters
from lasem.seeds import derive_seed

Own = Literal["new", "copy", "initial", "lora", "norms"]
"""Kind of a task's own branch; see `TransferModule`."""


@dataclass(frozen=True)
class TransferModule:
    """A layer that tasks may share: a module of any kind, and the mechanism by which they share it.

    Dropout and other random operations within the module are on in training steps, where a seed decides what they draw,
    and off in evidence and answers.

    Attributes:
        make: Builds the module. A seed decides its values if they are drawn from the given generator. It is called
            once for the shared knowledge and once per task, and the result is copied: so it may return a pretrained
            module, the same one every time.
        mechanism: How tasks share the module's parameters; hard parameter sharing by default.
        output: Shape of the output for the shape of an input, both without the batch axis; by default the module is
            run without values, on the meta device, to find it.
        own: Kind of a task's own branch. "new" trains all parameters, from values of its own, as in the paper; "copy"
            trains them from a copy of what the shared branch reads when the task begins, so that both start alike, and
            a search cannot tell them apart; "initial" trains them from the initial values of the stage, for example
            those of pretraining. "lora" and "norms" hold the initial values constant: "lora" trains a low-rank change
            of the weights, and "norms" the scales and shifts of norms.
        norms: Which statistics batch norm uses. With "task", each network of the tree normalizes by its own batch in
            training, and answers by running statistics of the task. With "frozen", training and answers use the
            running statistics of the module as it was made, for example those of pretraining, which never change;
            scale and shift are parameters of the branch all the same.
        frozen: Whether there is a third branch, the initial values as they are. It has no parameters per task.
        low_rank: Rank and factor of own branches of the kind "lora".
        draw: Builds the module for own branches of the kind "new", where `make` always gives the same values.

    Raises:
        SpecError: `own` or `norms` is none of its values.
    """

    make: Callable[[Generator], nn.Module]
    mechanism: AbstractMechanism = field(default_factory=HardParameterSharing)
    output: Callable[[tuple[int, ...]], tuple[int, ...]] | None = None
    own: Own = "new"
    norms: Norms = "task"
    frozen: bool = False
    low_rank: LoRA = field(default_factory=LoRA)
    draw: Callable[[Generator], nn.Module] | None = None

    def __post_init__(self) -> None:
        kinds, values = get_args(Own), get_args(Norms)
        known = f"own must be {alternatives(kinds)}"
        require(self.own in kinds, known, remedy="choose one of them", own=self.own)
        require(self.norms in values, "norms must be task or frozen", remedy="choose one of them", norms=self.norms)

    @property
    def adapts(self) -> bool:
        """Whether own branches hold the initial values constant, and train a few values besides."""
        return self.own in ("lora", "norms")


class Stage(nn.Module):
    """The parameters of one layer: shared knowledge, and each task's own version or mapping.

    While a task is learned, `trial` is its copy of the shared knowledge; `commit` keeps or drops it. Entries of `own`,
    `mapping` and, for modules with batch norm, `statistics` are named after the task. `initial` has the values as they
    were made, once for all tasks, where a branch reads them: a frozen one, or an own one of the kind
    "initial", "lora" or "norms".

    Args:
        layer: The module and how it is shared.
        index: Position of the stage, from 0.
        seed: Seed of all initial values.

    Raises:
        SpecError: The module contains something that has no right result here, such as batch norm over devices.
    """

    def __init__(self, layer: TransferModule, *, index: int, seed: int) -> None:
        super().__init__()
        self.layer = layer
        self.index = index
        self.seed = seed
        # Every draw has a seed of its own, so what a task gets depends on no other task and on no other stage.
        source = generator(derive_seed(seed, "shared", index))
        state = source.get_state()
        made = self._make(source)
        # `template` is no submodule: the values are in the sets below, and a state dict shows these only.
        self.template = Template(made, norms=layer.norms)
        self.sharing = Sharing(layer.mechanism, self.template.module)
        self.adapter = Sharing(layer.low_rank, self.template.module) if layer.own == "lora" else None
        values = tensors_of(made)
        # As buffers, because nothing trains them. They are copied first: a mechanism may draw shared knowledge anew.
        found = {name: values[name].detach().clone() for name in self.template.names} if self.needs_initial else {}
        self.initial = ParameterSet(found)
        self.shared: nn.Module = self.sharing.new_shared(made, drawn_from=state, source=source)
        self.trial: nn.Module | None = None
        self.own = nn.ModuleDict()
        self.mapping = nn.ModuleDict()
        self.statistics = nn.ModuleDict()

    @property
    def needs_initial(self) -> bool:
        """Whether a branch reads the initial values."""
        return self.layer.frozen or self.layer.adapts or self.layer.own == "initial"

    @property
    def num_initial(self) -> int:
        """Number of initial values that are kept, those that stand for a parameter of the module."""
        parameters = dict(self.template.module.named_parameters())
        return sum(value.numel() for name, value in tensors_of(self.initial).items() if name in parameters)

    def reads_initial(self, uses: tuple[bool, ...]) -> bool:
        """Whether one of these branches, by digit, reads the initial values."""
        return (self.layer.adapts and uses[OWN]) or uses[FROZEN:] == (True,)

    def _make(self, source: Generator) -> nn.Module:
        """Build the module anew, and copy it, since `make` may return the same one every time."""
        return copy.deepcopy(self.layer.make(source))

    def redraw_shared(self, task: int) -> nn.Module:
        """Draw shared knowledge anew, as if nothing had been learned."""
        source = generator(derive_seed(self.seed, "shared", self.index, task))
        state = source.get_state()
        return self.sharing.new_shared(self._make(source), drawn_from=state, source=source)

    def new_own(self, task: int) -> nn.Module:
        """Make what a task's own branch trains."""
        source = generator(derive_seed(self.seed, "own", self.index, task))
        if self.adapter is not None:
            return self.adapter.new_mapping(source)
        if self.layer.own == "norms":
            trained = norm_parameters(self.template.module)
            return ParameterSet({name: nn.Parameter(self.initial[name].clone()) for name in trained})
        if self.layer.own == "initial":
            return self._as_parameters(tensors_of(self.initial))
        values = tensors_of(self._make(source) if self.layer.draw is None else self.layer.draw(source))
        return ParameterSet({name: values[name] for name in self.template.names})

    def new_mapping(self, task: int) -> nn.Module:
        """Draw the mapping by which a task reads shared knowledge."""
        return self.sharing.new_mapping(generator(derive_seed(self.seed, "mapping", self.index, task)))

    def add_task(self, task: int, *, own: bool, shared: bool, place: Callable[[nn.Module], nn.Module]) -> None:
        """Add what a new task has here.

        Args:
            task: Identity of the task.
            own: Whether it gets a branch of its own.
            shared: Whether it gets a mapping, for the shared branch.
            place: Moves new parameters to where the others are.
        """
        key, copies = str(task), own and self.layer.own == "copy"
        mapping = place(self.new_mapping(task)) if shared or copies else None
        if own:
            made = self._copy_of_shared(mapping) if copies and mapping is not None else self.new_own(task)
            self.own[key] = place(made)
        if shared and mapping is not None:
            self.mapping[key] = mapping
        statistics = self.template.new_statistics()
        if statistics is not None:
            self.statistics[key] = place(statistics)

    def open_trial(self) -> None:
        """Copy the shared knowledge for the task that is about to be learned."""
        # The task trains the copy, so that what it does not share in the end is untouched without being undone.
        self.trial = copy.deepcopy(self.shared)

    def commit(self, task: int, digit: int) -> None:
        """End a task: keep one of its branches, and what it learned of the shared knowledge only if it shares that."""
        for kept, group in ((OWN, self.own), (SHARED, self.mapping)):
            if digit != kept and str(task) in group:
                del group[str(task)]
        if digit == SHARED and self.trial is not None:
            self.shared = self.trial
        self.trial = None

    def abandon(self, task: int, *, new: bool) -> None:
        """Drop the trial copy, and everything that a new task has."""
        self.trial = None
        for group in (self.own, self.mapping, self.statistics):
            if new and str(task) in group:
                del group[str(task)]

    def detach(self, task: int) -> None:
        """Replace a task's mapping by an own version equal to what it reads now.

        Raises:
            LasemError: Own branches hold the initial values constant, so they cannot become what the task reads.
        """
        if self.layer.adapts:
            raise LasemError(
                "a task must have own branches with all parameters to take a copy of what it shares"
                f" (got own={self.layer.own!r} at stage {self.index}); use own='copy', or search for the first task too"
            )
        self.own[str(task)] = self._copy_of_shared(self.mapping[str(task)])
        del self.mapping[str(task)]

    def _copy_of_shared(self, mapping: nn.Module) -> ParameterSet:
        """Copy what a task with this mapping reads of the shared knowledge, as parameters of an own branch."""
        return self._as_parameters(self.sharing.read(self.shared, mapping))

    def _as_parameters(self, tensors: Mapping[str, Tensor]) -> ParameterSet:
        """Copy the tensors of the module, so that an own branch can train those that are parameters there."""
        like = tensors_of(self.template.module)
        values = {name: tensors[name].detach().clone() for name in self.template.names}
        return ParameterSet(
            {name: nn.Parameter(v) if isinstance(like[name], nn.Parameter) else v for name, v in values.items()}
        )

    def fork(self, task: int, *, trial: bool, running: bool = False, seed: int | None = None) -> Fork:
        """Compute the parameters of the branches that a task has, once for as many uses as follow.

        Args:
            task: Identity of the task.
            trial: Read the trial copy of the shared knowledge, where there is one.
            running: Answer instead of train: normalize by the task's running statistics, in evaluation mode.
            seed: Decides the random numbers that the module draws in training mode. Without it, a module that would
                draw some is in evaluation mode.
        """
        random = self.template.stochastic and seed is not None and not running
        key = str(task)
        knowledge = self.trial if trial and self.trial is not None else self.shared
        statistics = self.statistics[key] if running and key in self.statistics else None

        def branch(tensors: Mapping[str, Tensor]) -> Branch:
            training = not running and (random or not self.template.stochastic)
            drawn = derive_seed(seed, self.index) if random and seed is not None else None
            return Branch(self.template, tensors, statistics=statistics, training=training, seed=drawn)

        branches: dict[int, Branch] = {}
        if key in self.own:
            branches[OWN] = branch(self._read_own(self.own[key]))
        if key in self.mapping:
            branches[SHARED] = branch(self.sharing.read(knowledge, self.mapping[key]))
        if self.layer.frozen:
            branches[FROZEN] = branch(tensors_of(self.initial))
        return Fork(branches)

    def _read_own(self, own: nn.Module) -> dict[str, Tensor]:
        """Compute the parameters of an own branch from what it trains."""
        if self.adapter is not None:
            return self.adapter.read(self.initial, own)
        return tensors_of(self.initial) | tensors_of(own) if self.layer.own == "norms" else tensors_of(own)

    def penalty(self, task: int) -> Tensor | None:
        """Return the regularizer of a task's mapping, a scalar; None where there is none."""
        return self.sharing.penalty(self.mapping[str(task)]) if str(task) in self.mapping else None

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the output for an input of this shape, both without the batch axis.

        Raises:
            SpecError: The module does not run on such an input, changes a buffer, or draws random numbers that a
                seed cannot decide.
        """
        given = None if self.layer.output is None else self.layer.output(shape)
        try:
            found = self.template.output_shape(shape)
        except SpecError:
            raise
        except Exception as error:
            if given is not None:  # a module that needs values to run, such as one with conditions on them
                return given
            raise SpecError(
                f"the module of stage {self.index} must run on inputs of shape {shape} without values, on the meta"
                f" device (got {type(error).__name__}: {error}); make it fit the stage before, or give its shape as"
                " TransferModule(..., output=...)"
            ) from error
        return found if given is None else given
