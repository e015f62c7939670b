"""Batch norm: a node of the tree normalizes by its own batch, a task answers by its own running statistics."""

import json
from collections.abc import Iterator, Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lasem.configurations import ConfigurationSpace, Partition
from lasem.learners import LearnerState, SelectiveTransfer, SingleNetwork, Training
from lasem.nn import AbstractMechanism, Backbone, BasicBlock, Conv, Network, NormConv
from lasem.search import EM, AbstractStrategy, Fixed
from lasem.seeds import derive_seed
from toys import shifted_task, tree_logits

Tensors = Mapping[str, Tensor] | nn.ParameterDict
SHAPE, CLASSES = (2, 7, 7), 3
NETWORK = Network((NormConv(3, 4), BasicBlock(4), BasicBlock(6, stride=2), BasicBlock(6, average=True)), hidden=())
PROJECTED = {2}
TRAINING = Training(batch_size=4, learning_rate=1e-2, keep=1.0)


def task(seed):
    return shifted_task(seed, shape=SHAPE, images=14, classes=CLASSES, identity=seed)


class TaskBias(AbstractMechanism):
    """A shared kernel; the bias is the task's."""

    def new_shared(self, layer: nn.Module, source: Generator) -> nn.ParameterDict:
        return nn.ParameterDict(
            {"core": nn.Parameter(torch.randn(layer.get_parameter("weight").shape, generator=source))}
        )

    def new_mapping(self, layer: nn.Module, source: Generator) -> nn.ParameterDict:
        return nn.ParameterDict(
            {"bias": nn.Parameter(torch.randn(layer.get_parameter("bias").shape, generator=source))}
        )

    def read(self, shared: Tensors, mapping: Tensors) -> dict[str, Tensor]:
        return {"weight": shared["core"], "bias": mapping["bias"]}

    def penalty(self, mapping: Tensors) -> Tensor:
        return mapping["bias"].square().sum() + 1


def learner(strategy: AbstractStrategy | None = None) -> SelectiveTransfer:
    return SelectiveTransfer(NETWORK.build(SHAPE), strategy or EM(), training=TRAINING)


def learn(made: SelectiveTransfer, *, seed: int, epochs: int = 2) -> None:
    made.begin_task(task(seed))
    for _ in range(epochs):
        made.train_epoch()
    made.end_task()


def opened() -> Backbone:
    """In double precision, with task 0 open, both branches everywhere and no two values alike."""
    backbone = NETWORK.build(SHAPE).double()
    backbone.begin_task(0, classes=CLASSES, uses=[(True, True)] * 4)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return backbone


class PlainNorm(nn.Module):
    """A network of one configuration, written out with BatchNorm2d; reads the backbone's parameters by name."""

    def __init__(self, values: dict[str, Tensor], bits: tuple[int, ...], *, momentum: float | None = None) -> None:
        super().__init__()
        self.values, self.bits = values, bits
        sizes = {(layer, name): len(values[self.place(layer, name) + ".bias"]) for layer, name in self.places()}
        self.norms = nn.ModuleDict(
            {f"{layer} {name}": nn.BatchNorm2d(size, momentum=momentum) for (layer, name), size in sizes.items()}
        ).double()

    def places(self) -> Iterator[tuple[int, str]]:
        yield 0, "first"
        for layer in (1, 2, 3):
            yield from ((layer, name) for name in ("first", "second", "projection") if name[0] != "p" or layer == 2)

    def place(self, layer: int, name: str) -> str:
        return f"stages.{layer}.{'trial' if self.bits[layer] else 'own.0'}.{name}"

    def conv(self, x: Tensor, layer: int, name: str, *, stride: int = 1) -> Tensor:
        place, norm = self.place(layer, name), self.norms[f"{layer} {name}"]
        weight = self.values[f"{place}.weight"]
        x = norm(F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2))
        return x * self.values[f"{place}.norm_scale"][:, None, None] + self.values[f"{place}.bias"][:, None, None]

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x, 0, "first").relu()
        for layer in (1, 2, 3):
            stride = 2 if layer in PROJECTED else 1
            skip = self.conv(x, layer, "projection", stride=stride) if layer in PROJECTED else x
            y = self.conv(x, layer, "first", stride=stride).relu()
            x = (self.conv(y, layer, "second") + skip).relu()
        return F.linear(x.mean((2, 3)), self.values["heads.0.0.weight"], self.values["heads.0.0.bias"])


def images(seed: int = 1, size: int = 5) -> Tensor:
    return torch.randn(size, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("partition", ["{1},{2},{3},{4}", "{1,3},{2},{4}", "{1,2,3,4}"])
def test_each_node_normalizes_by_its_own_batch_as_plain_networks_in_training(partition: str):
    backbone, space = opened(), ConfigurationSpace.full(Partition.parse(partition))
    values = dict(backbone.named_parameters())
    together = tree_logits(backbone, images(), 0, space=space)
    alone = torch.stack([PlainNorm(values, bits)(images()) for bits in space.layer_digits])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-10)
    weights = torch.rand(together.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found, expected = (
        torch.autograd.grad((weights * logits).sum(), list(values.values()), allow_unused=True, materialize_grads=True)
        for logits in (together, alone)
    )
    for name, one, other in zip(values, found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9, msg=name)


def test_running_statistics_are_the_cumulative_average_over_the_batches():
    backbone, bits = opened(), (1, 0, 1, 0)
    batches = [images(seed) for seed in range(3)]
    backbone.estimate_statistics(batches, 0, digits=bits)
    plain = PlainNorm(dict(backbone.named_parameters()), bits, momentum=None)
    for batch in batches:
        plain(batch)
    held = dict(backbone.named_buffers())
    for layer, name in plain.places():
        norm = plain.norms[f"{layer} {name}"]
        assert isinstance(norm, nn.BatchNorm2d)
        for part, expected in (("mean", norm.running_mean), ("variance", norm.running_var)):
            found = held[f"stages.{layer}.statistics.0.{name}.{part}"]
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    answer = backbone.path_logits(images(9), 0, digits=bits, running=True)
    torch.testing.assert_close(answer, plain.eval()(images(9)), rtol=1e-10, atol=1e-10)


def test_first_statistics_by_hand():
    backbone, batches = opened(), [images(seed) for seed in range(2)]
    backbone.estimate_statistics(batches, 0, digits=(0, 0, 0, 0))
    weight = dict(backbone.named_parameters())["stages.0.own.0.first.weight"]
    outputs = [F.conv2d(batch, weight, padding=1) for batch in batches]
    buffers = dict(backbone.named_buffers())
    mean = sum(y.mean((0, 2, 3)) for y in outputs) / 2
    variance = sum(y.var((0, 2, 3), correction=1) for y in outputs) / 2
    torch.testing.assert_close(buffers["stages.0.statistics.0.first.mean"], mean)
    torch.testing.assert_close(buffers["stages.0.statistics.0.first.variance"], variance)


def test_the_learner_estimates_over_its_training_split_along_the_leading_configuration():
    made = learner()
    made.begin_task(task(0))
    made.train_epoch()
    answer = made.logits(task(0).test.images, 0)
    place = torch.Generator().manual_seed(derive_seed(0, "statistics", 0))
    batches = torch.randperm(14, generator=place)[:12].split(4)
    values = {name: value.double() for name, value in made.backbone.named_parameters()}
    plain = PlainNorm(values, made.configuration(0), momentum=None)
    for rows in batches:
        plain(task(0).train.images[rows].double())
    expected = plain.eval()(task(0).test.images.double())
    torch.testing.assert_close(answer.double(), expected, rtol=1e-4, atol=1e-4)


def test_a_commit_keeps_the_answers_and_the_network_gives_them():
    made = learner()
    made.begin_task(task(0))
    made.train_epoch()
    before = made.logits(task(0).test.images, 0)
    made.end_task()
    assert torch.equal(made.logits(task(0).test.images, 0), before)
    network = made.network(0)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == 8
    assert not any(module.training for module in network.modules())
    torch.testing.assert_close(network(task(0).test.images), before)


def test_statistics_at_the_commit_do_not_depend_on_earlier_evaluations():
    asked, silent = learner(), learner()
    for made in (asked, silent):
        made.begin_task(task(0))
        for _ in range(2):
            made.train_epoch()
            if made is asked:
                made.logits(task(0).test.images, 0)
        made.end_task()
    buffers = dict(silent.backbone.named_buffers())
    assert len(buffers) == 16
    assert all(torch.equal(value, buffers[name]) for name, value in asked.backbone.named_buffers())
    assert all(value.abs().sum() > 0 for value in buffers.values())


@pytest.mark.parametrize("configuration", ["none", "all", "0110"])
def test_statistics_of_older_tasks_stay_as_committed(configuration: str):
    made = learner(Fixed(configuration))
    learn(made, seed=0)
    answer = made.logits(task(0).test.images, 0)
    kept = {name: value.clone() for name, value in made.backbone.named_buffers()}
    made.begin_task(task(1))
    made.train_epoch()
    made.logits(task(1).test.images, 1)
    assert torch.equal(made.logits(task(0).test.images, 0), answer)
    made.end_task()
    now = dict(made.backbone.named_buffers())
    assert all(torch.equal(now[name], value) for name, value in kept.items())
    assert torch.equal(made.logits(task(0).test.images, 0), answer) == (configuration == "none")


def test_answers_do_not_depend_on_the_batch():
    made = learner()
    learn(made, seed=0)
    test = task(0).test.images
    alone = torch.cat([made.logits(image[None], 0) for image in test])
    torch.testing.assert_close(made.logits(test, 0), alone)


@pytest.mark.parametrize("evaluated", [True, False])
def test_resuming_in_the_middle_of_a_task_is_exact(evaluated: bool):
    one, other = learner(), learner()
    learn(one, seed=0)
    one.begin_task(task(1))
    one.train_epoch()
    if evaluated:
        one.logits(task(1).test.images, 1)
    state = one.state()
    tensors = {name: value.clone() for name, value in state.tensors.items()}
    other.restore(LearnerState(tensors, json.loads(json.dumps(state.values))), task=task(1))
    for made in (one, other):
        made.train_epoch()
        made.end_task()
    ours, theirs = one.backbone.state_dict(), other.backbone.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert all(torch.equal(one.logits(task(t).test.images, t), other.logits(task(t).test.images, t)) for t in (0, 1))


def test_a_task_that_comes_back_renews_its_statistics():
    made = learner()
    for seed in (0, 1):
        learn(made, seed=seed)
    before = {name: value.clone() for name, value in made.backbone.named_buffers()}
    learn(made, seed=0)
    for name, value in made.backbone.named_buffers():
        assert torch.equal(value, before[name]) == (".statistics.1." in name)


def test_a_single_network_normalizes_too():
    made = SingleNetwork(NETWORK.build(SHAPE), classes=CLASSES, training=TRAINING)
    for seed in (0, 1):
        made.begin_task(task(seed))
        made.train_epoch()
        made.end_task()
    test = task(0).test.images
    torch.testing.assert_close(made.network(0)(test), made.logits(test, 0))


def test_affine_terms_belong_to_a_branch():
    backbone = NETWORK.build(SHAPE)
    backbone.begin_task(0, classes=CLASSES, uses=[(True, True)] * 4)
    first = backbone.forks(0)[0]
    own, shared = first.branch(0).module(), first.branch(1).module()
    assert [p.shape for p in own.parameters()] == [p.shape for p in shared.parameters()]
    names = {name for name, _ in backbone.named_parameters() if name.startswith("stages.0.")}
    parts = ("weight", "bias", "norm_scale")
    assert names == {f"stages.0.{place}.first.{part}" for place in ("shared", "trial", "own.0") for part in parts}


def test_affine_terms_are_the_tasks_where_the_mechanisms_bias_is():
    backbone = NETWORK.build(SHAPE, mechanism=TaskBias())
    made = SelectiveTransfer(backbone, Fixed("all"), training=TRAINING)
    learn(made, seed=0)
    names = {name for name, _ in backbone.named_parameters() if name.startswith("stages.1.")}
    both = {f"stages.1.mapping.0.{conv}.{part}" for conv in ("first", "second") for part in ("bias", "norm_scale")}
    assert names == both | {f"stages.1.shared.{conv}.core" for conv in ("first", "second")}
    test = task(0).test.images
    torch.testing.assert_close(made.network(0)(test), made.logits(test, 0))
    penalty = dict(backbone.penalties(0))[1]
    squares = [
        value.square().sum() + 1
        for name, value in backbone.named_parameters()
        if "1.mapping.0" in name and "bias" in name
    ]
    torch.testing.assert_close(penalty, torch.stack(squares).sum())


def test_networks_without_norm_take_no_batch():
    backbone = Network((Conv(3, 4),), hidden=()).build(SHAPE)
    backbone.begin_task(0, classes=CLASSES, uses=[(True, True)])

    def batches() -> Iterator[Tensor]:
        raise AssertionError
        yield

    backbone.estimate_statistics(batches(), 0, digits=(0,))
    assert not list(backbone.buffers())
    assert not backbone.normalizes
