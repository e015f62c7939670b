"""What the first task may do, so that it leaves something to share."""

import pytest
import torch

from lasem.errors import SpecError
from lasem.learners import BruteForce, SelectiveTransfer, Training
from lasem.runs import resolve
from lasem.search import DARTS, EM, InTurn

TRAINING = Training(batch_size=4, learning_rate=1e-2, epochs=2)


def make(backbone, strategy):
    if isinstance(strategy, InTurn):
        return BruteForce(backbone, strategy, training=TRAINING)
    return SelectiveTransfer(backbone, strategy, training=TRAINING)


@pytest.mark.parametrize("strategy", [EM(first_task="shared"), DARTS(first_task="shared"), InTurn(first_task="shared")])
def test_a_first_task_that_is_not_searched_shares_all_layers_and_the_second_is_searched(
    make_task, make_backbone, strategy
):
    learner = make(make_backbone(), strategy)
    tasks = [make_task(seed=seed) for seed in range(2)]
    learner.begin_task(tasks[0])
    assert learner.status() is None
    learner.train_epoch()
    other = make(make_backbone(), strategy)
    other.restore(learner.state(), task=tasks[0])
    for one in (learner, other):
        one.train_epoch()
        one.end_task()
        assert one.configuration(0) == (1, 1)
        one.begin_task(tasks[1])
        assert (one.turns() if isinstance(one, BruteForce) else one.status().names) == ["00", "01", "10", "11"]
        one.train_epoch()
    for name, value in learner.backbone.state_dict().items():
        assert torch.equal(value, other.backbone.state_dict()[name])


@pytest.mark.parametrize(
    ("prior", "first", "second"),
    [
        ([0.4, 0.35, 0.15, 0.1], (0, 1), (0, 0)),  # the one that shares most is less than half as probable
        ([0.3, 0.25, 0.25, 0.2], (1, 1), (0, 0)),
        ([0.1, 0.5, 0.3, 0.1], (1, 0), (0, 1)),  # the larger bit string of two that share as much
    ],
)
def test_near_ties_of_the_first_task_go_to_what_shares_most(make_task, make_backbone, prior, first, second):
    learner = make(make_backbone(), EM(first_task="near-ties"))
    for task, expected in enumerate((first, second)):
        learner.begin_task(make_task(seed=task))
        learner.train_epoch()
        learner.search.set_prior(torch.tensor(prior))
        learner.end_task()
        assert learner.configuration(task) == expected


def test_a_spec_says_what_the_first_task_does():
    assert resolve("digits/lasem-hps", ["learner.first_task=shared"]).strategy.options.first_task == "shared"
    assert resolve("digits/lasem-hps", ["profile=release"]).strategy.options.first_task == "searched"
    assert resolve("digits/brute-force-hps", ["profile=release"]).strategy.options.first_task == "as-second"
    assert resolve("digits/brute-force-hps").strategy.options.first_task == "searched"
    plain = resolve("digits/lasem-hps")
    assert plain.digest == resolve("digits/lasem-hps", ["learner.first_task=searched"]).digest
    with pytest.raises(SpecError, match="first_task"):
        resolve("digits/lasem-hps", ["learner.first_task=as-second"])
