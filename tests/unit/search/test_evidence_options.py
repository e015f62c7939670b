"""Which images and epochs inform the prior of EM, and the prior that adds up their evidence."""

import math

import pytest
import torch
import torch.nn.functional as F
from quarters import make_learner, make_task, opened

from lasem.benchmarks import Split, Task
from lasem.errors import SpecError
from lasem.search import EM, CommitAt, EvidenceSum, EvidenceWindow, RunningMean, Schedule
from lasem.training import Batches

BATCHES = 4
"""Batches of an epoch of the task of quarters; two if half of its images are held out."""


def split_task():
    """Make the task of quarters with other images for validation than for training."""
    task = make_task()
    valid = Split(images=task.train.images[:10].flip(3), labels=task.train.labels[:10])
    return Task(name="split", classes=task.classes, train=task.train, valid=valid, test=task.test)


def naive_evidence(learner, images, labels):
    """Run every candidate by itself: (K,)."""
    learner.backbone.eval()
    paths = [learner.backbone.path_logits(images, 0, digits=bits) for bits in learner.search.space.layer_digits]
    return torch.stack([-F.cross_entropy(logits.double(), labels, reduction="sum") for logits in paths]).detach()


@pytest.mark.parametrize("held_out", ["none", "valid", "half"])
@pytest.mark.parametrize("prior", ["running-mean", "sum"])
def test_prior_and_loss_equal_a_naive_search_in_which_only_some_epochs_inform(prior, held_out):
    strategy = EM(prior=prior, held_out=held_out, evidence_from=1, evidence_epochs=2)
    learner = make_learner(strategy, keep=1.0, epochs=5)
    task = split_task()
    learner.begin_task(task)
    evidences, posteriors = [], []
    for epoch in range(5):
        held = Batches(task, size=6, held_out=held_out, seed=1, visit=0).held_out(epoch)
        losses = []
        learner.begin_epoch()
        for images, labels in learner.task.batches():
            evidence = naive_evidence(learner, *(held.next() if held else (images, labels)))
            log_prior = torch.full((8,), -math.log(8), dtype=torch.float64)
            if posteriors and prior == "sum":
                log_prior = (sum(evidences) / 5).log_softmax(0)
            elif posteriors:
                log_prior = torch.stack(posteriors).mean(0).log()
            torch.testing.assert_close(learner.search.log_prior(), log_prior, rtol=1e-6, atol=1e-5)
            q = log_prior.exp() if epoch < 1 else (log_prior + evidence).softmax(0)
            expected = -(q * naive_evidence(learner, images, labels)).sum() / 6
            losses.append(learner.train_step(images, labels))
            torch.testing.assert_close(losses[-1].double(), expected, rtol=1e-5, atol=1e-6)
            if 1 <= epoch < 3:
                evidences.append(evidence)
                posteriors.append(q)
        learner.end_epoch(losses)
    assert len(posteriors) == 2 * (2 if held_out == "half" else BATCHES)


def test_the_default_window_changes_nothing():
    schedule = Schedule(batches=4, epochs=3)
    for restart in ("task", "epoch"):
        for steps in range(13):
            assert EvidenceWindow(schedule).left(steps, restart=restart) == schedule.left(steps, restart=restart)


def test_no_step_outside_of_the_window_counts_as_left():
    window = EvidenceWindow(Schedule(batches=4, epochs=5), warm_up=1, epochs=2)
    assert [steps for steps in range(20) if window.counts(steps)] == list(range(4, 12))
    for steps in range(20):
        assert window.left(steps, restart="task") == sum(window.counts(later) for later in range(steps, 20))


@pytest.mark.parametrize("prior", ["running-mean", "counts", "sum"])
def test_the_outcome_is_certain_once_no_evidence_counts_any_more(prior):
    learner = opened(EM(prior=prior, evidence_epochs=2), epochs=6)
    leaders, certain = [], None
    for epoch in range(6):
        losses = []
        learner.begin_epoch()
        for images, labels in learner.task.batches():
            losses.append(learner.train_step(images, labels))
            leaders.append(learner.search.leader())
        learner.end_epoch(losses)
        if epoch == 1:
            certain = learner.search.decision.certain
    assert certain == learner.search.decision.certain
    assert certain == 2 * BATCHES if prior == "sum" else certain <= 2 * BATCHES
    assert len(set(leaders[certain - 1 :])) == 1


def test_a_search_with_a_warm_up_settles_after_it():
    learner = opened(EM(evidence_from=2, commit_at=CommitAt(share=0.0)), epochs=6)
    for _ in range(3):
        learner.train_epoch()
    assert learner.search.decision.settled == 2 * BATCHES + 1


@pytest.mark.parametrize(("share", "epochs", "warm_up"), [(0.25, 8, 2), (0.4, 6, 2), (0.0, 6, 0)])
def test_a_warm_up_may_be_a_share_of_the_epochs(share, epochs, warm_up):
    learners = [opened(EM(evidence_from=given), epochs=epochs) for given in (share, warm_up)]
    for learner in learners:
        for _ in range(epochs):
            learner.train_epoch()
    first, second = (learner.search.state() for learner in learners)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_settled_search_trains_on_the_half_that_it_held_out():
    learner = opened(EM(held_out="half", commit_at=CommitAt(share=0.4)), epochs=5)
    steps = []
    for _ in range(4):
        learner.begin_epoch()
        losses = [learner.train_step(*batch) for batch in learner.task.batches()]
        steps.append(len(losses))
        learner.end_epoch(losses)
    assert steps == [2, 2, 4, 4]
    other = make_learner(learner.strategy, epochs=5)
    other.restore(learner.state(), task=make_task())
    for one in (learner, other):
        one.train_epoch()
    for value, twin in zip(learner.backbone.parameters(), other.backbone.parameters(), strict=True):
        assert torch.equal(value, twin)


def test_the_sum_is_the_posterior_of_one_configuration_for_all_images():
    """The product of all likelihoods, each to the power tau, normalized: the closed form."""
    likelihoods = torch.rand(3, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    prior = EvidenceSum(3, temper=0.5, device=torch.device("cpu"))
    for batch in likelihoods.split(8, 1):
        prior.update(batch.log().sum(1))
    expected = likelihoods.sqrt().prod(1)
    torch.testing.assert_close(prior.log_prior.exp(), expected / expected.sum())
    prior.replace(torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).log())
    torch.testing.assert_close(float(prior.log_prior[0].exp()), 0.5)
    prior.restart()
    assert float(prior.log_prior.exp().std()) == 0
    assert float(prior.margin()) == 0


def test_equal_evidence_no_longer_moves_a_running_mean_and_never_moves_a_sum():
    mean = RunningMean(2, device=torch.device("cpu"))
    total = EvidenceSum(2, temper=1.0, device=torch.device("cpu"))
    mean.update(torch.tensor([0.6, 0.4], dtype=torch.float64).log())
    total.update(torch.tensor([0.6, 0.4], dtype=torch.float64).log())
    for _ in range(50):
        mean.update(mean.log_prior)
        total.update(torch.zeros(2, dtype=torch.float64))
    for prior in (mean, total):
        torch.testing.assert_close(float(prior.log_prior[0].exp()), 0.6)


def test_the_spread_is_the_mean_difference_between_the_best_and_the_worst_candidate():
    learner = make_learner(EM(), keep=1.0, epochs=2)
    learner.begin_task(make_task())
    for _ in range(2):  # a new mean in every epoch
        learner.begin_epoch()
        assert learner.status().spread is None
        spreads, losses = [], []
        for images, labels in learner.task.batches():
            evidence = naive_evidence(learner, images, labels)
            spreads.append(float(evidence.max() - evidence.min()))
            losses.append(learner.train_step(images, labels))
        learner.end_epoch(losses)
        assert learner.status().spread == pytest.approx(sum(spreads) / BATCHES, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"prior": "sum", "stop_when_certain": True}, "stop_when_certain must be false for the prior sum"),
        ({"prior": "sum", "epsilon": 0.1}, "epsilon must be 0 for the prior sum"),
        ({"first_task": "near-ties", "stop_when_certain": True}, "stop_when_certain must be false where near-ties"),
        ({"temper": 0.5}, "temper must be left out"),
        ({"evidence_epochs": 2, "restart": "epoch"}, "restart must be task"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, rule):
    with pytest.raises(SpecError, match=rule):
        EM(**options)


def test_a_warm_up_over_the_whole_task_and_a_sum_without_a_length_are_refused():
    with pytest.raises(SpecError, match="evidence_from must be less than"):
        make_learner(EM(evidence_from=5), epochs=5).begin_task(make_task())
    with pytest.raises(SpecError, match=r"evidence_from must be less than .*got 0.6, 1"):
        make_learner(EM(evidence_from=0.6), epochs=1).begin_task(make_task())
    with pytest.raises(SpecError, match="evidence_from must be a whole number or a share from 0 to below 1"):
        EM(evidence_from=1.5)
    with pytest.raises(SpecError, match=r"evidence_from must be a number .got 'late'"):
        EM(evidence_from="late")  # pyright: ignore[reportArgumentType]
    with pytest.raises(SpecError, match=r"training.epochs must be given for the prior sum"):
        make_learner(EM(prior="sum"), epochs=None).begin_task(make_task())
