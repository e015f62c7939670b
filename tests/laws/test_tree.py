"""The tree computes what one network per configuration computes."""

from itertools import combinations

import pytest
import torch
from naive import naive_em_step

from lasem.benchmarks import Split, Task
from lasem.configurations import ConfigurationSpace, Partition
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import NETWORKS, Backbone, Conv, Network
from lasem.search import EM, plan
from toys import double_batch, tree_logits

SHAPE, CLASSES = (2, 7, 7), 3


def partitions(layers: int) -> list[Partition]:
    """Every partition of so many layers, by recursion on the group of the first one."""

    def split(rest: tuple[int, ...]) -> list[list[tuple[int, ...]]]:
        if not rest:
            return [[]]
        first, others = rest[0], rest[1:]
        return [
            [(first, *friends), *groups]
            for size in range(len(others) + 1)
            for friends in combinations(others, size)
            for groups in split(tuple(layer for layer in others if layer not in friends))
        ]

    return [Partition(tuple(groups)) for groups in split(tuple(range(1, layers + 1)))]


def open_backbone(layers: int, *, seed: int = 0) -> Backbone:
    """A small network in double precision, with task 0 open and both branches everywhere."""
    table = tuple(Conv(3, 3 + layer, pool=2 if layer == 1 else 1) for layer in range(layers))
    backbone = Network(table, hidden=(5,)).build(SHAPE, seed=seed).double()
    backbone.begin_task(0, classes=CLASSES, uses=[(True, True)] * layers)
    with torch.no_grad():
        for i, parameter in enumerate(backbone.parameters()):
            parameter.mul_(4 + i % 3)
    return backbone


def test_partitions_of_four_layers_are_all_there():
    assert [len(partitions(layers)) for layers in (1, 2, 3, 4)] == [1, 2, 5, 15]


@pytest.mark.parametrize("partition", [p for layers in (1, 2, 3, 4) for p in partitions(layers)], ids=str)
def test_tree_equals_one_by_one_evaluation_for_every_partition(partition: Partition):
    backbone, space = open_backbone(partition.num_layers), ConfigurationSpace.full(partition)
    images, _ = double_batch(SHAPE)
    together = tree_logits(backbone, images, 0, space=space)
    for index, bits in enumerate(space.layer_digits):
        alone = backbone.path_logits(images, 0, digits=bits)
        torch.testing.assert_close(together[index], alone, rtol=1e-12, atol=1e-12)
    assert together.unique(dim=0).shape[0] == len(space)


def test_tree_of_listed_candidates_is_that_of_their_prefixes():
    space = ConfigurationSpace(Partition.single(4), ((0, 1, 1, 0), (1, 1, 1, 1), (0, 1, 0, 0)))
    layout = plan(space)
    assert [step.nodes for step in layout.steps] == [2, 2, 3, 3]
    backbone, (images, _) = open_backbone(4), double_batch(SHAPE)
    together = tree_logits(backbone, images, 0, space=space)
    for index, bits in enumerate(space.layer_digits):
        torch.testing.assert_close(
            together[index], backbone.path_logits(images, 0, digits=bits), rtol=1e-12, atol=1e-12
        )


def test_layer_l_has_as_many_inputs_as_there_are_prefixes():
    layout = plan(ConfigurationSpace.full(Partition.single(6)))
    assert [step.nodes for step in layout.steps] == [2, 4, 8, 16, 32, 64]
    grouped = plan(ConfigurationSpace.full(Partition.parse("{1,3},{2,4},{5},{6}")))
    assert [step.nodes for step in grouped.steps] == [2, 4, 4, 4, 8, 16]


@pytest.mark.parametrize("text", ["{1},{2},{3}", "{1,3},{2}", "{1,2,3}"])
@pytest.mark.parametrize("evidence", ["product", "mean"])
def test_gradient_of_the_weighted_loss_is_the_weighted_sum_of_gradients(text: str, evidence: str):
    images, labels = double_batch(SHAPE)
    split = Split(images=images, labels=labels)
    strategy = EM(partition=Partition.parse(text), evidence=evidence)
    learner = SelectiveTransfer(open_backbone_closed(), strategy, training=Training(batch_size=5, keep=1.0))
    learner.begin_task(Task(name="toy", classes=CLASSES, train=split, valid=split, test=split))
    learner.begin_epoch()
    backbone, space = learner.backbone, learner.space
    log_likelihood = torch.stack(
        [
            backbone.path_logits(images, 0, digits=bits).log_softmax(-1)[torch.arange(5), labels]
            for bits in space.layer_digits
        ]
    ).detach()
    scores = log_likelihood.sum(1) if evidence == "product" else log_likelihood.exp().mean(1).log()
    q = (scores.exp() / scores.exp().sum()).tolist()
    parameters = dict(backbone.named_parameters())
    expected = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for weight, bits in zip(q, space.layer_digits, strict=True):
        loss = torch.nn.functional.cross_entropy(backbone.path_logits(images, 0, digits=bits), labels)
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                expected[name] += weight * gradient
    learner.train_step(images, labels)
    for name, parameter in parameters.items():
        got = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(got, expected[name], rtol=1e-9, atol=1e-12, msg=name)


def open_backbone_closed() -> Backbone:
    """A network of three layers without an open task."""
    return Network((Conv(3, 4), Conv(3, 5, pool=2), Conv(3, 6)), hidden=(5,)).build(SHAPE).double()


def test_em_step_equals_its_naive_twin():
    images, labels = double_batch(SHAPE)
    split = Split(images=images, labels=labels)
    task = Task(name="toy", classes=CLASSES, train=split, valid=split, test=split)
    learners = [
        SelectiveTransfer(open_backbone_closed(), EM(), training=Training(batch_size=5, keep=1.0)) for _ in "ab"
    ]
    for learner in learners:
        learner.begin_task(task)
        learner.begin_epoch()
    tree, twin = learners
    for _ in range(3):
        log_prior = tree.search.log_prior()
        assert log_prior is not None
        loss = tree.train_step(images, labels)
        twin.task.optimizer.zero_grad(set_to_none=True)
        q, expected = naive_em_step(
            twin.backbone, images, labels, space=twin.space, prior=log_prior, masks=torch.Generator()
        )
        twin.task.optimizer.step()
        torch.testing.assert_close(tree.search.log_posterior.exp(), q, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(loss, expected.double(), rtol=1e-6, atol=1e-9)
    for (name, value), other in zip(tree.backbone.named_parameters(), twin.backbone.parameters(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-6, atol=1e-8, msg=name)


def test_groups_that_are_not_adjacent_are_searched_on_the_six_layer_network():
    partition = Partition.parse("{1,3},{2,4},{5},{6}")
    backbone = NETWORKS["stl-6"].build((3, 27, 27)).double()
    learner = SelectiveTransfer(backbone, EM(partition=partition), training=Training(batch_size=2, keep=1.0))
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 27, 27, generator=generator, dtype=torch.float64)
    split = Split(images=images, labels=torch.tensor([0, 2]))
    learner.begin_task(Task(name="toy", classes=CLASSES, train=split, valid=split, test=split))
    together = tree_logits(backbone, images, 0, space=learner.space)
    assert len(together) == 16
    for index, bits in enumerate(learner.space.layer_digits):
        assert bits[0] == bits[2]
        assert bits[1] == bits[3]
        torch.testing.assert_close(
            together[index], backbone.path_logits(images, 0, digits=bits), rtol=1e-12, atol=1e-12
        )
    learner.train_epoch()
    learner.end_task()
    assert backbone.configuration(0) in learner.space.layer_digits
