"""Backbones cut out of models: the stages compute what the model computes, or the cut is refused in words."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lasem.errors import SpecError
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Backbone
from lasem.search import EM
from toys import shifted_task


class Residual(nn.Module):
    """A residual block as torchvision writes it."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
            if stride > 1
            else None
        )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(Residual(8, 8), Residual(8, 8))
        self.layer2 = nn.Sequential(Residual(8, 12, stride=2), Residual(12, 12))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.3)
        self.fc = nn.Linear(12, 5)

    def forward(self, x):
        batch = x.size(0)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.avgpool(self.layer2(self.layer1(x)))
        return self.fc(self.dropout(x.view(batch, -1)))


def trained(model):
    """Give batch norm statistics of its own, as training does."""
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def answers(model, *, classifier, shape, images=None, digits=None, **options):
    """Logits of the model, and of the backbone with the model's own classifier in the head."""
    images = torch.rand(3, *shape) if images is None else images
    layer = model.get_submodule(classifier)
    backbone = Backbone.of(model, shape=shape, head=lambda *_: copy.deepcopy(layer), **options)
    count = len(backbone.stages)
    backbone.begin_task(0, classes=5, uses=[(True, True)] * count)
    backbone.commit(digits or [number % 2 for number in range(count)])
    with torch.no_grad():
        return backbone, model(images), backbone.path_logits(images, 0, running=True)


MODELS = {
    "resnet": (ResNet(), "fc", (3, 8, 8), ["conv1", "layer1", "layer2"]),
    "resnet by blocks": (ResNet(), "fc", (3, 8, 8), [["conv1", "bn1"], "layer1.*", ["layer2.*"]]),
    "mlp": (
        nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 5)),
        "4",
        (4,),
        ["0", "2"],
    ),
    "conv1d": (
        nn.Sequential(
            nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Conv1d(4, 3, 3), nn.Flatten(), nn.Linear(18, 5)
        ),
        "5",
        (2, 10),
        ["0", "3"],
    ),
    "conv3d": (
        nn.Sequential(
            nn.Conv3d(1, 2, 3), nn.ReLU(), nn.Conv3d(2, 3, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(3, 5)
        ),
        "5",
        (1, 6, 6, 6),
        ["0", "2"],
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_backbone_answers_as_the_model_it_was_cut_out_of(name):
    model, classifier, shape, stages = MODELS[name]
    backbone, expected, found = answers(trained(model), classifier=classifier, shape=shape, stages=stages)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(backbone.network(0)(torch.ones(2, *shape)), model(torch.ones(2, *shape)))


def test_parameters_keep_their_names_and_the_model_stays_as_it_was():
    model = trained(ResNet()).train()
    before = copy.deepcopy(model.state_dict())
    backbone = Backbone.of(model, stages=["conv1", "layer1", "layer2"], shape=(3, 8, 8))
    assert {"bn1.weight", "layer1.0.conv1.weight"} <= set(backbone.stages[1].shared.state_dict())
    assert model.training
    assert model.relu.inplace
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_final_norm_and_a_pool_behind_it_go_to_the_heads():
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.Conv2d(4, 6, 3),
        nn.GroupNorm(2, 6),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(6, 5),
    )
    backbone, expected, found = answers(model, classifier="6", shape=(2, 6, 6), stages=["0", "1"])
    torch.testing.assert_close(found, expected)
    assert backbone.num_features == 6 * 2 * 2
    assert "heads.0.tail.2.weight" in backbone.state_dict()


def test_modules_in_a_list_make_stages_of_code_that_cannot_be_traced():
    class Conditional(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 6)
            self.norm, self.classifier = nn.LayerNorm(6), nn.Linear(6, 5)

        def forward(self, x):
            hidden = self.second(self.first(x))
            if hidden.sum() > 1e9:
                hidden = -hidden
            return self.classifier(self.norm(hidden))

    model = Conditional()
    with pytest.raises(SpecError, match=r"traceable.*test_cut.py:\d+, in `if hidden.sum\(\) > 1e9:`.*list of modules"):
        Backbone.of(model, stages=["first", "second"], shape=(4,))
    _, expected, found = answers(
        model, classifier="classifier", shape=(4,), stages=[model.first, [model.second]], tail=[model.norm]
    )
    torch.testing.assert_close(found, expected)
    _, expected, found = answers(model, classifier="classifier", shape=(4,), stages=["first", "second"], tail=["norm"])
    torch.testing.assert_close(found, expected)
    with pytest.raises(SpecError, match="compute the features of the model"):
        Backbone.of(model, stages=[model.first, model.second], shape=(4,))
    with pytest.raises(SpecError, match="must run on what the stage before gives"):
        Backbone.of(model, stages=[model.second, model.first], shape=(4,))
    with pytest.raises(SpecError, match=r"all names or all modules .*write model.layer1"):
        Backbone.of(model, stages=[model.first, "second"], shape=(4,))


class Reshaping(nn.Module):
    """Code with conditions on shapes and types, and a layer that forward makes itself."""

    def __init__(self, *, last):
        super().__init__()
        self.first, self.second, self.fc = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 5)
        self.last = last

    def forward(self, x):
        batch, width = x.shape
        if width != self.first.in_features or x.dtype != self.first.weight.dtype:
            raise ValueError(width)
        if self.last(x):
            x = x + 1
        return self.fc(nn.Tanh()(self.second(self.first(x))).view(batch, -1))


def test_conditions_that_shapes_and_types_decide_are_traced():
    model = Reshaping(last=lambda x: x.dim() == 2)
    _, expected, found = answers(model, classifier="fc", shape=(4,), stages=["first", "second"])
    torch.testing.assert_close(found, expected)
    with pytest.raises(SpecError, match=r"traceable.*in `if self.last\(x\):`"):
        Backbone.of(Reshaping(last=lambda x: x.sum() > 0), stages=["first", "second"], shape=(4,))
    with pytest.raises(SpecError, match=r"traceable.*in `if self.last\(x\):`"):
        Backbone.of(Reshaping(last=lambda x: x.shape[0] > 1), stages=["first", "second"], shape=(4,))


class Dropping(nn.Module):
    """Code that drops out by itself, before or behind the last stage."""

    def __init__(self, *, early):
        super().__init__()
        self.first, self.second, self.fc = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 5)
        self.early = early

    def forward(self, x):
        x = F.dropout(self.first(x), 0.5, training=self.training and self.early)
        return self.fc(F.dropout(self.second(x), 0.5, training=self.training and not self.early))


def test_code_with_a_cut_that_does_something_else_in_training_is_refused():
    with pytest.raises(SpecError, match=r"same in training and in answers \(got dropout, .*torch.nn.Dropout"):
        Backbone.of(Dropping(early=True), stages=["first", "second"], shape=(4,))
    backbone = Backbone.of(Dropping(early=False), stages=["first", "second"], shape=(4,))
    assert not backbone.stochastic


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.middle, self.up = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
        self.fc = nn.Linear(2 * 4, 5)

    def forward(self, x):
        early = self.down(x)
        return self.fc((self.up(self.middle(early)) + early).flatten(1))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        return self.fc(self.second(self.first(x)))


class Overwriting(Tied):
    def forward(self, x):
        return self.fc(self.second(self.first(x).relu_()) + 0)


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.fc = nn.Linear(4, 4), nn.Sequential(Counter(), nn.Linear(4, 4)), nn.Linear(4, 5)

    def forward(self, x):
        return self.fc(self.second(self.first(x)))


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x * 1


WRONG = {
    "crossing edge": (UNet(), ["down", "middle", "up"], (2, 2, 2), "down -> add, which crosses the cut behind up"),
    "unknown name": (ResNet(), ["conv1", "layer3"], (3, 8, 8), "did you mean 'layer"),
    "unknown pattern": (ResNet(), ["layr1.*"], (3, 8, 8), r"must match submodules .*did you mean 'layer1.\*'"),
    "shared parameters": (Tied(), ["first", "second"], (4,), "must belong to one stage"),
    "state": (Counting(), ["first", "second"], (4,), "must not change a buffer"),
    "wrong order": (ResNet(), ["layer1", "conv1"], (3, 8, 8), "in the order in which the model calls them"),
    "inside another": (ResNet(), ["layer1", "layer1.0"], (3, 8, 8), "inside 'layer1'"),
    "called twice": (nn.Sequential(*[nn.Linear(4, 4)] * 2), ["0"], (4,), "calls once"),
    "batch norm in the head": (
        nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 5)),
        ["0"],
        (4,),
        "batch norm must belong to a stage",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_cut_that_cannot_be_right_is_refused_in_words(name):
    model, stages, shape, message = WRONG[name]
    with pytest.raises(SpecError, match=message):
        Backbone.of(model, stages=stages, shape=shape)


@pytest.mark.parametrize("shape", [(1, 8, 8), (8, 8, 3)])
def test_a_shape_that_the_model_does_not_take_is_named(shape):
    with pytest.raises(SpecError, match=r"model must run on inputs of shape \(\d, 8, \d\) .* correct shape, as"):
        Backbone.of(ResNet(), stages=["conv1", "layer1"], shape=shape)
    with pytest.raises(SpecError, match=r"model must run on inputs .* convert the model by model.float"):
        Backbone.of(ResNet().double(), stages=["conv1", "layer1"], shape=(3, 8, 8))


def test_what_is_missing_is_named():
    with pytest.raises(SpecError, match=r"stages and shape must be given \(got missing = \['shape'\]\)"):
        Backbone.of(ResNet(), stages=["conv1"])
    with pytest.raises(SpecError, match=r"model must be a module of torch \(got 'resnet18'\)"):
        Backbone.of("resnet18", stages=["conv1"], shape=(3, 8, 8))


@pytest.mark.parametrize(
    "options", [{"mean": [0.5] * 3}, {"deviation": [0.5] * 3}, {"mean": [0.5], "deviation": [0.5]}]
)
def test_a_normalization_has_both_numbers_of_every_channel(options):
    with pytest.raises(SpecError, match=r"mean and deviation must have one number per channel .*give 3 numbers each"):
        Backbone.of(ResNet(), stages=["conv1", "layer1"], shape=(3, 8, 8), **options)


def test_a_stage_that_writes_over_its_input_is_refused():
    model = Overwriting()
    model.second.weight = nn.Parameter(torch.ones(4, 4))
    with pytest.raises(SpecError, match="must not write over its input"):
        Backbone.of(model, stages=["first", "second"], shape=(4,))


def test_lasem_searches_over_the_stages_of_a_trained_model():
    backbone = Backbone.of(trained(ResNet()), stages=["conv1", "layer1", "layer2"], shape=(3, 8, 8))
    learner = SelectiveTransfer(backbone, EM(), training=Training(batch_size=4, learning_rate=1e-3, keep=1.0))
    for number in range(2):
        task = shifted_task(number, shape=(3, 8, 8), images=12, classes=3, identity=number)
        learner.begin_task(task)
        learner.train_epoch()
        learner.end_task()
    assert set(backbone.configurations) == {0, 1}
