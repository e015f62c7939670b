import math
from fractions import Fraction

import pytest
import torch

from lasem.configurations import ConfigurationSpace, Partition
from lasem.search import Counts, RunningMean, preferred

CPU = torch.device("cpu")
POSTERIORS = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], dtype=torch.float64)


def running_mean(candidates=3):
    return RunningMean(candidates, device=CPU)


def counts(ranks=(0, 1, 2)):
    return Counts(torch.tensor(ranks), device=CPU)


def logs(*probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).log()


PRIORS = {"running-mean": running_mean, "counts": counts}


@pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)
def test_a_prior_starts_uniform(make):
    torch.testing.assert_close(make().log_prior.exp(), torch.full((3,), 1 / 3, dtype=torch.float64))


@pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)
def test_a_prior_sums_to_one_after_any_updates(make):
    prior = make()
    for posterior in POSTERIORS.repeat(20, 1):
        prior.update(posterior.log())
        assert abs(float(prior.log_prior.exp().sum()) - 1) < 1e-12


@pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)
def test_a_restart_forgets_all_posteriors(make):
    prior, fresh = make(), make()
    prior.update(logs(0.9, 0.05, 0.05))
    prior.restart()
    assert torch.equal(prior.log_prior, fresh.log_prior)
    for one in (prior, fresh):
        one.update(POSTERIORS[0].log())
    assert torch.equal(prior.log_prior, fresh.log_prior)


@pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)
def test_copying_a_state_restores_a_prior_bit_for_bit(make):
    prior, other = make(), make()
    for posterior in POSTERIORS:
        prior.update(posterior.log())
    for name, value in other.state().items():
        value.copy_(prior.state()[name])
    for one in (prior, other):
        one.update(logs(0.5, 0.25, 0.25))
    assert torch.equal(prior.log_prior, other.log_prior)


def test_the_running_mean_is_the_arithmetic_mean_without_the_uniform_start():
    prior = running_mean()
    for number in range(1, 4):
        prior.update(POSTERIORS[number - 1].log())
        torch.testing.assert_close(prior.log_prior.exp(), POSTERIORS[:number].mean(0))


def test_the_first_posterior_is_the_prior_of_the_second_batch():
    prior = running_mean()
    prior.update(POSTERIORS[0].log())
    torch.testing.assert_close(prior.log_prior.exp(), POSTERIORS[0])


def test_the_running_mean_removes_no_candidate_that_underflowed():
    prior = running_mean(2)
    prior.update(torch.tensor([0.0, -5000.0], dtype=torch.float64))
    assert prior.log_prior.isfinite().all()
    assert abs(float(prior.log_prior[1]) + 5000) < 1e-9
    prior.update(logs(0.5, 0.5))
    torch.testing.assert_close(prior.log_prior.exp(), torch.tensor([0.75, 0.25], dtype=torch.float64))


def test_a_loser_falls_no_faster_than_one_over_the_number_of_batches():
    prior = running_mean(2)
    prior.update(logs(0.5, 0.5))
    for number in range(2, 200):
        prior.update(torch.tensor([0.0, -800.0], dtype=torch.float64))
        assert math.isclose(float(prior.log_prior[1].exp()), 0.5 / number, rel_tol=1e-9)


def test_counts_equal_the_laplace_estimate():
    prior = counts()
    winners = [0, 1, 2, 2, 2]
    for posterior in [POSTERIORS[0], POSTERIORS[1], POSTERIORS[2], POSTERIORS[2], POSTERIORS[2]]:
        prior.update(posterior.log())
    expected = [float(Fraction(winners.count(c) + 1, len(winners) + 3)) for c in range(3)]
    torch.testing.assert_close(prior.log_prior.exp(), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(("ranks", "winner"), [((0, 1, 2), 0), ((2, 1, 0), 1), ((1, 0, 2), 1)])
def test_counts_give_ties_to_the_lowest_rank(ranks, winner):
    prior = counts(ranks)
    prior.update(logs(0.4, 0.4, 0.2))
    assert int(prior.log_prior.argmax()) == winner


@pytest.mark.parametrize(("ties", "names"), [("most-shared", "11 10 01 00"), ("enumeration", "11 01 10 00")])
def test_exact_ties_go_down_the_order_of_preference(ties, names):
    space = ConfigurationSpace.full(Partition.single(2))
    ranks = torch.tensor(space.preference(ties))
    log_prior = torch.zeros(4, dtype=torch.float64)
    for expected in names.split():
        best = int(preferred(log_prior, ranks))
        assert space.names()[best] == expected
        log_prior[best] = -1


def test_the_largest_wins_whatever_its_rank():
    assert int(preferred(logs(0.3, 0.3 + 1e-12, 0.2), torch.tensor([0, 2, 1]))) == 1
