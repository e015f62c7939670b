"""Batch norm in the module of a stage: frozen at the statistics it came with, or per task, and classes of timm."""

import pytest
import torch
from torch import nn

from lasem.configurations import ConfigurationSpace, Partition
from lasem.errors import SpecError
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import MECHANISMS, Backbone, Stage, TransferModule, mlp
from lasem.search import EM, leaf_features, plan
from toys import import_timm, shifted_task

SHAPE = (2, 6, 6)


def pretrained(norm, *, dimensions=2, inputs=2, outputs=3, seed=0):
    """Make a convolution and a norm with statistics, scale and shift as if they had been trained."""
    source = torch.Generator().manual_seed(seed)
    kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dimensions]
    module = nn.Sequential(kind(inputs, outputs, 3, padding=1), norm, nn.Tanh())
    with torch.no_grad():
        for tensor in [*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())]:
            tensor.copy_(torch.rand(tensor.shape, generator=source) + 0.3)
    return module


def head(features, classes, source):
    return mlp((features, classes), source=source)


def network(norms="frozen", norm=nn.BatchNorm2d, mechanism="hps", own="copy"):
    modules = [pretrained(norm(3)), pretrained(norm(4), inputs=3, outputs=4, seed=1)]
    stages = [
        TransferModule(lambda _, module=module: module, MECHANISMS[mechanism](), own=own, norms=norms)
        for module in modules
    ]
    return modules, Backbone(stages, shape=SHAPE, head=head, seed=1)


def batch(*shape, size=5):
    return torch.randn(size, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("bit", [0, 1])
@pytest.mark.parametrize(("dimensions", "norm"), [(1, nn.BatchNorm1d), (2, nn.BatchNorm2d), (3, nn.BatchNorm3d)])
def test_a_frozen_norm_is_that_of_the_module_in_evaluation_mode(dimensions, norm, bit):
    module = pretrained(norm(3), dimensions=dimensions)
    shape = (2, *[4] * dimensions)
    layer = TransferModule(lambda _: module, own="copy", norms="frozen")
    backbone = Backbone([layer], shape=shape, head=head).double()
    backbone.begin_task(0, classes=3, uses=[(True, True)])
    expected, images = module.double().eval()(batch(*shape)), batch(*shape)
    for running in (False, True):
        branch = backbone.forks(0, running=running)[0].branch(bit)
        torch.testing.assert_close(branch(images[None])[0], expected)
        torch.testing.assert_close(branch.module()(images), expected)


@pytest.mark.parametrize("mechanism", ["hps", "tf"])
def test_training_changes_scales_and_shifts_but_no_frozen_statistics(mechanism):
    modules, backbone = network(mechanism=mechanism)
    made = SelectiveTransfer(backbone, EM(), training=Training(batch_size=4, learning_rate=1e-2, keep=1.0))
    assert not backbone.normalizes
    for seed in (0, 1):
        made.begin_task(shifted_task(seed, shape=SHAPE, identity=seed))
        before = {name: value.clone() for name, value in backbone.named_parameters()}
        made.train_epoch()
        assert all(
            not torch.equal(value, before[name])
            for name, value in backbone.named_parameters()
            if f"own.{seed}.1." in name or "trial.1." in name
        )
        made.end_task()
    seen = 0
    for name, value in backbone.named_buffers():
        stage, kind = int(name.split(".")[1]), name.split(".")[-1]
        if kind.startswith("running"):
            assert torch.equal(value, getattr(modules[stage][1], kind))
            seen += 1
    assert seen >= 4
    assert not any("statistics" in name for name in backbone.state_dict())
    for seed in (0, 1):
        images = shifted_task(seed, shape=SHAPE).test.images
        torch.testing.assert_close(made.network(seed)(images), made.logits(images, seed))


def act(*, act_layer=nn.ReLU):
    """Return a function that makes the batch norm of timm, which applies an activation."""
    return lambda channels: import_timm().layers.BatchNormAct2d(channels, act_layer=act_layer)


@pytest.mark.parametrize("norms", ["task", "frozen"])
@pytest.mark.parametrize("kind", ["torch", "timm"])
def test_each_node_of_the_tree_is_a_network_of_its_own(norms, kind):
    modules, backbone = network(norms, nn.BatchNorm2d if kind == "torch" else act())
    backbone.double().begin_task(0, classes=3, uses=[(True, True)] * 2)
    with torch.no_grad():
        for parameter in backbone.task_parameters(0):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    space = ConfigurationSpace.full(Partition.single(2))
    layout, images = plan(space), batch(*SHAPE)
    together = leaf_features(backbone, images, 0, layout=layout)
    for row, candidate in enumerate(layout.candidates):
        hidden = images
        for stage, module, bit in zip(backbone.iter_stages(), modules, space.layer_digits[candidate], strict=True):
            module.double().load_state_dict((stage.trial if bit else stage.own["0"]).state_dict(), strict=False)
            hidden = module.train(norms == "task")(hidden)
        torch.testing.assert_close(together[row], hidden.permute(0, 2, 3, 1).flatten(1))


@pytest.mark.parametrize("norms", ["task", "frozen"])
def test_the_plain_network_has_the_activation_of_a_norm_of_timm(norms):
    _, backbone = network(norms, act(act_layer=nn.Tanh))
    backbone.begin_task(0, classes=3, uses=[(True, True)] * 2)
    images = batch(*SHAPE).float()
    backbone.estimate_statistics([images], 0, digits=(0, 1))
    backbone.commit((0, 1))
    torch.testing.assert_close(backbone.network(0)(images), backbone.path_logits(images, 0, running=True))


class Doubled(nn.BatchNorm2d):
    def forward(self, input):
        return 2 * super().forward(input)


def test_a_batch_norm_with_a_forward_of_its_own_is_refused_per_task_and_right_when_frozen():
    module = pretrained(Doubled(3))
    with pytest.raises(SpecError, match=r"must keep the statistics it came with .*Doubled.*norms=\"frozen\""):
        Stage(TransferModule(lambda _: module), index=0, seed=0)
    backbone = Backbone([TransferModule(lambda _: module, norms="frozen")], shape=SHAPE, head=head)
    backbone.begin_task(0, classes=3, uses=[(True, True)])
    images = batch(*SHAPE).float()
    torch.testing.assert_close(backbone.forks(0)[0].branch(1)(images[None])[0], module.eval()(images))


def test_frozen_norms_need_statistics_and_norms_are_one_of_two():
    bare = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False))
    with pytest.raises(SpecError, match=r"must have running statistics .*BatchNorm2d at '0'"):
        Stage(TransferModule(lambda _: bare, norms="frozen"), index=0, seed=0)
    with pytest.raises(SpecError, match="norms must be task or frozen"):
        TransferModule(lambda _: bare, norms="batch")
