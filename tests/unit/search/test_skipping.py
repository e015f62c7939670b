"""What a step leaves out is bounded, and the bound is what it says."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quarters import opened
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lasem.configurations import ConfigurationSpace, Partition
from lasem.learners import SelectiveTransfer
from lasem.search import EM
from lasem.search._skipping import Selection, least_probable, unseen_mass

LOGITS = st.lists(st.floats(-40, 0), min_size=2, max_size=12)


@given(LOGITS, st.floats(0, 1))
def test_the_least_probable_are_dropped_up_to_a_mass_and_no_further(logits, mass):
    log_probability = torch.tensor(logits, dtype=torch.float64).log_softmax(0)
    kept, dropped, log_total = least_probable(log_probability, math.log(mass) if mass else -math.inf)
    total, q = math.exp(log_total), log_probability.exp()
    assert sorted([*kept, *dropped]) == list(range(len(logits)))
    assert kept
    assert total <= mass * (1 + 1e-12)
    assert total == pytest.approx(float(q[list(dropped)].sum()))
    assert all(q[one] <= q[other] for one in dropped for other in kept)
    if len(kept) > 1:
        assert total + float(q[list(kept)].min()) > mass - 1e-12


@given(LOGITS, LOGITS, st.integers(1, 11))
def test_what_was_not_computed_has_at_most_the_bounded_posterior(prior, evidence, number):
    number = min(number, len(prior) - 1, len(evidence) - 1)
    size = min(len(prior), len(evidence))
    log_prior = torch.tensor(prior[:size], dtype=torch.float64).log_softmax(0)
    log_evidence = torch.tensor(evidence[:size], dtype=torch.float64)  # at most 0
    joint = log_prior + log_evidence
    truth = float(joint.softmax(0)[number:].sum())
    bound = unseen_mass(float(log_prior[number:].logsumexp(0)), float(joint[:number].logsumexp(0)))
    assert truth <= bound + 1e-12


@pytest.mark.parametrize("nats", [800, 10_000])
def test_candidates_of_a_prior_below_the_smallest_number_are_evaluated_when_the_others_explain_even_less(nats):
    """exp(-800) is 0 in double precision, but the others' evidence of exp(-2 * 800) makes it the whole posterior."""
    log_prior = torch.tensor([0.0, -nats], dtype=torch.float64)
    selection = Selection(ConfigurationSpace.full(Partition.single(1)), epsilon=0.1, each_step=True)
    selection.second(log_prior, torch.tensor([0.0, -math.inf], dtype=torch.float64), (0,))  # a batch well explained
    assert selection.first(log_prior) == (0,)
    log_evidence = torch.tensor([-2.0 * nats, -math.inf], dtype=torch.float64)
    assert unseen_mass(-nats, -2.0 * nats) == 1
    assert selection.second(log_prior, log_evidence, (0,)) == (1,)
    assert selection.first(log_prior) == (0, 1)  # now that such evidence has been seen, it is evaluated at once


def test_the_bound_is_that_of_its_definition_and_of_its_limits():
    assert unseen_mass(math.log(0.03), math.log(0.27)) == pytest.approx(0.1)
    assert unseen_mass(-10_000, -10_000) == pytest.approx(0.5)
    assert unseen_mass(-20_000, -10_000) == 0
    assert unseen_mass(-math.inf, -10_000) == 0


def posteriors(learner: SelectiveTransfer, epochs: int) -> list[Tensor]:
    """The posterior of every step."""
    seen: list[Tensor] = []
    step = learner.search.step

    def watched(task, images, labels):
        loss = step(task, images, labels)
        seen.append(learner.posterior())
        return loss

    learner.search.step = watched  # pyright: ignore[reportAttributeAccessIssue]
    for _ in range(epochs):
        learner.train_epoch()
    return seen


def test_epsilon_zero_computes_everything():
    learner = opened(EM())
    learner.train_epoch()
    effort = learner.status().effort
    assert (effort.evaluated, effort.learned, effort.skipped) == (4 * 8, 4 * 8, 0)


@pytest.mark.parametrize("prior", ["running-mean", "counts"])
@pytest.mark.parametrize("epsilon", [1e-3, 0.05])
def test_a_step_leaves_out_at_most_epsilon_and_works_less(epsilon, prior):
    learner = opened(EM(epsilon=epsilon, prior=prior))
    worked = []
    for _ in range(30):
        learner.train_epoch()
        effort = learner.status().effort
        assert 0 <= effort.skipped <= epsilon
        assert effort.learned <= effort.evaluated <= 4 * 8
        worked.append(effort.learned)
    assert min(worked) < 0.6 * 4 * 8


def test_every_step_stays_within_epsilon_of_the_exact_step_from_the_same_place():
    """One step from the same parameters: its posterior and its gradient differ by no more than the mass left out."""
    epsilon = 0.02
    lean, exact = opened(EM(epsilon=epsilon), keep=1.0), opened(EM(), keep=1.0)
    skipped = 0
    exact.begin_epoch()
    for _ in range(12):
        losses = []
        for images, labels in lean.task.batches():
            exact.backbone.load_state_dict(lean.backbone.state_dict())
            for name, value in exact.search.state().items():
                value.copy_(lean.search.state()[name])
            before = [p.detach().clone() for p in exact.backbone.parameters()]
            losses.append(lean.train_step(images, labels))
            exact.train_step(images, labels)
            one, other = lean.posterior(), exact.posterior()
            assert float((one - other).abs().sum()) <= 2 * epsilon
            largest = max(
                float(torch.cat([g.flatten() for g in gradients(exact, images, labels, bits, before)]).norm())
                for bits in exact.space.layer_digits
            )
            gaps = [
                (torch.zeros_like(p) if p.grad is None else p.grad)
                - (torch.zeros_like(p) if o.grad is None else o.grad)
                for p, o in zip(lean.backbone.parameters(), exact.backbone.parameters(), strict=True)
            ]
            gap = float(torch.cat([g.flatten() for g in gaps]).norm())
            assert gap <= 3 * epsilon * largest + 1e-6
            skipped += gap > 1e-6
        lean.task.end_epoch(losses)
    assert skipped > 10


def gradients(learner, images, labels, bits, values):
    """Gradients of one configuration's loss at given parameters."""
    parameters = list(learner.backbone.parameters())
    now = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for p, value in zip(parameters, values, strict=True):
            p.copy_(value)
    loss = torch.nn.functional.cross_entropy(learner.backbone.path_logits(images, 0, digits=bits), labels)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    with torch.no_grad():
        for p, value in zip(parameters, now, strict=True):
            p.copy_(value)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


def test_an_epsilon_too_small_to_leave_anything_out_changes_nothing():
    runs = [posteriors(opened(EM(epsilon=epsilon)), 4) for epsilon in (0.0, 1e-300)]
    for one, other in zip(*runs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_an_early_bound_that_fails_is_made_good_by_computing_the_rest():
    space = ConfigurationSpace.full(Partition.single(2))
    selection = Selection(space, epsilon=0.1, each_step=True)
    selection.start_epoch()
    log_prior = torch.tensor([0.97, 0.01, 0.01, 0.01], dtype=torch.float64).log()
    assert selection.first(log_prior) == (0, 1, 2, 3)  # nothing is known of the evidence yet
    assert selection.second(log_prior, torch.zeros_like(log_prior), (0, 1, 2, 3)) == ()
    selection.choose(log_prior, learned=None)
    assert selection.first(log_prior) == (0,)
    log_evidence = torch.full((4,), -math.inf, dtype=torch.float64)
    log_evidence[0] = math.log(0.2)
    assert selection.second(log_prior, log_evidence, (0,)) == (1, 2, 3)  # 0.03 / (0.194 + 0.03) is more than 0.05
    log_evidence[0] = math.log(0.9)
    assert selection.second(log_prior, log_evidence, (0,)) == ()
    selection.choose((log_prior + log_evidence).log_softmax(0), learned=(0,))
    assert selection.effort.skipped == pytest.approx(0.03 / (0.97 * 0.9 + 0.03))


class NoHostReads(TorchDispatchMode):
    """Fails on whatever makes the host wait for a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().split(".")[0]
        assert name not in ("aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero"), f"{name} reads the host"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("options", [{}, {"prior": "counts"}, {"epsilon": 0.01}, {"evidence": "mean"}])
def test_away_from_the_host_a_step_reads_nothing_back(options):
    learner = opened(EM(**options), keep=1.0)
    search = learner.search
    search._selection.each_step = False
    learner.task._opened.steps.on_host = False
    images, labels = next(learner.task.batches())
    for _ in range(3):
        search.start_epoch()
        learner.train_step(images, labels)
        learner.task.take_batch(images, labels)  # looks at the labels, because they really are in main memory
        with NoHostReads():
            search.step(learner.task, images, labels)
    assert search.effort.steps == 2


def test_decided_per_epoch_the_mass_left_out_is_measured():
    learner = opened(EM(epsilon=0.01))
    search = learner.search
    search._selection.each_step = False
    learned = []
    for _ in range(30):
        chosen = search._selection
        left_out = [1 - float(q[list(chosen.learned)].sum()) for q in posteriors_of_epoch(learner)]
        assert search.effort.skipped == pytest.approx(max(0.0, *left_out), abs=1e-12)
        learned.append(len(chosen.learned))
    assert min(learned) < 8


def posteriors_of_epoch(learner):
    return posteriors(learner, 1)
