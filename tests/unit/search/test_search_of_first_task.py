"""What the first task takes where shared knowledge is at its initial values, with two branches and with three."""

import pytest
import torch
from quarters import make_learner, make_task

from lasem.search import DARTS, EM


def counts(digits):
    return (digits.count(1), -digits.count(0))


@pytest.mark.parametrize("branches", [2, 3])
def test_near_ties_take_the_candidate_that_shares_most_among_half_as_probable_ones(branches):
    learner = make_learner(EM(first_task="near-ties"), branches=branches)
    learner.begin_task(make_task())
    source = torch.Generator().manual_seed(branches)
    for _ in range(20):
        prior = torch.rand(branches**3, generator=source, dtype=torch.float64) ** 4 + 1e-6
        learner.search.set_prior(prior)
        close = [digits for digits, p in zip(learner.space.candidates, prior, strict=True) if p >= prior.max() / 2]
        assert counts(learner.configuration(0)) == max(map(counts, close))
        assert learner.configuration(0) in close
    learner.train_epoch()
    learner.end_task()
    learner.begin_task(make_task())
    prior = torch.full((branches**3,), 1.0, dtype=torch.float64)
    prior[0] = 1.5
    learner.search.set_prior(prior)
    assert learner.configuration(1) == (0, 0, 0)  # only the first task


@pytest.mark.parametrize("strategy", [EM(first_task="shared"), DARTS(first_task="shared", held_out="none")])
@pytest.mark.parametrize("branches", [2, 3])
def test_a_first_task_that_is_not_searched_shares_all_layers_and_the_second_one_is_searched(strategy, branches):
    learner = make_learner(strategy, branches=branches)
    learner.begin_task(make_task())
    assert learner.status() is None
    assert not learner.backbone.stages[0].own
    learner.train_epoch()
    learner.end_task()
    assert learner.configuration(0) == (1, 1, 1)
    learner.begin_task(make_task())
    assert len(learner.status().names) == branches**3
