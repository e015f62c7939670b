"""Options of training: weight decay, warm-up and schedule, clipping, and resuming a task with all of them."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lasem.benchmarks import Outline
from lasem.errors import SpecError
from lasem.learners import SelectiveTransfer, Training
from lasem.runs import build_learner, resolve
from lasem.search import DARTS, EM, DrawnEM, Fixed
from lasem.training import TaskTraining
from toys import assert_same, make_backbone, make_task, through_disk

SHAPE = (1, 6, 6)
OUTLINE = Outline((1, 8, 8), classes=(3, 3), images={"train": 12, "valid": 9, "test": 9}, identities=(0, 1))
ALL = {
    "optimizer": "adamw",
    "weight_decay": 0.1,
    "warmup": 2,
    "schedule": "cosine",
    "clip_norm": 0.5,
    "label_smoothing": 0.1,
    "layer_decay": 0.7,
    "head_rate": 2.0,
    "random_flip": True,
    "random_crop": 1,
    "color_jitter": 0.2,
}


class Toy:
    """An open task with a matrix and a bias, whose loss is a quadratic."""

    def __init__(self, **training):
        source = torch.Generator().manual_seed(0)
        self.weight, self.bias = (nn.Parameter(torch.randn(size, generator=source)) for size in ((3, 4), (3,)))
        self.task = TaskTraining(
            Training(batch_size=4, learning_rate=0.1, **training), seed=0, shape=SHAPE, like=self.weight
        )
        self.task.begin(make_task(), [self.weight, self.bias])

    def loss(self):
        return (self.weight - 1).square().sum() + (self.bias + 2).square().sum()

    def train(self, epochs):
        """Train for some epochs of three batches, and return the learning rate of every step."""
        rates = []
        for _ in range(epochs):
            losses = []
            for _ in self.task.batches():
                rates.append(self.task.learning_rate)
                losses.append(self.task.step(self.loss()))
            self.task.end_epoch(losses)
        return rates


@pytest.mark.parametrize(
    ("name", "reference"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)], ids=["adamw", "sgd"]
)
def test_weight_decay_is_that_of_torch_and_leaves_biases_alone(name, reference):
    toy, twin = Toy(optimizer=name, weight_decay=0.3), Toy()
    groups = [{"params": [twin.weight], "weight_decay": 0.3}, {"params": [twin.bias], "weight_decay": 0.0}]
    optimizer = reference(groups, lr=0.1)
    toy.train(2)
    for _ in range(6):
        optimizer.zero_grad()
        twin.loss().backward()
        optimizer.step()
    torch.testing.assert_close(toy.weight, twin.weight, rtol=0, atol=0)
    torch.testing.assert_close(toy.bias, twin.bias, rtol=0, atol=0)


def test_adamw_without_weight_decay_is_adam():
    toys = [Toy(optimizer=name) for name in ("adamw", "adam")]
    for toy in toys:
        toy.train(2)
    assert torch.equal(*(toy.weight for toy in toys))


@pytest.mark.parametrize("warmup", [2, 0.34])
def test_warmup_and_cosine_have_their_closed_form(warmup):
    rates = Toy(warmup=warmup, schedule="cosine", epochs=2).train(2)
    expected = [0.05, 0.1, *(0.05 * (1 + math.cos(math.pi * step / 4)) for step in range(4))]
    assert rates == pytest.approx(expected)


def test_a_schedule_restarts_with_every_task_and_stays_at_its_end():
    toy = Toy(schedule="cosine", epochs=1)
    first = toy.train(2)
    assert first[3:] == [0.0, 0.0, 0.0]
    toy.task.end()
    toy.task.begin(make_task(), [toy.weight, toy.bias])
    assert toy.train(1) == first[:3]


def test_the_schedule_multiplies_the_decay_over_the_stream():
    assert Toy(warmup=6, decay=1.0).train(3) == pytest.approx(
        [0.1 / 6, 0.2 / 6, 0.3 / 6, 0.2 / 6, 0.25 / 6, 0.05, *[0.1 / 3] * 3]
    )


@pytest.mark.parametrize("clip", [0.5, 1e6])
def test_clipping_is_that_of_torch(clip):
    toy, twin = Toy(optimizer="sgd", clip_norm=clip), Toy()
    optimizer = torch.optim.SGD([twin.weight, twin.bias], lr=0.1)
    toy.train(1)
    for _ in range(3):
        optimizer.zero_grad()
        twin.loss().backward()
        nn.utils.clip_grad_norm_([twin.weight, twin.bias], clip)
        optimizer.step()
    assert torch.equal(toy.weight, twin.weight)
    assert torch.equal(toy.bias, twin.bias)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adam", "weight_decay": 0.1}, "weight_decay must be 0 unless the optimizer is adamw or sgd"),
        ({"warmup": 0.1}, "epochs must be given for a cosine schedule and for a warmup that is a share"),
        ({"schedule": "cosine"}, "epochs must be given"),
        ({"warmup": 1.5, "epochs": 2}, "warmup must be a whole number or a share from 0 to below 1"),
        ({"warmup": -1}, "warmup must be a whole number or a share"),
        ({"label_smoothing": 1.0}, "label_smoothing must be below 1"),
        ({"layer_decay": 1.1}, "layer_decay must be at most 1"),
        ({"clip_norm": 0.0}, "clip_norm must be above 0"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        Training(**options)


# Layers


def test_the_learning_rate_falls_with_every_layer_away_from_the_head():
    """Plain gradient descent moves each layer by its factor times what it moves without."""
    moved = {}
    for name, options in (("plain", {}), ("layers", {"layer_decay": 0.5, "head_rate": 3.0})):
        training = Training(batch_size=12, learning_rate=0.01, optimizer="sgd", keep=1.0, **options)
        learner = SelectiveTransfer(make_backbone(depth=3), Fixed("none"), training=training)
        learner.begin_task(make_task())
        before = {key: value.detach().clone() for key, value in learner.backbone.named_parameters()}
        learner.train_epoch()
        moved[name] = {key: value.detach() - before[key] for key, value in learner.backbone.named_parameters()}
    factors = {"stages.0.own": 0.125, "stages.1.own": 0.25, "stages.2.own": 0.5, "heads": 3.0}
    for key, step in moved["plain"].items():
        factor = next((value for start, value in factors.items() if key.startswith(start)), 1.0)
        torch.testing.assert_close(moved["layers"][key], step * factor, rtol=1e-3, atol=1e-7)


def test_relative_rates_follow_the_gradient_norm_of_every_layer():
    """One step of plain gradient descent: each layer moves by |g| / |w| over the largest of these, heads in full."""
    moved, norms = {}, {}
    for relative in (False, True):
        options = {"optimizer": "sgd", "keep": 1.0, "weight_decay": 1e-9, "relative_rates": relative}
        training = Training(batch_size=12, learning_rate=0.01, **options)
        learner = SelectiveTransfer(make_backbone(depth=3), Fixed("none"), training=training)
        learner.begin_task(make_task())
        before = {key: value.detach().clone() for key, value in learner.backbone.named_parameters()}
        learner.train_epoch()
        moved[relative] = {key: value.detach() - before[key] for key, value in learner.backbone.named_parameters()}
        for stage in range(3):
            names = [key for key in before if key.startswith(f"stages.{stage}.own")]
            gradient = torch.cat([moved[False][key].flatten() / -0.01 for key in names])
            norms[stage] = float(gradient.norm() / torch.cat([before[key].flatten() for key in names]).norm())
    assert len({round(norm, 6) for norm in norms.values()}) == 3
    for key, step in moved[False].items():
        stage = int(key.split(".")[1]) if key.startswith("stages") else None
        factor = 1.0 if stage is None else norms[stage] / max(norms.values())
        torch.testing.assert_close(moved[True][key], step * factor, rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("name", ["prognn", "gating"])
def test_learners_of_columns_and_gates_have_a_rate_for_every_layer(name):
    spec = resolve(f"digits/{name}", ["training.layer_decay=0.5", "training.head_rate=2.0", "training.batch_size=6"])
    learner, task = build_learner(spec, OUTLINE, device=torch.device("cpu")), make_task(shape=OUTLINE.shape)
    for position in range(2):
        learner.begin_task(replace(task, identity=position))
        groups = learner.task.optimizer.param_groups
        assert {group["factor"] for group in groups} == {2.0, 0.5, 0.25, 0.125}
        heads = next(group for group in groups if group["factor"] == 2.0)["params"]
        assert any(parameter.shape[0] == task.classes for parameter in heads)
        learner.end_task()


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("den", "training.layer_decay=0.5", "layer_decay and head_rate must be 1, and relative_rates false, for a"),
        ("apd", "training.head_rate=2.0", "layer_decay and head_rate must be 1, and relative_rates false, for a"),
        ("den", "training.relative_rates=true", "layer_decay and head_rate must be 1, and relative_rates false, for a"),
        ("gating", "training.weight_decay=0.1", "weight_decay must be 0 for a learner that holds"),
    ],
)
def test_learners_refuse_what_would_break_their_promises(name, option, message):
    spec = resolve(f"digits/{name}", [option, "training.optimizer=adamw"])
    with pytest.raises(SpecError, match=message):
        build_learner(spec, OUTLINE, device=torch.device("cpu"))


# Label smoothing


@pytest.mark.parametrize(
    "strategy", [Fixed("all"), EM(), DrawnEM(), DARTS(held_out="none")], ids=["fixed", "em", "drawn-em", "darts"]
)
def test_label_smoothing_is_that_of_torch(strategy):
    """With equal candidates, the first loss is the smoothed cross-entropy of any of them."""
    losses = {}
    for smoothing in (0.0, 0.3):
        training = Training(batch_size=12, learning_rate=1e-3, keep=1.0, label_smoothing=smoothing)
        learner = SelectiveTransfer(make_backbone(), strategy, training=training)
        task = make_task()
        learner.begin_task(task)
        learner.backbone.heads["0"].requires_grad_(False)[-1].weight.mul_(30).requires_grad_()
        for stage in learner.backbone.iter_stages():  # own and shared branches alike
            for own, trial in zip(*(part.parameters() for part in branches(stage)), strict=True):
                own.data.copy_(trial)
        logits = learner.backbone.path_logits(task.train.images, 0, digits=(1, 1))
        losses[smoothing] = learner.train_epoch()
        expected = F.cross_entropy(logits, task.train.labels, label_smoothing=smoothing)
        assert losses[smoothing] == pytest.approx(expected.item(), rel=1e-4)
    assert losses[0.0] != pytest.approx(losses[0.3], rel=1e-3)


def branches(stage):
    """Parts with the own and the trial parameters of the first task; without an own branch the trial twice."""
    return dict(stage.own).get("0", stage.trial), stage.trial


def test_evidence_reads_labels_as_they_are():
    posteriors = []
    for smoothing in (0.0, 0.5):
        training = Training(batch_size=12, learning_rate=1e-2, label_smoothing=smoothing)
        learner = SelectiveTransfer(make_backbone(), EM(), training=training)
        learner.begin_task(make_task())
        learner.train_epoch()
        posteriors.append(learner.posterior())
    assert torch.equal(*posteriors)
    assert posteriors[0].max() > 0.251  # the candidates differ


def make_learner():
    training = Training(batch_size=4, learning_rate=1e-2, epochs=3, **ALL)
    return SelectiveTransfer(make_backbone(), EM(), training=training, seed=3)


def test_a_task_with_all_options_resumes_bit_for_bit():
    task, straight, stopped = make_task(), make_learner(), make_learner()
    for learner, epochs in ((straight, 3), (stopped, 1)):
        learner.begin_task(task)
        for _ in range(epochs):
            learner.train_epoch()
    resumed = make_learner()
    resumed.restore(through_disk(stopped.state()), task=task)
    for _ in range(2):
        resumed.train_epoch()
    assert_same(resumed, straight)
