"""A mechanism applied to a whole module, layer by layer."""

from collections.abc import Mapping

import torch
from torch import Generator, Tensor, nn

from lasem.nn._mechanisms import AbstractMechanism, Tensors
from lasem.nn._norm import NormedConv2d
from lasem.nn._parameters import ParameterSet, tensors_of


class Sharing:
    """How the parameters of a module follow from shared knowledge and a task's mapping.

    Parameters that the mechanism generates have what they are generated from in the two sets, under the layer's name.
    All others are in the shared set as they are. One case lies between: where the mechanism generates the bias of a
    `NormedConv2d`, which is the norm's shift, the norm's scale stands where the mechanism has its bias, so that both
    belong to the task or both to all tasks.

    Args:
        mechanism: Generates parameters of some layers.
        module: The module; its values are not used.
    """

    def __init__(self, mechanism: AbstractMechanism, module: nn.Module) -> None:
        self.mechanism = mechanism
        generated: set[str] = set()
        self._layers: dict[str, nn.Module] = {}
        for name, layer in module.named_modules():
            names = mechanism.generated(layer)
            prefix = f"{name}." if name else ""
            if names:
                self._layers[prefix] = layer
                generated |= {prefix + parameter for parameter in names}
            if isinstance(layer, NormedConv2d) and "bias" in names:
                generated.add(f"{prefix}norm_scale")
        self._as_they_are = [name for name in tensors_of(module) if name not in generated]

    def new_shared(self, made: nn.Module, *, drawn_from: Tensor, source: Generator) -> ParameterSet:
        """Make shared knowledge.

        Args:
            made: The module with fresh values.
            drawn_from: State of the generator before these values were drawn.
            source: The generator, after that.
        """
        values = tensors_of(made)
        found = {name: values[name] for name in self._as_they_are}
        if not found:
            # Then what `make` drew is not used, and it must not decide what the mechanism draws.
            source.set_state(drawn_from)
        for prefix, layer in self._layers.items():
            fresh = made.get_submodule(prefix.rstrip("."))
            found |= _named(prefix, layer, self.mechanism.new_shared(fresh, source))
        return ParameterSet(found)

    def new_mapping(self, source: Generator) -> ParameterSet:
        """Make a task's mapping; without any tensor where the mechanism generates nothing."""
        found: dict[str, Tensor] = {}
        for prefix, layer in self._layers.items():
            found |= _named(prefix, layer, self.mechanism.new_mapping(layer, source))
        return ParameterSet(found)

    def read(self, shared: nn.Module, mapping: nn.Module) -> dict[str, Tensor]:
        """Compute all parameters of the module."""
        knowledge = tensors_of(shared)
        if not self._layers:
            return knowledge
        mapped = tensors_of(mapping)
        found = {name: knowledge[name] for name in self._as_they_are}
        for prefix, layer in self._layers.items():
            sources = _under(prefix, knowledge), _under(prefix, mapped)
            found |= {prefix + name: value for name, value in self.mechanism.read(*sources).items()}
            if isinstance(layer, NormedConv2d):
                scale = f"{prefix}norm_scale"
                found[scale] = mapped[scale] if scale in mapped else knowledge[scale]
        return found

    def penalty(self, mapping: nn.Module) -> Tensor | None:
        """Sum the mechanism's regularizers over the layers: a scalar, or None without any."""
        mapped = tensors_of(mapping)
        terms = [self.mechanism.penalty(_under(prefix, mapped)) for prefix in self._layers]
        known = [term for term in terms if term is not None]
        return (known[0] if len(known) == 1 else torch.stack(known).sum()) if known else None


def _under(prefix: str, tensors: dict[str, Tensor]) -> Mapping[str, Tensor]:
    """Select the tensors whose names begin with a prefix, and remove it from their names."""
    if not prefix:
        return tensors
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _named(prefix: str, layer: nn.Module, drawn: Tensors) -> dict[str, Tensor]:
    """Put a prefix before the names of what a mechanism made for a layer, and complete it by a norm's scale."""
    values: dict[str, Tensor] = dict(drawn.items())
    if isinstance(layer, NormedConv2d) and "bias" in values:
        values |= layer.new_affine()
    return {prefix + name: value for name, value in values.items()}
