"""APD: its loss, what retention guarantees, sparse storage, consolidation, and exact resumption."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import toys
from lasem.errors import SpecError
from lasem.learners import APD, APDOptions, PlainNetwork, Training
from lasem.learners.apd._consolidation import consolidate
from lasem.learners.apd._packed import PackedTensor
from lasem.nn import Conv, Network
from lasem.runs import check, resolve
from toys import through_disk

SHAPE = (1, 6, 6)
NETWORK = Network((Conv(3, 6, pool=2), Conv(3, 5)), hidden=(7,))


def learn(learner, task, epochs=6):
    return toys.learn(learner, task, epochs=epochs)


def make(rate=1e-2, optimizer="adam", keep=1.0, batch=4, **options):
    convs = PlainNetwork(NETWORK, shape=SHAPE, seed=0)
    training = Training(batch_size=batch, learning_rate=rate, optimizer=optimizer, keep=keep)
    return APD(convs, options=APDOptions(**options), training=training, seed=0)


def weights(learner, task):
    return [learner.store.weight(task, layer) for layer in range(learner.decomposed)]


def away(learner, before, task=0):
    return sum(float((a - b).square().sum()) for a, b in zip(weights(learner, task), before, strict=True))


def test_retention_and_norm_are_those_of_the_published_loss(make_task):
    """Against sums over single numbers."""
    learner = make(sparsity=0.01)
    for seed in range(2):
        learn(learner, make_task(seed=seed))
    before = [[weight.numpy() for weight in weights(learner, task)] for task in range(2)]
    learner.begin_task(make_task(seed=2))
    learner.train_epoch()
    network = learner.open
    squares = norm = 0.0
    for layer, shared in enumerate(network.shared):
        shared = shared.detach().numpy()
        for row in range(2):
            mask = 1 / (1 + np.exp(-network.other_masks[layer][row].detach().numpy()))
            own = network.other_sparse[layer][row].detach().numpy()
            for unit in range(len(shared)):
                now = shared[unit] * mask[unit] + own[unit]
                squares += float(((before[row][layer][unit] - now) ** 2).sum())
            norm += float(np.abs(own).sum())
        norm += float(network.sparse[layer].detach().abs().sum())
    assert float(network.retention().detach()) == pytest.approx(squares, rel=1e-4)
    assert squares > 0
    assert float(network.norm().detach()) == pytest.approx(norm, rel=1e-4)


@pytest.mark.parametrize("retention", [10.0, 100.0])
def test_retention_keeps_old_parameters_within_what_its_weight_implies(make_task, retention):
    """Where the objective falls, lambda_2 |theta - theta*|^2 <= CE at the start + lambda_1 |tau|_1 at the start."""
    options = {"sparsity": 1e-4, "shrinkage": "gradient", "retention": retention}
    learner, second = make(rate=1e-3, optimizer="sgd", batch=12, **options), make_task(seed=1)
    learn(learner, make_task(), 30)
    before = weights(learner, 0)
    learner.begin_task(second)
    logits = learner.plain.logits(second.train.images, learner.open.kernels())
    start = float(F.cross_entropy(logits, second.train.labels).detach())
    bound = start + 1e-4 * float(learner.open.norm().detach())
    for _ in range(150):
        learner.train_epoch()
    moved = float(learner.open.retention().detach())
    assert 0 < retention * moved <= bound
    learner.end_task()
    pruned = learner.options.sparsity**2 * sum(weight.numel() for weight in before)
    assert away(learner, before) <= (moved**0.5 + pruned**0.5) ** 2 + 1e-9


def test_without_retention_it_forgets(make_task):
    moved, lost = {}, {}
    for retention in (0.0, 100.0):
        learner, first = make(retention=retention, sparsity=1e-5), make_task(train=20)
        learn(learner, first, 20)
        before, entropy = weights(learner, 0), loss_of(learner, first)
        learn(learner, make_task(seed=1, train=20), 20)
        moved[retention], lost[retention] = away(learner, before), loss_of(learner, first) - entropy
    assert moved[0.0] > 20 * moved[100.0]
    assert lost[0.0] > 10 * abs(lost[100.0])


def loss_of(learner, task):
    return float(F.cross_entropy(learner.logits(task.train.images, 0), task.train.labels))


def test_older_tasks_answer_as_before_until_the_task_ends_and_keep_biases_and_heads(make_task):
    learner, images = make(retention=0.0), make_task().test.images
    learn(learner, make_task())
    before, kept = learner.logits(images, 0), learner.store.tasks[0]
    learner.begin_task(make_task(seed=1))
    for _ in range(6):
        learner.train_epoch()
    assert torch.equal(learner.logits(images, 0), before)
    trial = learner.trial_logits(images, 0)
    assert not torch.equal(trial, before)
    learner.end_task()
    torch.testing.assert_close(learner.logits(images, 0), trial)
    now = learner.store.tasks[0]
    assert all(map(torch.equal, kept.biases, now.biases))
    assert all(
        torch.equal(a, b)
        for one, other in zip(kept.rest, now.rest, strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("shrinkage", ["proximal", "gradient"])
def test_own_parts_end_without_values_below_the_threshold_and_what_answers_is_what_is_kept(make_task, shrinkage):
    task = make_task()
    learner = make(sparsity=0.01, shrinkage=shrinkage)
    learner.begin_task(task)
    for _ in range(20):
        learner.train_epoch()
    before = learner.logits(task.test.images, 0)
    learner.end_task()
    torch.testing.assert_close(learner.logits(task.test.images, 0), before)
    values = torch.cat([learner.store.sparse(0, layer).flatten() for layer in range(3)])
    assert (values[values != 0].abs() > 0.01).all()
    assert 0 < int((values != 0).sum()) < len(values) / 2


def test_where_a_number_was_not_finite_a_proximal_step_moves_nothing(make_task):
    learner = make(optimizer="sgd", rate=0.1)
    learner.begin_task(make_task())
    before = [tau.detach().clone() for tau in learner.open.sparse]
    for finite, moves in ((False, False), (True, True)):
        learner.open.shrink(learner.task.optimizer, 1.0, finite=torch.tensor(finite))
        assert all(map(torch.equal, before, learner.open.sparse)) != moves


def test_a_packed_tensor_is_itself_again_and_takes_the_smaller_form():
    source = torch.Generator().manual_seed(0)
    for share in (0.0, 0.1, 0.49, 0.51, 1.0):
        tensor = torch.randn(4, 5, 3, 3, generator=source) * (torch.rand(4, 5, 3, 3, generator=source) < share)
        packed, number = PackedTensor.of(tensor), int((tensor != 0).sum())
        assert torch.equal(packed.unpacked(), tensor)
        assert packed.numbers == min(2 * number, tensor.numel())


def test_numbers_counted_are_those_of_the_tensors_that_are_kept(make_task):
    learner = make(sparsity=0.02, consolidate_every=2, gap=0.2)
    for seed in range(4):
        learn(learner, make_task(seed=seed))
    kept = sum(t.numel() for name, t in learner.state().tensors.items() if name.startswith("backbone."))
    counts = learner.parameter_counts()
    assert counts.held == kept
    dense = 4 * sum(weight.numel() for weight in weights(learner, 0))
    assert sum(counts.per_task) < dense


def test_consolidation_finds_planted_groups_and_moves_no_part_by_more_than_half_the_gap():
    source = torch.Generator().manual_seed(0)
    centers = torch.randn(2, 4, 3, 3, 3, generator=source)
    parts = centers[[0, 1, 0, 1, 0]] + 0.004 * torch.rand(5, 4, 3, 3, 3, generator=source)
    parts[2, 0] += 0.5  # one unit of task 2 differs from its group
    found = consolidate(parts, groups=2, gap=0.01, seed=0)
    assert found.labels[0] == found.labels[2] == found.labels[4] != found.labels[1] == found.labels[3]
    whole = torch.stack([found.centers[label] for label in found.labels]) + found.own
    assert float((whole - parts).abs().max()) <= 0.005 + 1e-6
    assert found.own[[1, 3]].count_nonzero() == 0
    assert found.own[[0, 2, 4], 1:].count_nonzero() == 0
    assert torch.equal(found.own[2, 0], parts[2, 0])


def test_a_task_that_is_alone_in_its_group_keeps_its_part():
    parts = torch.stack([torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2)])
    found = consolidate(parts, groups=3, gap=0.5, seed=0)
    assert found.labels == [0, 0, -1]
    assert torch.equal(found.own[2], parts[2])


def test_after_consolidation_tasks_answer_almost_as_before_and_groups_are_formed_anew(make_task):
    plain, grouped = make(), make(consolidate_every=2, gap=1e-4)
    for seed in range(4):
        for learner in (plain, grouped):
            learn(learner, make_task(seed=seed), 2)
        if seed == 1:
            images = make_task().test.images
            for task in range(2):
                one, other = plain.logits(images, task), grouped.logits(images, task)
                torch.testing.assert_close(one, other, atol=1e-2, rtol=1e-2)
            assert set(grouped.store.labels) == {0, 1}
    assert set(grouped.store.labels) == {0, 1, 2, 3}


@pytest.mark.parametrize("options", [{}, {"shrinkage": "gradient", "layers": "convolutions", "start": "zero"}])
def test_resumed_inside_a_task_behind_a_consolidation_it_goes_on_bit_for_bit(make_task, options):
    tasks = [make_task(seed=seed) for seed in range(4)]
    one = make(consolidate_every=2, gap=0.1, keep=0.8, **options)
    other = make(consolidate_every=2, gap=0.1, keep=0.8, **options)
    for task in tasks[:2]:
        learn(one, task)
    one.begin_task(tasks[2])
    one.train_epoch()
    other.restore(through_disk(one.state()), task=tasks[2])
    for learner in (one, other):
        learner.train_epoch()
        learner.end_task()
        learn(learner, tasks[3])
    images = tasks[0].test.images
    assert all(torch.equal(one.logits(images, task), other.logits(images, task)) for task in range(4))
    assert one.parameter_counts() == other.parameter_counts()


def test_a_task_that_comes_back_is_not_held_back_by_itself(make_task):
    tasks = [make_task(seed=seed, identity=seed) for seed in range(2)]
    learner = make()
    for task in tasks:
        learn(learner, task)
    learner.begin_task(tasks[0])
    assert learner.open.others == [1]
    first = learner.logits(tasks[0].test.images, 0)
    learner.train_epoch()
    assert not torch.equal(learner.logits(tasks[0].test.images, 0), first)


def test_skips_are_fine_and_batch_norm_is_refused_before_training():
    check(resolve("cifar100-10/resnet-18/apd"))
    with pytest.raises(SpecError, match="'apd' is not offered on resnet-18-bn"):
        check(resolve("cifar100-10/apd", ["network.name=resnet-18-bn"]))
