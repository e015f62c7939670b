"""What every learner promises; a learner takes part by being in the registry."""

import json
from dataclasses import replace

import pytest
import torch

from lasem.benchmarks import Split, TaskStream
from lasem.errors import DataError, RunError
from lasem.learners import AnswersOnTrial, ProgressiveNetworks, Searches, SelectiveTransfer, TakesTurns
from lasem.presets import learner_entries, resolve
from lasem.runs import RunFolder, arithmetic, build_learner, check
from lasem.runs._checkpoint import Checkpoints, read_checkpoint

NETWORK_LAYERS = 3
SHAPE = (1, 8, 8)
CLASSES = (3, 2, 4)
STATIC = ("hps-top-1", "hps-bottom-2", "tf-top-2", "tf-alternating", "dfcnn-bottom-1", "dfcnn-alternating")
"""Of the static configurations each with one mechanism; a configuration is data of one and the same learner."""
NAMES = [
    entry.name
    for entry in learner_entries(NETWORK_LAYERS)
    if entry.name in STATIC or not entry.name.startswith(("hps-", "tf-", "dfcnn-"))
]
SETTINGS = ["training.batch_size=4", "training.epochs=2", "training.learning_rate=0.01", "training.decay=0.1"]

pytestmark = pytest.mark.parametrize(
    ("name", "profile"),
    [
        *((name, "paper") for name in NAMES),
        ("lasem-hps", "release"),
        ("lasem-dfcnn", "release"),
        ("darts-hps", "release"),
        ("brute-force-hps", "release"),
    ],
)


@pytest.fixture
def stream(make_task):
    return TaskStream.of(
        [make_task(seed=seed, classes=size, shape=SHAPE, name=f"t{seed}") for seed, size in enumerate(CLASSES)]
    )


@pytest.fixture
def make(name, profile, stream):
    spec = resolve(f"digits/{name}", [*SETTINGS, f"profile={profile}"])
    check(spec)

    def build():
        return build_learner(spec, stream.outline, device=torch.device("cpu"))

    return build


def learn(learner, task):
    learner.begin_task(task)
    losses = []
    turns = learner.turns() if isinstance(learner, TakesTurns) else None
    for turn in range(len(turns or "1")):
        losses += [learner.train_epoch() for _ in range(2)]
        if isinstance(learner, TakesTurns):
            learner.end_turn(turn % 3 / 3)
    learner.end_task()
    return losses


def answers(learner, stream, met):
    return [learner.logits(stream[task].test.images, task) for task in range(met)]


@pytest.fixture
def through_disk(tmp_path):
    """Write a state as a checkpoint, and read it."""

    def passed(state):
        folder = RunFolder(tmp_path)
        folder.checkpoints_path.mkdir()
        Checkpoints(folder).write(state, epoch=1)
        return read_checkpoint(folder).state

    return passed


def test_it_learns_tasks_in_order_and_keeps_answering_for_earlier_ones(make, stream):
    learner = make()
    for number, task in enumerate(stream):
        losses = learn(learner, task)
        assert all(isinstance(loss, float) and 0 < loss < 100 for loss in losses)
        for earlier, logits in enumerate(answers(learner, stream, number + 1)):
            assert logits.shape == (9, CLASSES[earlier])
            assert logits.isfinite().all()
            assert not logits.requires_grad


def test_it_learns_in_bfloat16(make, stream):
    learner = make()
    with arithmetic("bfloat16", torch.device("cpu")):
        losses = learn(learner, stream[0])
        logits = learner.logits(stream[0].test.images, 0)
    assert all(0 < loss < 100 for loss in losses)
    assert logits.dtype == torch.bfloat16
    tensors = [tensor for tensor in learner.state().tensors.values() if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in tensors} <= {torch.float32, torch.float64}


def test_it_answers_for_the_open_task(make, stream):
    learner = make()
    learner.begin_task(stream[0])
    untrained = learner.logits(stream[0].test.images, 0)
    learner.train_epoch()
    assert untrained.shape == (9, CLASSES[0])
    assert not torch.equal(learner.logits(stream[0].test.images, 0), untrained)


def test_a_task_that_does_not_fit_the_network_is_refused_and_changes_nothing(make, make_task, stream):
    learner, other = make(), make()
    fitting = make_task(shape=SHAPE)
    doubled = Split(images=fitting.train.images.double(), labels=fitting.train.labels)
    for fault, unfit in (
        ("shape", make_task(shape=(1, 8, 9))),
        ("dtype", replace(fitting, train=doubled, valid=doubled, test=doubled)),
    ):
        with pytest.raises(DataError, match=f"have the {fault} that the network was built for.* in task 'toy'"):
            learner.begin_task(unfit)
    assert_same_state(learner.state(), other.state())
    assert learn(learner, stream[0]) == learn(other, stream[0])


def test_a_number_that_is_not_finite_is_told_with_its_place_and_leaves_parameters_finite(make, stream):
    learner = make()
    learner.begin_task(stream[0])
    learner.train_epoch()
    stream[0].train.images[:] = torch.nan  # a split refuses them, but cannot watch over its tensors
    with pytest.raises(RunError, match=r"got nan in task 0 \('t0'\), epoch 2 of the task, batch 1\); lower training"):
        learner.train_epoch()
    values = {name: value for name, value in learner.state().tensors.items() if name.startswith(("backbone", "open"))}
    assert all(value.isfinite().all() for name, value in values.items() if ".running_" not in name)


def test_answering_changes_nothing(make, stream):
    asked, silent = make(), make()
    for learner in (asked, silent):
        learner.begin_task(stream[0])
        for _ in range(2):
            learner.train_epoch()
            if learner is asked:
                learner.logits(stream[0].test.images, 0)
                if isinstance(learner, AnswersOnTrial):
                    learner.trial_logits(stream[0].test.images, 0)
                if isinstance(learner, Searches):
                    learner.status(), learner.configuration(0)
                learner.parameter_counts(), learner.state()
        learner.end_task()
    assert torch.equal(*(learner.logits(stream[0].test.images, 0) for learner in (asked, silent)))


def test_it_is_a_function_of_its_seed(make, stream):
    one, other = make(), make()
    for seed, learner in enumerate((one, other)):
        torch.manual_seed(seed)
        for task in stream:
            learn(learner, task)
    assert all(map(torch.equal, answers(one, stream, 3), answers(other, stream, 3)))


def test_the_answer_for_an_image_does_not_depend_on_its_batch(make, stream):
    learner = make()
    learn(learner, stream[0])
    images = stream[0].test.images
    alone = torch.cat([learner.logits(image.unsqueeze(0), 0) for image in images])
    torch.testing.assert_close(learner.logits(images, 0), alone)


def assert_same_state(one, other):
    """The same values, bits and memory layouts."""
    assert json.dumps(one.values) == json.dumps(other.values)
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name
        assert tensor.stride() == other.tensors[name].stride(), name


@pytest.mark.parametrize("inside", [True, False])
def test_restored_from_a_checkpoint_it_goes_on_bit_for_bit(make, stream, through_disk, inside):
    one, other = make(), make()
    learn(one, stream[0])
    if inside:
        one.begin_task(stream[1])
        one.train_epoch()
    else:
        learn(one, stream[1])
    other.restore(through_disk(one.state()), task=stream[1] if inside else None)
    assert other.parameter_counts() == one.parameter_counts()
    assert_same_state(one.state(), other.state())
    for learner in (one, other):
        if inside:
            assert learner.train_epoch() > 0
            learner.end_task()
        learn(learner, stream[2])
    assert all(map(torch.equal, answers(one, stream, 3), answers(other, stream, 3)))
    if isinstance(one, Searches):
        assert [one.configuration(task) for task in range(3)] == [other.configuration(task) for task in range(3)]
    assert_same_state(one.state(), other.state())


def test_the_values_of_a_state_are_json(make, stream):
    learner = make()
    learner.begin_task(stream[0])
    learner.train_epoch()
    values = learner.state().values
    assert json.loads(json.dumps(values)) == values


def test_the_network_of_a_task_is_a_plain_module_with_equal_logits(make, stream):
    learner = make()
    for task in stream:
        learn(learner, task)
    for task, logits in enumerate(answers(learner, stream, 3)):
        network = learner.network(task)
        images = stream[task].test.images
        torch.testing.assert_close(network(images), logits)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
        assert torch.equal(learner.logits(images, task), logits)


def test_parameters_counted_are_those_of_the_tasks_networks(make, stream):
    learner = make()
    for task in stream:
        learn(learner, task)
    counts = learner.parameter_counts()
    sizes = [sum(p.numel() for p in learner.network(task).parameters()) for task in range(3)]
    assert len(counts.per_task) == 3
    held = counts.shared + sum(counts.per_task)
    tensors = {name: t for name, t in learner.state().tensors.items() if name.startswith("backbone.")}
    mappings = sum(
        t.numel() for name, t in tensors.items() if ".mapping." in name
    )  # may exceed the kernels read by them
    assert max(sizes) <= held <= sum(sizes) + counts.shared + mappings
    assert counts.search >= max(counts.per_task)
    if not isinstance(learner, ProgressiveNetworks):  # its older columns are read, not trained
        assert counts.search >= max(sizes) - counts.shared
    assert held <= sum(t.numel() for t in tensors.values())


def test_a_committed_configuration_has_a_bit_per_stage(make, stream):
    learner = make()
    for task in stream:
        learn(learner, task)
    if isinstance(learner, Searches):
        for task in range(3):
            bits = learner.configuration(task)
            assert len(bits) == NETWORK_LAYERS
            assert set(bits) <= {0, 1}


def test_the_status_is_a_distribution_or_none(make, stream):
    learner = make()
    learner.begin_task(stream[0])
    for _ in range(2):
        status = learner.status() if isinstance(learner, Searches) else None
        if status is not None:
            assert status.prior.shape == (len(status.names),)
            assert status.prior.sum() == pytest.approx(1)
            assert status.prior.min() > 0
            assert ((status.marginals >= 0) & (status.marginals <= 1 + 1e-12)).all()
        learner.train_epoch()


def test_selective_transfer_answers_for_earlier_tasks_as_before_until_it_commits(make, stream):
    learner = make()
    if not isinstance(learner, SelectiveTransfer):
        pytest.skip("no layers of it wait for a commit, by design")
    learn(learner, stream[0])
    before = answers(learner, stream, 1)
    learner.begin_task(stream[1])
    learner.train_epoch()
    assert torch.equal(learner.logits(stream[0].test.images, 0), before[0])
    trial = learner.trial_logits(stream[0].test.images, 0)
    first, opened = learner.configuration(0), learner.space.uses
    touched = any(bit and shared for bit, (_, shared) in zip(first, opened, strict=True))
    assert torch.equal(trial, before[0]) != touched
    learner.end_task()
    common = any(map(min, first, learner.configuration(1)))
    assert torch.equal(learner.logits(stream[0].test.images, 0), before[0]) != common


def test_a_task_that_comes_back_goes_on_with_its_network(make, make_task, stream):
    del stream
    tasks = [make_task(seed=seed, classes=2, shape=SHAPE, identity=seed) for seed in range(2)]
    learner = make()
    for task in (tasks[0], tasks[1], tasks[0]):
        learn(learner, task)
    again = learner.logits(tasks[0].test.images, 0)
    assert again.shape == (9, 2)
    assert len(learner.parameter_counts().per_task) == 3
    assert learner.parameter_counts().per_task[2] == 0


def test_only_the_training_split_is_read_and_validation_by_those_that_say_so(make, make_task, stream):
    del stream
    one, other = make(), make()
    held_out = getattr(getattr(one, "strategy", one), "held_out", "none")
    tasks = [make_task(shape=SHAPE, valid=6, test=9), make_task(shape=SHAPE, valid=6, test=9)]
    if held_out != "valid":
        tasks[1].valid.images.fill_(float("nan"))
    tasks[1].test.images.fill_(float("nan"))
    images = tasks[0].train.images
    for learner, task in zip((one, other), tasks, strict=True):
        learn(learner, task)
    assert torch.equal(one.logits(images, 0), other.logits(images, 0))
