"""A search knows when its outcome cannot change any more, and may stop then, or earlier."""

import pytest
import torch
from quarters import make_learner, make_task, opened

from lasem.configurations import ConfigurationSpace
from lasem.errors import SpecError
from lasem.search import EM, CommitAt, Counts, RunningMean, Schedule

EPOCHS = 20


def trained(strategy, *, epochs=EPOCHS, watch=lambda learner: None):
    learner = opened(strategy, epochs=epochs)
    for _ in range(epochs):
        learner.train_epoch()
        watch(learner)
    return learner


@pytest.mark.parametrize("prior", ["running-mean", "counts"])
def test_no_posteriors_can_turn_over_a_certain_lead(prior):
    """The worst case: from then on, all mass goes to the runner-up; a step earlier that would still win."""
    learner = opened(EM(prior=prior), epochs=EPOCHS)
    search, steps, leads = learner.search, EPOCHS * 4, []
    for _ in range(EPOCHS):
        losses = []
        for images, labels in learner.task.batches():
            losses.append(learner.train_step(images, labels))
            leads.append((float(search._prior.margin()), steps - len(leads) - 1))
        learner.task.end_epoch(losses)
    certain = search.decision.certain
    assert certain == next(number for number, (lead, left) in enumerate(leads, start=1) if lead > left)
    assert 1 < certain < steps
    assert all(lead <= left for lead, left in leads[: certain - 1])
    final = search.leader()
    again = opened(EM(prior=prior), epochs=EPOCHS)
    for _ in range(EPOCHS):
        if again.search.decision.certain is None:
            losses = [again.train_step(images, labels) for images, labels in again.task.batches()]
            again.task.end_epoch(losses)
    rest = steps - certain
    held = again.search._prior
    second = int(held.log_prior.topk(2).indices[1])
    assert int(held.log_prior.argmax()) == final
    against = torch.full((8,), float("-inf"), dtype=torch.float64)
    against[second] = 0.0
    for _ in range(rest):
        held.update(against)
    assert int(held.log_prior.argmax()) == final


def test_stopping_when_certain_keeps_the_decision_and_trains_it_alone():
    exact = trained(EM())
    stopped = trained(EM(stop_when_certain=True))
    decision = stopped.status().decision
    assert decision.settled == decision.certain == exact.status().decision.certain
    assert stopped.search.leader() == exact.search.leader() == decision.candidate
    assert exact.status().decision.settled is None
    before = {name: value.clone() for name, value in stopped.backbone.named_parameters()}
    stopped.train_epoch()
    bits = stopped.space.layer_digits[decision.candidate]
    for layer, shared in enumerate(bits):
        for branch, trains in ((f"stages.{layer}.trial", shared), (f"stages.{layer}.own.0", not shared)):
            now = dict(stopped.backbone.named_parameters())
            changed = any(not torch.equal(now[n], value) for n, value in before.items() if n.startswith(branch))
            assert changed == bool(trains), (layer, branch)


@pytest.mark.parametrize("commit_at", [CommitAt(share=0.25), CommitAt(share=0.0), CommitAt(prior=0.4)])
def test_an_early_commitment_comes_when_it_was_asked_for(commit_at):
    priors = []
    learner = trained(EM(commit_at=commit_at), watch=lambda learner: priors.append(learner.status().prior.max()))
    settled = learner.status().decision.settled
    if commit_at.share is not None:
        assert settled == max(1, 0.25 * 4 * EPOCHS if commit_at.share else 1)
    else:
        assert learner.status().prior.max() >= commit_at.prior
    assert priors[-1] == priors[settled // 4]  # the prior stands still


def test_a_prior_that_restarts_is_certain_in_the_last_epoch_only():
    learner = trained(EM(restart="epoch"))
    certain = learner.status().decision.certain
    assert 4 * (EPOCHS - 1) < certain <= 4 * EPOCHS
    assert Schedule(batches=4, epochs=3).left(8, restart="epoch") == float("inf")
    assert Schedule(batches=4, epochs=3).left(9, restart="epoch") == 3


def test_without_a_known_length_nothing_is_certain_and_looking_ahead_is_refused():
    learner = opened(EM(), epochs=None)
    learner.train_epoch()
    assert learner.status().decision.certain is None
    looking_ahead = [
        ("stop_when_certain", {"stop_when_certain": True}),
        ("a share in evidence_from or commit_at", {"commit_at": CommitAt(share=0.5)}),
        ("a share in evidence_from or commit_at", {"evidence_from": 0.25}),
    ]
    for name, options in looking_ahead:
        with pytest.raises(SpecError, match=rf"training.epochs must be given for {name}.*got None"):
            make_learner(EM(**options), epochs=None).begin_task(make_task())


@pytest.mark.parametrize("options", [{}, {"prior": 0.0}, {"prior": 1.5}, {"share": -0.1}, {"share": 1.1}])
def test_an_impossible_moment_is_refused(options):
    with pytest.raises(SpecError):
        CommitAt(**options)


def test_the_only_candidate_is_certain_at_once():
    learner = opened(EM(candidates=((1, 0, 1),)))
    learner.train_epoch()
    assert learner.status().decision.certain == 1


def test_the_lead_is_counted_in_batches():
    space = ConfigurationSpace.only((1, 0))
    assert len(space) == 1
    mean = RunningMean(3, device=torch.device("cpu"))
    counts = Counts(torch.arange(3), device=torch.device("cpu"))
    for q in ([0.7, 0.2, 0.1], [0.5, 0.5, 0.0], [0.6, 0.1, 0.3]):
        for prior in (mean, counts):
            prior.update(torch.tensor(q, dtype=torch.float64).log())
    assert float(mean.margin()) == pytest.approx(1.8 - 0.8)
    assert float(counts.margin()) == 3.0


def test_a_restored_search_goes_on_where_it_was():
    one = trained(EM(stop_when_certain=True), epochs=EPOCHS)
    other = make_learner(EM(stop_when_certain=True), epochs=EPOCHS)
    other.restore(one.state(), task=make_task())
    assert other.status().decision == one.status().decision
    for learner in (one, other):
        learner.train_epoch()
    for value, twin in zip(one.backbone.parameters(), other.backbone.parameters(), strict=True):
        assert torch.equal(value, twin)
