import math

import pytest
import torch
import torch.nn.functional as F

from lasem.configurations import Partition
from lasem.errors import DataError, LasemError, SpecError
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Conv, Network
from lasem.optimizers import OPTIMIZERS
from lasem.search import DARTS, Fixed, Schedule, TaskNetwork
from toy_task import ToyTask

SHAPE, CLASSES = (2, 5, 5), 3
GROUPS = (0, 1, 0)  # the group of each layer in {1,3},{2}
PARTITION = Partition.parse("{1,3},{2}")


def batch(seed, size=6):
    source = torch.Generator().manual_seed(seed)
    images = torch.randn(size, *SHAPE, generator=source, dtype=torch.float64)
    return images, torch.randint(CLASSES, (size,), generator=source)


@pytest.fixture
def opened():
    """A small network in double precision with an open task, its search and what the search sees."""

    def make(strategy, *, rate=0.1, keep=1.0):
        table = (Conv(3, 3), Conv(3, 4, pool=2), Conv(3, 3))
        backbone = Network(table, hidden=(5,)).build(SHAPE, seed=0).double()
        backbone.begin_task(0, classes=CLASSES, uses=[(True, True)] * 3)
        with torch.no_grad():
            for i, parameter in enumerate(backbone.parameters()):
                parameter.mul_(4 + i % 3)
        network = TaskNetwork(backbone, 0)
        search = strategy.search(strategy.space(3), network=network, schedule=Schedule(batches=1))
        search.alpha.copy_(torch.tensor([[0.3, -0.2], [-0.5, 0.4]]))
        return ToyTask(rate=rate, keep=keep), network, search

    return make


def named_values(backbone):
    return {name: p for name, p in backbone.named_parameters() if ".shared." not in name}


def mixed_loss(values, alpha, images, labels, mask=None):
    """The loss of the mixed network, written from the parameters alone."""
    hidden = images
    for layer, (group, pool) in enumerate(zip(GROUPS, (1, 2, 1), strict=True)):
        kernels = [f"stages.{layer}.{branch}." for branch in ("own.0", "trial")]
        outputs = [F.conv2d(hidden, values[k + "weight"], values[k + "bias"], padding=1) for k in kernels]
        shares = alpha[group].exp() / alpha[group].exp().sum()
        hidden = shares[0] * outputs[0].clamp(min=0) + shares[1] * outputs[1].clamp(min=0)
        if pool > 1:
            hidden = F.max_pool2d(F.pad(hidden, (0, 1, 0, 1), value=-math.inf), pool)
    features = hidden.permute(0, 2, 3, 1).flatten(1)
    features = features if mask is None else features * mask
    inner = (features @ values["heads.0.0.weight"].T + values["heads.0.0.bias"]).clamp(min=0)
    logits = inner @ values["heads.0.2.weight"].T + values["heads.0.2.bias"]
    return F.cross_entropy(logits, labels)


# The mixture


def test_a_stage_outputs_the_weighted_sum_of_both_branches_after_relu_and_before_the_pool():
    backbone = Network((Conv(1, 1, pool=2),), hidden=()).build((1, 2, 2)).double()
    backbone.begin_task(0, classes=2, uses=[(True, True)])
    backbone.load_values(
        {
            "stages.0.own.0.weight": torch.tensor([[[[3.0]]]]), "stages.0.own.0.bias": torch.tensor([1.0]),
            "stages.0.trial.weight": torch.tensor([[[[-1.0]]]]), "stages.0.trial.bias": torch.tensor([2.0]),
        }
    )  # fmt: skip
    images = torch.tensor([[[[2.0, -1.0], [0.0, 1.0]]]], dtype=torch.float64)
    mixed = backbone.forks(0)[0].mixed(torch.tensor([0.25, 0.75])).branch(1)
    # own: 7, 0, 1, 4; shared: 0, 3, 2, 1; sums: 1.75, 2.25, 1.75, 1.75
    assert mixed(images.unsqueeze(0)).tolist() == [[[[[2.25]]]]]
    with pytest.raises(LasemError, match=r"got a mixture of all.*; commit one of them"):
        mixed.module()


@pytest.mark.parametrize("bits", ["000", "111", "010", "101"])
def test_infinite_logits_are_a_fixed_configuration(opened, bits):
    seen = []
    task, network, search = opened(DARTS(partition=PARTITION), keep=0.5)
    logits = {"0": [0.0, -math.inf], "1": [-math.inf, 0.0]}
    search.alpha.copy_(torch.tensor([logits[bits[0]], logits[bits[1]]]))
    seen.append((network, search._loss(batch(0), search.alpha, search._noise(task, batch(0)))))
    task, network, _ = opened(DARTS(partition=PARTITION), keep=0.5)
    fixed = Fixed(bits)
    fixed.search(fixed.space(3), network=network, schedule=Schedule(batches=1)).step(task, *batch(0))
    seen.append((network, *task.losses))
    torch.testing.assert_close(seen[0][1], seen[1][1], rtol=1e-12, atol=0)
    gradients = []
    for network, loss in seen:
        values = list(named_values(network.backbone).values())
        found = torch.autograd.grad(loss, values, allow_unused=True)
        gradients.append([torch.zeros_like(v) if g is None else g for g, v in zip(found, values, strict=True)])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)


# The architecture's gradient


def test_the_first_order_is_the_gradient_of_the_held_out_loss_at_the_present_weights(opened):
    task, network, search = opened(DARTS(partition=PARTITION))
    alpha = search.alpha.clone().requires_grad_()
    expected = torch.autograd.grad(mixed_loss(named_values(network.backbone), alpha, *batch(2)), alpha)[0]
    found = search.architecture_gradient(task, batch(1), batch(2))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("keep", [1.0, 0.5])
def test_the_second_order_is_the_gradient_through_one_more_step_of_the_weights(opened, keep):
    task, network, search = opened(DARTS(partition=PARTITION, order="second", radius=1e-4), rate=0.02, keep=keep)
    values = named_values(network.backbone)
    before = {name: value.detach().clone() for name, value in values.items()}
    masks = None, None
    if keep < 1:
        twin, _, _ = opened(DARTS(partition=PARTITION), keep=keep)
        ones = torch.ones(1, 6, network.backbone.num_features, dtype=torch.float64)
        masks = [twin.draw_masks(1, 6, network.num_features).apply(ones)[0] for _ in "ab"]
    alpha = search.alpha.clone().requires_grad_()
    inner = torch.autograd.grad(
        mixed_loss(values, alpha, *batch(1), mask=masks[0]), list(values.values()), create_graph=True
    )
    moved = {name: v - 0.02 * g for (name, v), g in zip(values.items(), inner, strict=True)}
    expected = torch.autograd.grad(mixed_loss(moved, alpha, *batch(2), mask=masks[1]), alpha)[0]
    first = torch.autograd.grad(mixed_loss(values, alpha, *batch(2), mask=masks[1]), alpha)[0]
    found = search.architecture_gradient(task, batch(1), batch(2))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    assert (expected - first).abs().max() > 1e-3 * expected.abs().max()
    assert all(torch.equal(before[name], value) for name, value in named_values(network.backbone).items())


def test_without_a_step_of_the_weights_the_second_order_is_the_first(opened):
    task, _, search = opened(DARTS(partition=PARTITION, order="second"), rate=0.0)
    first = opened(DARTS(partition=PARTITION))[2].architecture_gradient(task, batch(1), batch(2))
    torch.testing.assert_close(search.architecture_gradient(task, batch(1), batch(2)), first)


def test_a_penalty_is_weighted_by_the_share_of_its_branch_and_leaves_the_architecture_alone(opened, monkeypatch):
    task, network, search = opened(DARTS(partition=PARTITION))
    plain = search._loss(batch(0), search.alpha, search._noise(task, batch(0)))
    gradient = search.architecture_gradient(task, batch(0), batch(1))
    penalties = [(0, torch.tensor(2.0, dtype=torch.float64)), (1, torch.tensor(5.0, dtype=torch.float64))]
    monkeypatch.setattr(network.backbone, "penalties", lambda task: penalties)
    shares = search.alpha.softmax(1)[:, 1]
    loss = search._loss(batch(0), search.alpha, search._noise(task, batch(0)))
    torch.testing.assert_close(loss - plain, 2 * shares[0] + 5 * shares[1])
    torch.testing.assert_close(search.architecture_gradient(task, batch(0), batch(1)), gradient)


# Steps of the architecture


def test_adam_steps_on_the_architecture_with_its_own_options(opened, monkeypatch):
    task, _, search = opened(DARTS(partition=PARTITION, weight_decay=1e-2))
    theirs = torch.nn.Parameter(search.alpha.clone())
    optimizer = torch.optim.Adam([theirs], lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-2)
    gradients = [torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in range(5)]
    for theirs.grad in gradients:
        monkeypatch.setattr(search, "architecture_gradient", lambda *_: theirs.grad)
        search.step(task, *batch(0))
        optimizer.step()
    torch.testing.assert_close(search.alpha, theirs.detach(), rtol=1e-12, atol=0)


def test_rmsprop_steps_on_the_architecture_at_the_rate_of_the_weights(opened, monkeypatch):
    task, _, search = opened(DARTS(partition=PARTITION, optimizer="rmsprop-tf"))
    alpha, square = search.alpha.clone(), torch.ones(2, 2, dtype=torch.float64)
    for seed in range(4):
        gradient = torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        task.learning_rate = 0.1 / (1 + seed)
        monkeypatch.setattr(search, "architecture_gradient", lambda *_, gradient=gradient: gradient)
        search.step(task, *batch(0))
        square = 0.9 * square + 0.1 * gradient**2
        alpha = alpha - task.learning_rate * gradient / (square + 1e-10).sqrt()
    torch.testing.assert_close(search.alpha, alpha, rtol=1e-12, atol=0)


# Decisions


def test_ties_go_to_the_own_branch(opened):
    _, _, search = opened(DARTS(partition=PARTITION))
    search.alpha.zero_()
    assert search.space.candidates[search.leader()] == (0, 0)
    search.alpha[1, 1] = 1e-12
    assert search.space.candidates[search.leader()] == (0, 1)


def test_a_candidates_probability_is_the_product_of_its_groups(opened):
    _, _, search = opened(DARTS(partition=PARTITION))
    one, two = search.alpha.softmax(1).tolist()
    expected = [one[0] * two[0], one[0] * two[1], one[1] * two[0], one[1] * two[1]]
    assert search.log_prior().exp().tolist() == pytest.approx(expected)
    search.alpha[0, 1] = -math.inf
    assert search.log_prior().exp().tolist() == pytest.approx([two[0], two[1], 0, 0])


def test_every_group_decides_by_itself_so_a_list_of_candidates_is_refused():
    from lasem.runs import check, resolve

    with pytest.raises(SpecError, match=r"candidates in \[search\] .* must leave it out"):
        check(resolve("digits/darts-hps", ['search.candidates=["111"]']))


@pytest.mark.parametrize(
    "options",
    [{"order": "third"}, {"held_out": "test"}, {"optimizer": "sgd"}, {"learning_rate": 0.0}, {"betas": (1.0, 0.5)},
     {"weight_decay": -1.0}, {"radius": 0.0}],
)  # fmt: skip
def test_impossible_options_are_refused(options):
    with pytest.raises(LasemError, match=next(iter(options))):
        DARTS(**options)


# Held-out images


@pytest.fixture
def make_learner(make_backbone):
    def make(strategy=None, **training):
        options = {"batch_size": 4, "learning_rate": 1e-2} | training
        return SelectiveTransfer(make_backbone(), strategy or DARTS(), training=Training(**options))

    return make


def watched(learner, monkeypatch):
    """Note the batches of the weights and of the architecture."""
    seen = {"train": [], "held out": []}
    search = learner.search

    def gradient(task, batch, held_out):
        seen["train"].append([float(image.sum()) for image in batch[0]])
        seen["held out"].append([float(image.sum()) for image in held_out[0]])
        return torch.zeros_like(search.alpha)

    monkeypatch.setattr(search, "architecture_gradient", gradient)
    return seen


def sums(split):
    return {float(image.sum()) for image in split.images}


def test_the_validation_split_is_cycled_in_batches_of_the_training_size(make_learner, make_task, monkeypatch):
    learner, task = make_learner(), make_task(train=20, valid=10)
    learner.begin_task(task)
    seen = watched(learner, monkeypatch)
    learner.train_epoch()
    assert [len(rows) for rows in seen["held out"]] == [4] * 5
    for first in (0, 2):  # two complete batches in ten images, then a new shuffle
        rows = [value for rows in seen["held out"][first : first + 2] for value in rows]
        assert len(set(rows)) == 8
        assert set(rows) <= sums(task.valid)
    assert seen["held out"][:2] != seen["held out"][2:4]
    learner.train_epoch()
    assert seen["held out"][:5] != seen["held out"][5:]


def test_a_small_validation_split_is_one_batch(make_learner, make_task, monkeypatch):
    learner, task = make_learner(), make_task(valid=3)
    learner.begin_task(task)
    seen = watched(learner, monkeypatch)
    learner.train_epoch()
    assert all(set(rows) == sums(task.valid) for rows in seen["held out"])


def test_half_of_the_training_images_may_be_held_out(make_learner, make_task, monkeypatch):
    learner, task = make_learner(DARTS(held_out="half")), make_task(train=17)
    learner.begin_task(task)
    seen = watched(learner, monkeypatch)
    for _ in range(8):
        learner.train_epoch()
    train, held_out = ({value for rows in seen[name] for value in rows} for name in ("train", "held out"))
    assert not train & held_out
    assert train | held_out == sums(task.train)
    assert (len(train), len(held_out)) == (9, 8)


def test_with_none_held_out_the_architecture_learns_from_the_batch_of_the_weights(make_learner, make_task, monkeypatch):
    learner = make_learner(DARTS(held_out="none"))
    learner.begin_task(make_task())
    seen = watched(learner, monkeypatch)
    learner.train_epoch()
    assert seen["train"] == seen["held out"]


def test_too_few_images_are_refused_before_the_task_opens(make_learner, make_task):
    learner = make_learner(DARTS(held_out="half"))
    assert learner.least_images == 8
    with pytest.raises(DataError, match=r"at least one batch of training images, 8 here \(got 7"):
        learner.begin_task(make_task(train=7))
    assert learner.backbone.learning is None


# In a learner


def test_while_it_trains_the_larger_branch_answers(make_learner, make_task):
    learner, task = make_learner(), make_task()
    learner.begin_task(task)
    learner.search.alpha.copy_(torch.tensor([[0.0, 0.1], [0.2, 0.1]]))
    assert learner.configuration(0) == (1, 0)
    expected = learner.backbone.path_logits(task.test.images, 0, digits=(1, 0))
    assert torch.equal(learner.logits(task.test.images, 0), expected)
    learner.end_task()
    assert torch.equal(learner.logits(task.test.images, 0), expected)


def test_the_status_shows_the_weights(make_learner, make_task):
    learner = make_learner(DARTS(partition=Partition.parse("{1,2}")))
    learner.begin_task(make_task())
    learner.search.alpha.copy_(torch.tensor([[0.0, math.log(3)]]))
    status = learner.status()
    assert dict(zip(status.names, status.prior.tolist(), strict=True)) == {
        "0": pytest.approx(0.25),
        "1": pytest.approx(0.75),
    }
    assert status.marginals.tolist() == pytest.approx([0.75])


def test_the_architecture_moves_to_the_branch_that_explains_held_out_images(make_learner, make_task):
    """The own branch is trained on the task before; the shared one is new and useless, and kept so."""
    learner, task = make_learner(DARTS(learning_rate=0.05), keep=1.0, learning_rate=1e-12), make_task(valid=12)
    learner.begin_task(task)
    with torch.no_grad():
        for stage in learner.backbone.iter_stages():
            stage.trial["weight"].zero_()
    optimizer = OPTIMIZERS["adam"](learner.backbone.task_parameters(0), 0.02)
    for _ in range(60):
        loss = F.cross_entropy(learner.backbone.path_logits(task.train.images, 0, digits=(0, 0)), task.train.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for _ in range(10):
        learner.train_epoch()
    assert (learner.status().marginals < 0.5).all()
