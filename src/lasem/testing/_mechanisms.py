"""The contract of mechanisms: how a shared branch gets its parameters from shared knowledge and a mapping."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lasem.nn import AbstractMechanism, Conv, Stage, TransferModule


@dataclass(frozen=True)
class _Layer:
    """A layer that mechanisms are tried on, with independent code for what it computes.

    Attributes:
        wrap: Makes the layer for a mechanism.
        shapes: Shapes of its weight and bias.
        image: Shape of an input.
        apply: Computes the layer from input, weight and bias.
    """

    wrap: Callable[[AbstractMechanism], TransferModule]
    shapes: dict[str, tuple[int, ...]]
    image: tuple[int, ...]
    apply: Callable[[Tensor, Tensor, Tensor], Tensor]


def _conv(inputs: int, outputs: int, kernel: int) -> _Layer:
    return _Layer(
        wrap=lambda mechanism: Conv(kernel, outputs).build(inputs, mechanism),
        shapes={"weight": (outputs, inputs, kernel, kernel), "bias": (outputs,)},
        image=(inputs, 6, 6),
        apply=lambda x, weight, bias: F.conv2d(x, weight, bias, padding=kernel // 2).relu(),
    )


def _linear(inputs: int, outputs: int) -> _Layer:
    def make(source: Generator) -> nn.Module:
        layer = nn.Linear(inputs, outputs)
        nn.init.normal_(layer.weight, generator=source)
        nn.init.normal_(layer.bias, generator=source)
        return layer

    shapes = {"weight": (outputs, inputs), "bias": (outputs,)}
    return _Layer(
        wrap=lambda mechanism: TransferModule(make, mechanism), shapes=shapes, image=(inputs,), apply=F.linear
    )


LAYERS = {
    "3-4-3": _conv(3, 4, 3),
    "1-2-1": _conv(1, 2, 1),
    "2-5-5": _conv(2, 5, 5),
    "4-4-11": _conv(4, 4, 11),
    "linear": _linear(4, 3),
}
"""Convolutions by the numbers of their inputs and outputs and the size of their kernel, and a linear layer."""

on_all_layers = pytest.mark.parametrize("layer", LAYERS)
on_small_layers = pytest.mark.parametrize("layer", ["1-2-1", "linear"])


class MechanismContract(ABC):
    """Claims about a mechanism on convolutions and on a linear layer, whether it knows these layers or not.

    Derive a class and fill in `make`::

        class TestLowRank(MechanismContract):
            def make(self):
                return LowRank(rank=2)
    """

    @abstractmethod
    def make(self) -> AbstractMechanism:
        """Return the mechanism; every call must return an equal one."""

    def new_stage(self, layer: str, *, seed: int = 0) -> Stage:
        """Make a stage of one of the `LAYERS`, in which task 0 has a mapping."""
        stage = Stage(LAYERS[layer].wrap(self.make()), index=0, seed=seed)
        stage.mapping["0"] = stage.new_mapping(0)
        return stage

    @on_all_layers
    def test_it_reads_a_weight_and_a_bias_of_the_layers_shape(self, layer: str) -> None:
        """What is read has the names and shapes of the layer's parameters, is finite and varies."""
        found = _read(self.new_stage(layer))
        assert {name: tuple(value.shape) for name, value in found.items()} == LAYERS[layer].shapes
        assert all(value.isfinite().all() for value in found.values())
        assert found["weight"].std() > 0

    @on_all_layers
    def test_gradients_flow_to_all_shared_and_mapping_parameters(self, layer: str) -> None:
        """A loss on what is read moves every parameter of the knowledge and of the mapping."""
        stage = self.new_stage(layer)
        with torch.no_grad():  # a product that starts at 0 has one factor without a gradient there
            for number, parameter in enumerate(stage.parameters()):
                parameter.add_(0.01 * torch.randn(parameter.shape, generator=_source(number)))
        found = _read(stage)
        probe = torch.randn(found["weight"].shape, generator=_source(9))
        ((found["weight"] * probe).sum() + found["bias"].sum()).backward()
        for name, parameter in stage.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name

    @pytest.mark.parametrize("layer", ["2-3-3", "linear"])
    def test_its_gradients_are_right(self, layer: str) -> None:
        """Gradients of what is read agree with finite differences in double precision."""
        wrapped = _conv(2, 3, 3) if layer == "2-3-3" else LAYERS[layer]
        stage = Stage(wrapped.wrap(self.make()), index=0, seed=0)
        stage.mapping["0"] = stage.new_mapping(0)
        parameters = dict(stage.double().named_parameters())

        def read(*values: Tensor) -> tuple[Tensor, ...]:
            given = dict(zip(parameters, values, strict=True))
            return tuple(torch.func.functional_call(_Reading(stage), given, ()).values())

        assert torch.autograd.gradcheck(read, [value.detach().requires_grad_() for value in parameters.values()])

    @on_small_layers
    def test_initial_values_follow_from_the_generator(self, layer: str) -> None:
        """Initial values are a function of the seed, not of the global generator of torch."""
        stage = self.new_stage(layer)
        torch.manual_seed(123)
        again, other = self.new_stage(layer), self.new_stage(layer, seed=5)
        assert all(torch.equal(one, two) for one, two in zip(stage.parameters(), again.parameters(), strict=True))
        assert any(not torch.equal(one, two) for one, two in zip(stage.parameters(), other.parameters(), strict=True))

    @pytest.mark.parametrize("layer", ["3-4-3", "linear"])
    def test_its_penalty_is_a_scalar_with_a_finite_gradient_or_none(self, layer: str) -> None:
        """A penalty is a scalar of at least 0 whose gradient in the mapping is finite."""
        stage = self.new_stage(layer)
        penalty = stage.penalty(0)
        if penalty is None:
            pytest.skip("this mechanism has no penalty on this layer")
        assert penalty.shape == ()
        assert penalty >= 0
        penalty.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in stage.mapping.parameters())

    @on_all_layers
    def test_a_layer_reads_its_shared_branch_by_it(self, layer: str) -> None:
        """The shared branch of a stage computes what the layer does with the parameters that are read."""
        stage, used = self.new_stage(layer), LAYERS[layer]
        found = _read(stage)
        images = torch.rand(2, *used.image, generator=_source(2))
        expected = used.apply(images, found["weight"], found["bias"])
        torch.testing.assert_close(stage.fork(0, trial=False).branch(1)(images.unsqueeze(0))[0], expected)

    def test_it_holds_no_parameters_of_its_own(self) -> None:
        """A mechanism holds options only, so that one object serves all stages and tasks."""
        assert not any(isinstance(value, Tensor | nn.Module) for value in vars(self.make()).values())

    def test_it_shares_layers_that_it_does_not_know_as_they_are(self) -> None:
        """Parameters of a layer that the mechanism does not name are the shared ones, without a mapping."""
        mechanism = self.make()
        if mechanism.generated(nn.LayerNorm(4)):
            pytest.skip("this mechanism generates parameters of layer norm")
        stage = Stage(TransferModule(lambda _: nn.LayerNorm(4), mechanism), index=0, seed=0)
        stage.mapping["0"] = stage.new_mapping(0)
        found = _read(stage)
        shared = dict(stage.shared.named_parameters())
        assert found.keys() == shared.keys() == {"weight", "bias"}
        assert all(value is shared[name] for name, value in found.items())
        assert not list(stage.mapping.parameters())


class _Reading(nn.Module):
    """What a stage reads for task 0, as a function of all its parameters."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.shared, self.mapping, self.sharing = stage.shared, stage.mapping, stage.sharing

    def forward(self) -> dict[str, Tensor]:
        """Compute the parameters of the shared branch."""
        return self.sharing.read(self.shared, self.mapping["0"])


def _read(stage: Stage) -> dict[str, Tensor]:
    return stage.sharing.read(stage.shared, stage.mapping["0"])


def _source(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)
