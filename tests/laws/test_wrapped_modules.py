"""Modules of any kind as stages: answers depend on the image and the parameters only, or the module is refused."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lasem.configurations import ConfigurationSpace, Partition
from lasem.errors import SpecError
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import MECHANISMS, NETWORKS, Backbone, Stage, TransferModule
from lasem.search import EM, Fixed, leaf_features, plan
from toys import shifted_task

SHAPE, CLASSES = (2, 6, 6), 3


def task(seed):
    return shifted_task(seed, shape=SHAPE, images=12, classes=CLASSES, identity=seed)


def drawn(module, source):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.4, generator=source)
    return module


def normed(inputs, outputs):
    """A convolution with batch norm as users write it."""
    return TransferModule(
        lambda source: drawn(
            nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()), source
        )
    )


def linear(inputs, outputs):
    return TransferModule(
        lambda source: drawn(
            nn.Sequential(nn.Flatten(), nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.Tanh()), source
        )
    )


def head(features, classes, source):
    return drawn(nn.Linear(features, classes), source)


def network(mechanism=None):
    layers = [normed(2, 3), normed(3, 4), linear(4 * 36, 5)]
    if mechanism is not None:
        layers = [TransferModule(layer.make, mechanism) for layer in layers]
    return Backbone(layers, shape=SHAPE, head=head, seed=1)


def learner(mechanism=None, strategy=None):
    training = Training(batch_size=4, learning_rate=1e-2, keep=1.0)
    return SelectiveTransfer(network(mechanism), strategy or EM(), training=training)


def learn(made, seed):
    made.begin_task(task(seed))
    made.train_epoch()
    made.end_task()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_answers_agree_with_each_other_with_the_network_and_for_single_images(mechanism):
    made = learner(MECHANISMS[mechanism]())
    for seed in (0, 1):
        learn(made, seed)
    for seed in (0, 1):
        images = task(seed).test.images
        answer = made.logits(images, seed)
        assert torch.equal(made.logits(images, seed), answer)
        torch.testing.assert_close(made.network(seed)(images), answer)
        alone = torch.cat([made.logits(image[None], seed) for image in images])
        torch.testing.assert_close(alone, answer, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("partition", ["{1},{2},{3}", "{1,3},{2}"])
def test_each_node_normalizes_by_its_own_batch_as_separate_networks_in_training(partition):
    backbone = network().double()
    backbone.begin_task(0, classes=CLASSES, uses=[(True, True)] * 3)
    images = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    layout = plan(ConfigurationSpace.full(Partition.parse(partition)))
    together = leaf_features(backbone, images, 0, layout=layout)
    space = ConfigurationSpace.full(Partition.parse(partition))
    for row, candidate in enumerate(layout.candidates):
        hidden = images
        for stage, bit in zip(backbone.iter_stages(), space.layer_digits[candidate], strict=True):
            module = stage.layer.make(torch.Generator()).double()  # with the batch norms of torch
            module.load_state_dict((stage.trial if bit else stage.own["0"]).state_dict(), strict=False)
            hidden = module.train()(hidden)
        torch.testing.assert_close(together[row], hidden, rtol=1e-10, atol=1e-10)


def test_running_statistics_of_a_wrapped_batch_norm_are_the_average_over_batches():
    backbone = network().double()
    backbone.begin_task(0, classes=CLASSES, uses=[(True, True)] * 3)
    source = torch.Generator().manual_seed(3)
    batches = [torch.randn(4, *SHAPE, generator=source, dtype=torch.float64) for _ in range(3)]
    backbone.estimate_statistics(batches, 0, digits=(0, 0, 0))
    first = next(backbone.iter_stages())
    outputs = [F.conv2d(b, first.own["0"]["0.weight"], first.own["0"]["0.bias"], padding=1) for b in batches]
    buffers = dict(backbone.named_buffers())
    torch.testing.assert_close(buffers["stages.0.statistics.0.1.mean"], sum(y.mean((0, 2, 3)) for y in outputs) / 3)
    torch.testing.assert_close(buffers["stages.0.statistics.0.1.variance"], sum(y.var((0, 2, 3)) for y in outputs) / 3)


@pytest.mark.parametrize(
    ("layer", "word"),
    [
        (nn.LazyLinear(3), "LazyLinear at '1'"),
        (nn.SyncBatchNorm(2), "SyncBatchNorm at '1'"),
    ],
)
def test_a_module_whose_answers_would_be_wrong_is_refused_when_the_stage_is_made(layer, word):
    stage = TransferModule(lambda _: nn.Sequential(nn.Identity(), layer))
    with pytest.raises(SpecError, match=word):
        Stage(stage, index=0, seed=0)


class Counting(nn.Module):
    def __init__(self, *, replaces=False):
        super().__init__()
        self.replaces = replaces
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        if self.replaces:
            self.seen = self.seen + 1
        else:
            self.seen += 1
        return x


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Counting, "must not change a buffer in forward .got a new value of 'seen'"),
        (lambda: Counting(replaces=True), "must not change a buffer in forward"),
        (lambda: nn.InstanceNorm2d(2, track_running_stats=True), "must not change a buffer"),
        (lambda: nn.Conv2d(5, 2, 3), "stage 0 must run on inputs of shape .2, 6, 6."),
    ],
)
def test_a_module_whose_forward_cannot_be_right_is_refused_when_the_backbone_is_made(make, words):
    with pytest.raises(SpecError, match=words):
        Backbone([TransferModule(lambda _: make())], shape=SHAPE, head=head)


def test_a_make_that_returns_the_same_module_every_time_still_gives_separate_branches():
    pretrained = nn.Conv2d(2, 4, 3)
    backbone = Backbone([TransferModule(lambda _: pretrained)], shape=SHAPE, head=head)
    for number in (0, 1):
        backbone.begin_task(number, classes=CLASSES, uses=[(True, True)])
        stage = next(backbone.iter_stages())
        places = [*stage.shared.parameters(), *stage.own[str(number)].parameters(), *pretrained.parameters()]
        assert len({parameter.data_ptr() for parameter in places}) == len(places)
        assert torch.equal(stage.own[str(number)]["weight"], pretrained.weight)
        backbone.commit((0,))


def test_constant_buffers_and_tied_parameters_are_kept():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
            self.second.weight = self.first.weight
            self.register_buffer("offset", torch.tensor([1.0, 2.0]))

        def forward(self, x):
            return self.second(self.first(x)) + self.offset

    made = Tied()
    backbone = Backbone([TransferModule(lambda _: made)], shape=(2,), head=head)
    backbone.begin_task(0, classes=CLASSES, uses=[(True, True)])
    stage = next(backbone.iter_stages())
    assert sum(1 for _ in stage.own["0"].parameters()) == 3
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    for bit in (0, 1):
        branch = stage.fork(0, trial=True).branch(bit)
        torch.testing.assert_close(branch(x[None])[0], made(x))
        torch.testing.assert_close(branch.module()(x), made(x))


@pytest.mark.parametrize("dimensions", [1, 3])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_convolutions_of_one_and_three_dimensions_are_stages(dimensions, mechanism):
    kind = {1: nn.Conv1d, 3: nn.Conv3d}[dimensions]
    norm = {1: nn.BatchNorm1d, 3: nn.BatchNorm3d}[dimensions]
    shape = (2, *[6] * dimensions)

    def layer(inputs, outputs):
        return TransferModule(
            lambda source: drawn(nn.Sequential(kind(inputs, outputs, 3), norm(outputs), nn.ReLU()), source),
            MECHANISMS[mechanism](),
        )

    backbone = Backbone([layer(2, 3), layer(3, 4)], shape=shape, head=head)
    assert backbone.num_features == 4 * 2**dimensions
    backbone.begin_task(0, classes=CLASSES, uses=[(True, True)] * 2)
    images = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0))
    backbone.estimate_statistics([images], 0, digits=(0, 1))
    answer = backbone.path_logits(images, 0, digits=(0, 1), running=True)
    backbone.commit((0, 1))
    torch.testing.assert_close(backbone.network(0)(images), answer)


def test_an_output_shape_may_be_given_for_modules_that_need_values():
    class Conditional(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(SpecError, match=r"give its shape as TransferModule\(\.\.\., output=\.\.\.\)"):
        Backbone([TransferModule(lambda _: Conditional())], shape=SHAPE, head=head)
    given = TransferModule(lambda _: Conditional(), output=lambda shape: shape)
    assert Backbone([given], shape=SHAPE, head=head).num_features == 72


@pytest.mark.parametrize("kind", ["plain", "skips", "batch norm", "wrapped"])
def test_abandoning_a_new_task_leaves_no_trace(kind):
    make = {
        "plain": lambda: NETWORKS["digits-3"].build((1, 8, 8)),
        "skips": lambda: NETWORKS["resnet-18"].build((1, 8, 8)),
        "batch norm": lambda: NETWORKS["resnet-18-bn"].build((1, 8, 8)),
        "wrapped": network,
    }[kind]
    backbone = make()
    layers = len(backbone.stages)
    backbone.begin_task(3, classes=2, uses=[(True, True)] * layers)
    backbone.commit([1, 0] * (layers // 2) + [1] * (layers % 2))
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.begin_task(0, classes=2, uses=[(True, True)] * layers)
    backbone.abandon()
    after = backbone.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_captured_step_of_wrapped_modules_is_one_graph():
    backbone = network()
    space = EM().space(3)
    backbone.begin_task(0, classes=CLASSES, uses=space.uses)
    images = torch.rand(4, *SHAPE)
    whole = torch.compile(leaf_features, backend="eager", fullgraph=True, dynamic=False)
    found = whole(backbone, images, 0, layout=plan(space))
    torch.testing.assert_close(found, leaf_features(backbone, images, 0, layout=plan(space)))


def test_a_fixed_configuration_of_wrapped_modules_learns():
    made = learner(strategy=Fixed("all"))
    made.begin_task(task(0))
    losses = [made.train_epoch() for _ in range(8)]
    assert losses[-1] < losses[0]
