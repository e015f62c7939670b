import pytest
import torch
from torch import nn

from lasem.configurations import ConfigurationSpace, Partition
from lasem.nn import Backbone, Conv, HardParameterSharing, PooledConv2d, TransferModule
from toys import tree_logits

IMAGES = torch.rand(4, 2, 4, 4, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    """A residual block with a skip of its own."""

    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + self.second(self.first(x).relu())


def drawn(module, source):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3, generator=source)
    return module


def linear_head(features, classes, source):
    return drawn(nn.Linear(features, classes), source)


def block():
    return TransferModule(lambda source: drawn(Block(2), source))


def linear(features):
    def make(source):
        return drawn(nn.Sequential(nn.Flatten(), nn.Linear(features, 5), nn.Tanh()), source)

    return TransferModule(make)


def convolution():
    return Conv(3, 2, pool=2).build(2, HardParameterSharing())


@pytest.fixture
def backbone():
    """A convolution, a block and a linear layer, with a task open."""
    network = Backbone([convolution(), block(), linear(8)], shape=(2, 4, 4), head=linear_head, seed=1)
    network.begin_task(0, classes=3, uses=[(True, True)] * 3)
    return network


def test_any_module_gives_a_backbone_its_shape(backbone):
    assert backbone.num_features == 5
    assert backbone.heads["0"].in_features == 5


@pytest.mark.parametrize("text", ["{1},{2},{3}", "{1,3},{2}", "{1,2,3}"])
def test_a_tree_over_any_modules_equals_one_by_one_evaluation(backbone, text):
    space = ConfigurationSpace.full(Partition.parse(text))
    logits = tree_logits(backbone, IMAGES, 0, space=space)
    one_by_one = []
    for bits in space.layer_digits:
        hidden = IMAGES
        for stage, bit in zip(backbone.stages, bits, strict=True):
            part = stage.trial if bit else stage.own["0"]
            if isinstance(stage.template.module, PooledConv2d):
                hidden = nn.functional.conv2d(hidden, part["weight"], part["bias"], padding=1).relu()
                hidden = nn.functional.max_pool2d(hidden, 2)
            else:
                module = stage.layer.make(torch.Generator())
                module.load_state_dict(part.state_dict())
                hidden = module(hidden)
        one_by_one.append(backbone.heads["0"](hidden.flatten(1)))
    torch.testing.assert_close(logits, torch.stack(one_by_one))
    assert len({tuple(row.flatten().tolist()) for row in logits}) == len(space)


def test_own_and_shared_modules_are_drawn_apart(backbone):
    weights = [backbone.stages[2].own["0"]["1.weight"], backbone.stages[2].shared["1.weight"]]
    assert not torch.equal(*weights)


@pytest.mark.parametrize("bits", [(0, 1, 0), (1, 0, 1)])
def test_modules_commit_as_convolutions_do(backbone, bits):
    before = backbone.path_logits(IMAGES, 0, digits=bits)
    backbone.commit(bits)
    assert torch.equal(backbone.path_logits(IMAGES, 0), before)
    for stage, bit in zip(backbone.stages, bits, strict=True):
        assert len(stage.own) == 1 - bit


def test_the_network_of_a_task_holds_copies_of_modules(backbone):
    backbone.commit((0, 1, 0))
    network = backbone.network(0)
    before = backbone.path_logits(IMAGES, 0)
    torch.testing.assert_close(network(IMAGES), before)
    own = {p.data_ptr() for p in backbone.parameters()}
    assert own.isdisjoint(p.data_ptr() for p in network.parameters())


def test_a_module_without_a_penalty_has_none(backbone):
    assert backbone.penalties(0) == []
