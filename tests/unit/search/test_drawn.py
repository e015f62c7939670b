"""EM over lists of candidates drawn anew, against an exact search with the same prior, and as a learner."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from quarters import CLASSES, make_learner, make_task, opened

from lasem.configurations import ConfigurationSpace, Partition
from lasem.errors import SpecError
from lasem.learners import RetentionOptions, SelectiveTransfer, Training
from lasem.nn import NETWORKS
from lasem.runs import check, resolve
from lasem.search import CommitAt, DrawnEM
from lasem.search._draw import draw_list

CPU = torch.device("cpu")


def draw(number, theta, *, fixed=(-1,) * 5, size=4):
    """A list of five groups whose branches have these probabilities, the same in all groups or by group."""
    by_group = theta if isinstance(theta[0], tuple) else (theta,) * len(fixed)
    space = ConfigurationSpace(Partition.single(len(fixed)), ((0,) * len(fixed),), len(by_group[0]))
    return draw_list(space, (number, by_group, fixed), size=size, place=(0, 0), device=CPU)


@pytest.mark.parametrize(("held_out", "branches"), [("none", 2), ("half", 2), ("none", 3)])
def test_with_all_configurations_it_is_the_exact_algorithm_with_a_factorized_prior(held_out, branches):
    strategy = DrawnEM(draws=branches**3, held_out=held_out, expect_every=2)
    learner = make_learner(strategy, keep=1.0, epochs=3, branches=branches)
    learner.begin_task(make_task())
    rows = torch.tensor(list(product(range(branches), repeat=3)))
    sums, count, step = torch.zeros(3, branches, dtype=torch.float64), 0, 0
    for _ in range(3):
        learner.begin_epoch()
        losses, held = [], learner.task._opened.held_out
        twin = None if held is None else type(held)(held._batches, held._split, held._epoch)
        for images, labels in learner.task.batches():
            scored = (images, labels) if twin is None else twin.next()

            def entropies(images, labels):
                learner.backbone.eval()
                paths = [learner.backbone.path_logits(images, 0, digits=tuple(map(int, row))) for row in rows]
                return torch.stack([F.cross_entropy(p.double(), labels, reduction="sum") for p in paths]).detach()

            prior = sums / count if count else torch.full_like(sums, 1 / branches)
            q = torch.stack([prior[[0, 1, 2], row].prod() for row in rows])
            if step % 2 == 0:
                q = (q.log() - entropies(*scored)).softmax(0)
                sums += torch.stack([q @ (rows == digit).double() for digit in range(branches)], 1)
                count += 1
            expected = (q * entropies(images, labels)).sum() / len(labels)
            losses.append(learner.train_step(images, labels))
            torch.testing.assert_close(losses[-1].double(), expected, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(learner.search.marginals(), sums / count, rtol=1e-6, atol=1e-6)
            step += 1
        learner.end_epoch(losses)
    assert float(learner.search.marginals()[:, 1].std()) > 0
    status = learner.status()
    assert (status.branch_marginals is not None) == (branches == 3)
    assert status.marginals.tolist() == learner.search.marginals()[:, 1].tolist()


def test_loss_is_weighted_by_the_posterior_over_the_list():
    learner = make_learner(DrawnEM(draws=4), keep=1.0, epochs=3)
    learner.begin_task(make_task())
    learner.begin_epoch()
    images, labels = make_task().train.images[:6], make_task().train.labels[:6]
    listed = learner.search._listed()
    paths = [learner.backbone.path_logits(images, 0, digits=bits) for bits in listed.space.layer_digits]
    losses = torch.stack([F.cross_entropy(path.double(), labels) for path in paths]).detach()
    q = (listed.log_weights - 6 * losses).softmax(0)  # the prior is uniform
    torch.testing.assert_close(learner.train_step(images, labels).double(), (q * losses).sum(), rtol=1e-5, atol=1e-6)


def test_lists_are_pairs_of_opposites_and_try_every_branch():
    for number in range(20):
        listed = draw(number, (0.01, 0.99))
        candidates = set(listed.space.candidates)
        assert candidates == {tuple(1 - bit for bit in bits) for bits in candidates}
        assert 2 <= len(candidates) <= 4


def test_lists_of_three_branches_are_triples_that_try_every_branch_and_differ_in_their_order():
    others = set()
    for number in range(20):
        candidates = draw(number, (0.005, 0.99, 0.005), size=5).space.candidates
        assert all({*digits} == {0, 1, 2} for digits in zip(*candidates, strict=True))
        assert len(candidates) == 3
        others |= {*candidates} - {(1,) * 5}
    assert len(others) > 10


def test_settled_groups_stay_as_they_are_and_few_free_ones_are_listed_in_full():
    for theta, size in (((0.5, 0.5), 4), ((0.2, 0.3, 0.5), 9)):
        listed = draw(1, theta, fixed=(-1, 1, 0, -1, 1), size=size)
        free = product(range(len(theta)), repeat=2)
        assert sorted(listed.space.candidates) == [(a, 1, 0, b, 1) for a, b in free]
        assert torch.equal(listed.log_weights, torch.zeros(size, dtype=torch.float64))


@pytest.mark.parametrize(
    ("theta", "size"),
    [
        (((0.2, 0.8), (0.7, 0.3), (0.4, 0.6), (0.5, 0.5), (0.8, 0.2)), 4),
        (((0.2, 0.5, 0.3), (0.7, 0.1, 0.2), (0.3, 0.3, 0.4)), 6),
    ],
)
def test_importance_weights_estimate_sums_over_all_configurations_without_bias(theta, size):
    """The mean over many lists of sum_m weight_m f(c_m) / M is the sum of f over all configurations."""
    branches, groups = len(theta[0]), len(theta)
    values = torch.arange(1.0, 1 + branches**groups, dtype=torch.float64)
    estimates = []
    for number in range(500):
        listed = draw(number, theta, fixed=(-1,) * groups, size=size)
        places = [int("".join(map(str, digits)), branches) for digits in listed.space.candidates]
        estimates.append((listed.log_weights.exp() * values[places]).sum() / size)
    found = torch.stack(estimates)
    assert abs(float(found.mean() - values.sum())) < 4 * float(found.std()) / 500**0.5
    assert float(found.std()) < float(values.sum())


def test_groups_settle_one_by_one_and_end_the_search():
    learner = opened(DrawnEM(draws=4, redraw=2, commit_groups=0.45), epochs=30)
    settled = []
    for _ in range(6):
        learner.train_epoch()
        settled.append(int((learner.search._fixed >= 0).sum()))
    assert settled == sorted(settled)
    assert settled[-1] == 3
    assert learner.search.decision.settled is not None
    assert learner.configuration(0) == tuple(learner.search._fixed.tolist())
    learner.end_task()


@pytest.mark.parametrize(
    ("options", "branches"),
    [({"redraw": 3}, 2), ({"commit_at": CommitAt(share=0.5)}, 2), ({"held_out": "half"}, 2), ({"redraw": 4}, 3)],
)
def test_it_is_resumed_bit_for_bit(options, branches):
    strategy = DrawnEM(draws=4, commit_groups=0.05, **options)
    one, other = (make(strategy, epochs=6, branches=branches) for make in (opened, make_learner))
    for _ in range(3):
        one.train_epoch()
    other.restore(one.state(), task=make_task())
    for learner in (one, other):
        for _ in range(2):
            learner.train_epoch()
    for name, value in one.state().tensors.items():
        assert torch.equal(value, other.state().tensors[name]), name
    assert one.configuration(0) == other.configuration(0)


def test_a_network_of_17_groups_is_searched_with_8_candidates_and_retention():
    backbone = NETWORKS["resnet-18"].build((3, 8, 8), seed=0)
    training = Training(batch_size=2, epochs=1, learning_rate=1e-3)
    learner = SelectiveTransfer(backbone, DrawnEM(), training=training, retention=RetentionOptions())
    task = make_task()
    learner.begin_task(type(task)(**{**vars(task), **_colored(task)}))
    learner.begin_epoch()
    images, labels = learner.task.task.train.images[:2], learner.task.task.train.labels[:2]
    learner.end_epoch([learner.train_step(images, labels)])
    status = learner.status()
    assert len(status.marginals) == len(backbone.stages) > 15
    assert status.prior.sum() == pytest.approx(1)
    assert CLASSES == 3
    learner.end_task()
    assert len(learner.configuration(0)) == len(backbone.stages)


def _colored(task):
    split = type(task.train)(images=torch.rand(4, 3, 8, 8), labels=torch.arange(4) % CLASSES)
    return {"train": split, "valid": split, "test": split}


def test_a_spec_chooses_it_and_wrong_options_are_refused():
    spec = resolve("digits/lasem-hps", ["learner.strategy=drawn-em", "search.draws=4"])
    assert spec.strategy.options.draws == 4
    for wrong in ({"draws": 1}, {"commit_groups": 0.5}, {"mixture": 2.0}):
        with pytest.raises(SpecError):
            DrawnEM(**wrong)
    with pytest.raises(SpecError, match=r"training.epochs must be given"):
        make_learner(DrawnEM(commit_at=CommitAt(share=0.5)), epochs=None).begin_task(make_task())
    with pytest.raises(SpecError, match=r"evidence_from must be less than .*got 3, 3"):
        make_learner(DrawnEM(evidence_from=3), epochs=3).begin_task(make_task())
    with pytest.raises(SpecError, match=r"evidence_from must be less than .*got 40, 40"):
        check(resolve("digits/lasem-hps", ["learner.strategy=drawn-em", "search.evidence_from=40"]))
    with pytest.raises(SpecError, match=r"at least 3 candidates.*draws to 3 or more"):
        make_learner(DrawnEM(draws=2), branches=3)
