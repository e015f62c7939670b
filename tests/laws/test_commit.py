"""A commit keeps what was chosen, restores what was not, and leaves older tasks alone."""

import pytest
import torch

from lasem.benchmarks import TaskStream
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Conv, Network
from lasem.runs import learn
from lasem.search import EM, Fixed
from toys import shifted_task as task

SHAPE = (1, 6, 6)
TRAINING = Training(batch_size=4, learning_rate=1e-2)


def learner(strategy: EM | Fixed, *, seed: int = 0) -> SelectiveTransfer:
    backbone = Network((Conv(3, 4), Conv(3, 5, pool=2)), hidden=(6,)).build(SHAPE, seed=seed)
    return SelectiveTransfer(backbone, strategy, training=TRAINING, seed=seed)


@pytest.mark.parametrize("bits", ["00", "01", "10", "11"])
def test_commit_leaves_the_chosen_logits_bit_identical_and_restores_the_rest(bits: str):
    made = learner(EM())
    made.begin_task(task(0))
    made.train_epoch()
    made.end_task()
    before = {name: value.clone() for name, value in made.backbone.state_dict().items()}
    second = task(1)
    made.begin_task(second)
    for _ in range(3):
        made.train_epoch()
    chosen = tuple(map(int, bits))
    trained = {name: value.clone() for name, value in made.backbone.state_dict().items()}
    logits = made.backbone.path_logits(second.test.images, 1, digits=chosen)
    made.backbone.commit(chosen)
    assert torch.equal(made.backbone.path_logits(second.test.images, 1), logits)
    after = made.backbone.state_dict()
    for layer, bit in enumerate(chosen):
        for name in ("weight", "bias"):
            source = trained[f"stages.{layer}.trial.{name}"] if bit else before[f"stages.{layer}.shared.{name}"]
            assert torch.equal(after[f"stages.{layer}.shared.{name}"], source)
            assert (f"stages.{layer}.own.1.{name}" in after) == (not bit)
    assert not any(".trial." in name for name in after)


def own_parameters(made: SelectiveTransfer, tasks: range) -> dict[str, torch.Tensor]:
    """Copies of the parameters that belong to some tasks alone."""
    marks = [mark for t in tasks for mark in (f"heads.{t}.", f".own.{t}.")]
    state = made.backbone.state_dict()
    return {name: value.clone() for name, value in state.items() if any(mark in name for mark in marks)}


def test_an_older_task_keeps_its_own_parameters_bit_for_bit():
    made = learner(EM())
    for seed in range(4):
        before = own_parameters(made, range(seed))
        made.begin_task(task(seed))
        made.train_epoch()
        made.end_task()
        after = own_parameters(made, range(seed))
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert len(own_parameters(made, range(4))) >= 4 * 4


def test_answers_for_older_tasks_wait_for_the_commit():
    made = learner(Fixed("all"))
    first = task(0)
    made.begin_task(first)
    made.train_epoch()
    made.end_task()
    committed = made.logits(first.test.images, 0)
    made.begin_task(task(1))
    made.train_epoch()
    assert torch.equal(made.logits(first.test.images, 0), committed)
    assert not torch.equal(made.trial_logits(first.test.images, 0), committed)
    made.end_task()
    assert not torch.equal(made.logits(first.test.images, 0), committed)


def test_none_has_a_forgetting_ratio_of_exactly_one():
    stream = TaskStream.of([task(seed) for seed in range(4)])
    outcome = learn(learner(Fixed("none")), stream, epochs=4)
    assert outcome.measures.forgetting_ratio.per_task[:3] == [1.0, 1.0, 1.0]
    assert outcome.measures.backward_transfer == 0.0


@pytest.mark.parametrize("name", ["all", "none", "top-1", "bottom-1", "01"])
def test_a_fixed_strategy_is_em_over_its_only_candidate(name: str):
    fixed, searched = learner(Fixed(name)), None
    bits = fixed.space.candidates
    searched = learner(EM(candidates=bits))
    for made in (fixed, searched):
        made.begin_task(task(0))
        for _ in range(2):
            made.train_epoch()
        made.end_task()
    for value, other in zip(fixed.backbone.parameters(), searched.backbone.parameters(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-6, atol=1e-8)
