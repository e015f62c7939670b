"""Mechanisms: how the shared branch of a stage gets its parameters from shared knowledge and a task's mapping.

A mechanism generates parameters of the layers that it knows, such as the weights of convolutions. All other parameters
of a stage's module are shared as they are. So every mechanism runs on every module, and hard parameter sharing is the
mechanism that generates nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Generator, Tensor, nn

from lasem.options import options

Tensors = Mapping[str, Tensor] | nn.ParameterDict
"""Tensors of one layer by name."""


class AbstractMechanism(ABC):
    """A way of sharing a layer: a class of options (see `lasem.options`) without parameters of its own.

    Low-rank adapters, for example, generate the weights of linear layers: the shared knowledge is the weight as it was
    made, the mapping two thin matrices, and `read` adds their product to the weight.
    """

    def generated(self, layer: nn.Module) -> tuple[str, ...]:
        """Return the names of the layer's parameters that this mechanism generates; none to share it as it is.

        By default these are the weight and the bias of a `torch.nn.Conv2d`.
        """
        if not isinstance(layer, nn.Conv2d):
            return ()
        return ("weight",) if layer.bias is None else ("weight", "bias")

    @abstractmethod
    def new_shared(self, layer: nn.Module, source: Generator) -> nn.ParameterDict:
        """Make the knowledge that all tasks share of a layer.

        Args:
            layer: The layer with fresh values, as the stage's module has it.
            source: Generator of the initial values.
        """

    @abstractmethod
    def new_mapping(self, layer: nn.Module, source: Generator) -> nn.ParameterDict:
        """Make a task's parameters by which it reads the shared knowledge of a layer.

        Args:
            layer: The layer; its tensors have shapes, but no values.
            source: Generator of the initial values.
        """

    @abstractmethod
    def read(self, shared: Tensors, mapping: Tensors) -> dict[str, Tensor]:
        """Compute the parameters named by `generated`, once per training step."""

    def penalty(self, mapping: Tensors) -> Tensor | None:
        """Return the regularizer of a mapping, a scalar that is added to the loss; None for no regularizer."""
        del mapping
        return None

    def for_layer(self, channels: tuple[int, int] | None) -> "AbstractMechanism":
        """Return the mechanism with the sizes that a network's table lists for one layer; by default without change.

        Args:
            channels: Sizes (c_kb, c_ts) for DF-CNN; None where the table lists none.
        """
        del channels
        return self


@options
class HardParameterSharing(AbstractMechanism):
    """HPS: the shared branch uses the shared parameters themselves, for layers of any kind (Caruana 1997)."""

    def generated(self, layer: nn.Module) -> tuple[str, ...]:
        """Generate nothing, so that all parameters are shared as they are."""
        del layer
        return ()

    def new_shared(self, layer: nn.Module, source: Generator) -> nn.ParameterDict:
        """Make no further knowledge: the layer's own parameters are what tasks share."""
        del layer, source
        return nn.ParameterDict()

    def new_mapping(self, layer: nn.Module, source: Generator) -> nn.ParameterDict:
        """Make a mapping without any parameter."""
        del layer, source
        return nn.ParameterDict()

    def read(self, shared: Tensors, mapping: Tensors) -> dict[str, Tensor]:
        """Generate nothing, whatever is shared."""
        del shared, mapping
        return {}
