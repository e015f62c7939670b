"""Stages in front that no candidate trains are computed once per image, with the same results."""

import pytest
import torch
from torch import nn

from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Backbone, Skip, TransferModule, mlp
from lasem.search import EM, Fixed, Front
from toys import assert_same, shifted_task, through_disk

SHAPE = (2, 6, 6)


class Counted(nn.Conv2d):
    """A convolution that counts the images it is applied to."""

    images = 0

    def forward(self, input):
        if input.device.type != "meta":
            Counted.images += len(input)
        return super().forward(input)


def layer(inputs, *, constant, seed, after=nn.Tanh):
    made = nn.Sequential(Counted(inputs, 3, 3, padding=1), after())
    source = torch.Generator().manual_seed(seed)
    for parameter in made.parameters():
        parameter.data.normal_(std=0.4, generator=source)
        parameter.requires_grad_(not constant)
    return TransferModule(lambda _: made)


def learner(strategy, *, constant=(True, True, False), memory=512.0, skips=(), after=nn.Tanh):
    layers = [
        layer(3 if i else 2, constant=fixed, seed=i, after=after if i == 0 else nn.Tanh)
        for i, fixed in enumerate(constant)
    ]
    head = lambda features, classes, source: mlp((features, classes), source=source)  # noqa: E731
    backbone = Backbone(layers, shape=SHAPE, head=head, seed=1, skips=skips)
    training = Training(batch_size=4, learning_rate=1e-2, keep=0.5, front_memory=memory)
    return SelectiveTransfer(backbone, strategy, training=training)


def task(seed=0):
    return shifted_task(seed, shape=SHAPE, images=12, identity=seed)


CANDIDATES = ((0, 1, 0), (0, 1, 1))
STRATEGIES = {
    "linear probe": (Fixed("all"), (True, True, True), 3),
    "fixed": (Fixed("all"), (True, True, False), 2),
    "EM": (EM(candidates=CANDIDATES), (True, True, False), 2),
    "EM with a budget": (EM(candidates=CANDIDATES, memory=0.05), (True, True, False), 2),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_kept_features_give_the_results_of_every_step_computing_them(name):
    strategy, constant, length = STRATEGIES[name]
    kept, anew = (learner(strategy, constant=constant, memory=memory) for memory in (512.0, 0.0))
    counts, losses = [], []
    for made in (kept, anew):
        made.begin_task(task())
        Counted.images = 0
        losses.append(torch.tensor([made.train_epoch() for _ in range(3)]))
        counts.append(Counted.images)
        made.end_task()
    assert (len(kept.front), len(anew.front)) == (length, 0)
    assert counts[0] < counts[1]
    assert torch.equal(*losses)
    images = task().test.images
    assert torch.equal(kept.logits(images, 0), anew.logits(images, 0))


def test_a_probe_computes_each_image_once_and_a_loop_of_ones_own_learns_the_same():
    whole, own = learner(Fixed("all"), constant=(True,) * 3), learner(Fixed("all"), constant=(True,) * 3)
    for made in (whole, own):
        made.begin_task(task())
    Counted.images = 0
    losses = [whole.train_epoch() for _ in range(3)]
    assert Counted.images == 3 * len(task().train)  # three stages
    for loss in losses:
        own.begin_epoch()
        given = [own.train_step(images, labels) for images, labels in own.task.batches()]
        assert own.end_epoch(given) == pytest.approx(loss, rel=1e-5)


def test_training_on_kept_features_resumes_bit_for_bit():
    whole, torn = learner(EM(candidates=CANDIDATES)), learner(EM(candidates=CANDIDATES))
    for made in (whole, torn):
        made.begin_task(task())
        made.train_epoch()
    again = learner(EM(candidates=CANDIDATES))
    again.restore(through_disk(torn.state()), task=task())
    assert whole.train_epoch() == again.train_epoch()
    assert_same(whole, again)


@pytest.mark.parametrize(
    ("named", "length"),
    [
        ({}, 2),
        ({"constant": (False, True, True)}, 0),
        ({"constant": (True, False, True)}, 1),
        ({"skips": (Skip(start=1, end=2),)}, 1),
        ({"after": lambda: nn.Dropout(0.5)}, 0),
        ({"after": lambda: nn.BatchNorm2d(3, affine=False)}, 0),
        ({"memory": 12 * 3 * 36 * 4 / 2**20}, 2),
        ({"memory": 11 * 3 * 36 * 4 / 2**20}, 0),
    ],
)
def test_the_front_ends_at_what_is_trained_random_or_normalized_or_does_not_fit(named, length):
    made = learner(Fixed("all"), **named)
    made.begin_task(task())
    assert len(made.front) == length


def test_stages_that_candidates_take_differently_are_no_front():
    made = learner(EM())
    made.begin_task(task())
    assert len(made.front) == 0
    front = Front.find(made.backbone, 0, space=made.space, images=1, limit=1e9)
    assert torch.equal(front.features(task().train.images), task().train.images)


def test_values_loaded_into_an_open_task_are_those_that_later_features_read():
    kept, anew = (learner(Fixed("all"), memory=memory) for memory in (512.0, 0.0))
    ends = []
    for made in (kept, anew):
        made.begin_task(task())
        made.train_epoch()
        made.backbone.load_values({"stages.0.trial.0.weight": torch.ones(3, 2, 3, 3)})
        made.load_knowledge({})
        ends.append(made.train_epoch())
    assert ends[0] == ends[1]


class Holding(Fixed):
    """A fixed configuration whose search looks at held-out images."""

    held_out = "valid"


def test_held_out_images_are_kept_as_features_too():
    made = learner(Holding("all"))
    made.begin_task(task())
    made.begin_epoch()
    images, labels = made.task.held_out_batch()
    assert images.shape == (4, 3, 6, 6)
    known = made.front.features(task().valid.images)
    for image, label in zip(images, labels, strict=True):
        row = int((known - image).abs().flatten(1).sum(1).argmin())
        torch.testing.assert_close(known[row], image)
        assert task().valid.labels[row] == label
    assert made.task.sources.num_images == 24
