import pytest
import torch

from lasem.errors import DataError, LasemError
from lasem.learners import Searches, SingleNetwork, Training
from toys import learn, through_disk


@pytest.fixture
def make_single(make_backbone):
    def make(classes=4):
        return SingleNetwork(make_backbone(), classes=classes, training=Training(batch_size=4, learning_rate=1e-2))

    return make


def test_every_task_changes_the_one_network_and_so_the_answers_of_earlier_tasks(make_single, make_task):
    learner, images = make_single(), make_task().test.images
    learn(learner, make_task())
    before = learner.logits(images, 0)
    learn(learner, make_task(seed=1))
    assert not torch.equal(learner.logits(images, 0), before)
    assert torch.equal(learner.logits(images, 0), learner.logits(images, 1))


def test_a_task_with_fewer_classes_reads_its_own_logits_only(make_single, make_task):
    learner, images = make_single(), make_task().test.images
    learn(learner, make_task(classes=2))
    learn(learner, make_task(classes=4))
    wide, narrow = learner.logits(images, 1), learner.logits(images, 0)
    assert wide.shape == (9, 4)
    assert torch.equal(narrow, wide[:, :2])
    torch.testing.assert_close(learner.network(0)(images), narrow)


def test_a_task_with_more_classes_than_the_head_is_refused(make_single, make_task):
    with pytest.raises(DataError, match=r"single network, 4 \(got 5 in task 'wide'\)"):
        make_single().begin_task(make_task(classes=5, name="wide"))


def test_its_parameters_are_those_of_one_network(make_single, make_task):
    learner = make_single()
    for seed in range(3):
        learn(learner, make_task(seed=seed))
    counts = learner.parameter_counts()
    convolutions, head = (9 * 3 + 3) + (9 * 3 * 4 + 4), 4 * (4 * 3 * 3) + 4
    assert (counts.shared, counts.per_task, counts.rollback) == (0, [convolutions + head, 0, 0], 0)
    assert counts.search == convolutions + head


def test_nothing_is_chosen_and_nothing_searched(make_single, make_task):
    learner = make_single()
    learner.begin_task(make_task())
    assert not isinstance(learner, Searches)


@pytest.mark.parametrize("open_task", [True, False])
def test_a_restored_network_goes_on_bit_for_bit(make_single, make_task, open_task):
    tasks = [make_task(seed=seed, classes=2 + seed) for seed in range(3)]
    one, other = make_single(), make_single()
    learn(one, tasks[0])
    learn(one, tasks[1])
    if open_task:
        one.begin_task(tasks[2])
        one.train_epoch()
    other.restore(through_disk(one.state()), task=tasks[2] if open_task else None)
    for learner in (one, other):
        if open_task:
            learner.train_epoch()
            learner.end_task()
        else:
            learn(learner, tasks[2])
    for task, _ in enumerate(tasks):
        images = tasks[task].test.images
        assert torch.equal(one.logits(images, task), other.logits(images, task))


def test_a_task_never_met_is_a_clear_error(make_single, make_task):
    learner = make_single()
    learn(learner, make_task())
    with pytest.raises(LasemError):
        learner.logits(make_task().test.images, 5)
