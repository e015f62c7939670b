"""Identity skips that span decisions: the tree follows ancestors, one network adds its own activation."""

import pytest
import torch
import torch.nn.functional as F
from naive import naive_em_step
from torch import Tensor

from lasem.benchmarks import Split, Task
from lasem.configurations import ConfigurationSpace, Partition
from lasem.errors import SpecError
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Backbone, Conv, Network
from lasem.search import EM, FixedSearch, TaskNetwork, plan
from toy_task import ToyTask
from toys import double_batch, tree_logits

SHAPE, CLASSES = (2, 7, 7), 3
TABLES = {
    "one": (Conv(3, 4, pool=2), Conv(3, 4), Conv(3, 4, skip=2, pool=2), Conv(3, 5)),
    "in a row": (Conv(3, 4), Conv(3, 4, skip=1), Conv(3, 4, skip=2), Conv(3, 4, skip=1, pool=2)),
    "crossing": (Conv(3, 4), Conv(3, 4), Conv(3, 4, skip=2), Conv(3, 4, skip=2)),
    "nested": (Conv(3, 2), Conv(3, 2), Conv(3, 2, skip=2), Conv(3, 2, skip=4)),
}
PARTITIONS = ("{1},{2},{3},{4}", "{1,2},{3,4}", "{1,3},{2,4}", "{1,4},{2},{3}", "{1},{2,4},{3}", "{1,2,3,4}")
tables = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
partitions = pytest.mark.parametrize("partition", PARTITIONS)


def opened(table: tuple[Conv, ...]) -> Backbone:
    """A network in double precision, with task 0 open and both branches everywhere."""
    backbone = Network(table, hidden=(5,)).build(SHAPE).double()
    backbone.begin_task(0, classes=CLASSES, uses=[(True, True)] * len(table))
    with torch.no_grad():
        for i, parameter in enumerate(backbone.parameters()):
            parameter.mul_(2 + i % 3)
    return backbone


def by_hand(backbone: Backbone, table: tuple[Conv, ...], images: Tensor, bits: tuple[int, ...]) -> Tensor:
    """One configuration in plain functions: conv, ReLU, plus skip, then pool with padding after."""
    values, inputs, x = dict(backbone.named_parameters()), [], images
    for layer, (row, bit) in enumerate(zip(table, bits, strict=True)):
        inputs.append(x)
        name = f"stages.{layer}.trial" if bit else f"stages.{layer}.own.0"
        x = F.conv2d(x, values[f"{name}.weight"], values[f"{name}.bias"], padding=1).relu()
        if row.skip:
            x = x + inputs[layer - row.skip + 1]
        if row.pool > 1:
            x = F.max_pool2d(x, row.pool, ceil_mode=True)
    x = x.permute(0, 2, 3, 1).flatten(1)
    x = F.linear(x, values["heads.0.0.weight"], values["heads.0.0.bias"]).relu()
    return F.linear(x, values["heads.0.2.weight"], values["heads.0.2.bias"])


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


@tables
@partitions
def test_tree_equals_one_by_one_evaluation_with_skips(table: tuple[Conv, ...], partition: str):
    backbone, space = opened(table), ConfigurationSpace.full(Partition.parse(partition))
    images, _ = double_batch(SHAPE)
    together = tree_logits(backbone, images, 0, space=space)
    for index, bits in enumerate(space.layer_digits):
        close(together[index], by_hand(backbone, table, images, bits))
        close(together[index], backbone.path_logits(images, 0, digits=bits))
    assert together.unique(dim=0).shape[0] == len(space)


@tables
def test_listed_candidates_follow_their_ancestors(table: tuple[Conv, ...]):
    backbone, (images, _) = opened(table), double_batch(SHAPE)
    space = ConfigurationSpace(Partition.single(4), ((0, 1, 1, 0), (1, 1, 1, 1), (0, 1, 0, 0)))
    together = tree_logits(backbone, images, 0, space=space)
    for index, bits in enumerate(space.layer_digits):
        close(together[index], by_hand(backbone, table, images, bits))


def test_an_ancestor_is_the_prefix_of_its_node():
    space = ConfigurationSpace.full(Partition.parse("{1,4},{2},{3}"))
    layout = plan(space)
    network = Network(TABLES["one"], hidden=())
    assert layout.ancestors(network.skips[0]) == (0, 1) * 4
    assert [step.parents for step in layout.steps[:3]] == [[0, 0], [0, 1, 0, 1], [0, 1, 2, 3, 0, 1, 2, 3]]


@tables
@partitions
def test_gradient_with_skips_is_the_weighted_sum_of_gradients(table: tuple[Conv, ...], partition: str):
    images, labels = double_batch(SHAPE)
    backbone, space = opened(table), ConfigurationSpace.full(Partition.parse(partition))
    parameters = dict(backbone.named_parameters())
    weights = torch.rand(len(space), generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def gradients(loss: Tensor) -> list[Tensor]:
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        return [torch.zeros(()) if g is None else g for g in found]

    logits = tree_logits(backbone, images, 0, space=space)
    together = gradients(sum(w * F.cross_entropy(one, labels) for w, one in zip(weights, logits, strict=True)))
    alone = [by_hand(backbone, table, images, bits) for bits in space.layer_digits]
    apart = gradients(sum(w * F.cross_entropy(one, labels) for w, one in zip(weights, alone, strict=True)))
    for name, one, other in zip(parameters, together, apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11, msg=name)


@tables
def test_em_steps_with_skips_equal_the_naive_twin(table: tuple[Conv, ...]):
    images, labels = double_batch(SHAPE)
    split = Split(images=images, labels=labels)
    strategy = EM(partition=Partition.parse("{1},{2,4},{3}"))
    learners = [
        SelectiveTransfer(
            Network(table, hidden=()).build(SHAPE).double(), strategy, training=Training(batch_size=5, keep=1.0)
        )
        for _ in "ab"
    ]
    for learner in learners:
        learner.begin_task(Task(name="toy", classes=CLASSES, train=split, valid=split, test=split))
        learner.begin_epoch()
    tree, twin = learners
    for _ in range(3):
        prior = tree.search.log_prior()
        assert prior is not None
        tree.train_step(images, labels)
        twin.task.optimizer.zero_grad(set_to_none=True)
        q, _ = naive_em_step(twin.backbone, images, labels, space=twin.space, prior=prior, masks=torch.Generator())
        twin.task.optimizer.step()
        torch.testing.assert_close(tree.search.log_posterior.exp(), q, rtol=1e-6, atol=1e-9)
    for (name, value), other in zip(tree.backbone.named_parameters(), twin.backbone.parameters(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-6, atol=1e-8, msg=name)


@tables
@pytest.mark.parametrize("bits", [(0, 1, 1, 0), (1, 0, 1, 1)])
def test_the_network_of_a_task_is_a_plain_module_with_its_skips(table: tuple[Conv, ...], bits: tuple[int, ...]):
    backbone, (images, _) = opened(table), double_batch(SHAPE)
    expected = by_hand(backbone, table, images, bits)
    backbone.commit(bits)
    network = backbone.network(0)
    close(network(images), expected)
    assert set(map(type, network.parameters())) == {torch.nn.Parameter}
    assert len(list(network.parameters())) == 2 * len(table) + 4


def test_a_skip_keeps_the_layout_of_its_nodes():
    backbone = Network(TABLES["one"], hidden=()).build(SHAPE)
    source = torch.rand(2, 5, 4, 7, 7).flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (2, 5))
    result = torch.rand(20, 4, 7, 7).contiguous(memory_format=torch.channels_last).unflatten(0, (4, 5))
    for ancestors in ((0, 1, 0, 1), (1, 1, 0, 1)):
        joined = backbone.skips[0].join(result, source, ancestors=ancestors)
        assert joined.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
        assert joined.shape == (4, 5, 4, 4, 4)


def test_a_skip_between_unequal_shapes_is_refused_with_both():
    with pytest.raises(SpecError, match=r"input of layer 2 and the output of layer 3.*\(4, 7, 7\).*\(5, 7, 7\)"):
        Network((Conv(3, 4), Conv(3, 4), Conv(3, 5, skip=2)), hidden=()).build(SHAPE)


def test_dropout_and_fixed_strategies_see_the_skips():
    backbone, (images, labels) = opened(TABLES["one"]), double_batch(SHAPE)
    search = FixedSearch(ConfigurationSpace.only((1, 0, 0, 1)), TaskNetwork(backbone, 0))
    loss = search.step(ToyTask(), images, labels)
    close(loss, F.cross_entropy(by_hand(backbone, TABLES["one"], images, (1, 0, 0, 1)), labels))
