"""DEN: its phases, what they leave of earlier tasks, and exact resumption inside each of them."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from lasem.benchmarks import Split, Task
from lasem.errors import SpecError
from lasem.learners import DEN, DENOptions, PlainNetwork, Training
from lasem.learners.den._grown_layer import GrownLayer
from lasem.learners.den._open_network import FRESH, distances
from lasem.learners.den._options import PHASES
from lasem.learners.den._phases import make_phase
from lasem.nn import Conv, Network
from lasem.runs import build_learner, check, resolve
from toys import through_disk

SHAPE = (1, 6, 6)
NETWORK = Network((Conv(3, 6, pool=2), Conv(3, 5)), hidden=(7,))
EPOCHS = 10


def make(epochs=EPOCHS, rate=1e-2, network=NETWORK, optimizer="adam", **options):
    convs = PlainNetwork(network, shape=SHAPE, seed=0)
    training = Training(batch_size=4, learning_rate=rate, optimizer=optimizer, keep=0.8, epochs=epochs)
    return DEN(convs, options=DENOptions(**({"expand": 3} | options)), training=training, seed=0)


def learn(learner, task, epochs=EPOCHS):
    learner.begin_task(task)
    phases = []
    for _ in range(epochs):
        learner.train_epoch()
        phases.append(learner.growth().phase)
    learner.end_task()
    return phases


def vectors(kernel):
    return torch.cat([kernel[0].flatten(1), kernel[1][:, None]], 1)


def test_a_layer_reads_what_was_written_last_over_every_connection():
    """Against a dictionary from (unit, input) to a number."""
    source = torch.Generator().manual_seed(0)
    layer, weights, biases, seen = GrownLayer((1, 2), device=torch.device("cpu")), {}, {}, list(range(4))
    below = list(range(3))
    for visit in range(5):
        fresh = list(range(layer.num_units, layer.num_units + (4 if visit == 0 else visit % 3)))
        units = fresh if visit == 0 else [unit for unit in seen if (unit + visit) % 3] + fresh
        below = [unit for unit in below if (unit + visit) % 4] + [10 * visit + 5]
        kernel = torch.randn(len(units), len(below), 1, 2, generator=source), torch.randn(len(units), generator=source)
        layer.write(units, below, kernel)
        weights |= {(u, i): kernel[0][a, b] for a, u in enumerate(units) for b, i in enumerate(below)}
        biases |= {u: kernel[1][a] for a, u in enumerate(units)}
        seen = units
        wanted, inputs = sorted(biases, reverse=True), sorted({i for _, i in weights}, reverse=True)
        weight, bias = layer.read(wanted, inputs)
        for a, unit in enumerate(wanted):
            assert bias[a] == biases[unit]
            for b, number in enumerate(inputs):
                assert torch.equal(weight[a, b], weights.get((unit, number), torch.zeros(1, 2)))
    assert layer.num_parameters == 2 * len(weights) + len(biases)


def test_connected_units_are_those_with_a_path_to_the_output(make_task):
    learner = make()
    learner.begin_task(make_task())
    source = torch.Generator().manual_seed(1)
    network = learner.open
    with torch.no_grad():
        for weight in network.weights:
            keep = torch.rand(weight.shape[:2], generator=source) < 0.25
            weight.mul_(keep[..., None, None])
    links = [(weight.detach() != 0).flatten(2).any(2).double() for weight in network.weights]
    for layer, found in enumerate(network.connected_units()):
        paths = torch.eye(links[layer].shape[0], dtype=torch.float64)
        for link in links[layer + 1 :]:
            paths = link @ paths
        assert found == paths.sum(0).nonzero().flatten().tolist()


def test_growing_and_removing_useless_units_change_no_answer(make_task):
    learner, images = make(), make_task().test.images
    learner.begin_task(make_task())
    before = learner.logits(images, 0)
    network = learner.open
    network.grow(4, torch.Generator().manual_seed(0))
    assert [len(bias) for bias in network.biases] == [10, 9, 11, 3]
    torch.testing.assert_close(learner.logits(images, 0), before)
    with torch.no_grad():
        for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
            weight[-2:], bias[-2:] = 0, 0  # as group lasso leaves a useless unit
        network.weights[-1][:, -4:] = 0.3
        for above in network.weights[1:-1]:
            above[:-4, -4:] = 0.3
    now = learner.logits(images, 0)
    assert network.prune() == [2, 2, 2]
    assert [len(bias) for bias in network.biases] == [8, 7, 9, 3]
    torch.testing.assert_close(learner.logits(images, 0), now)


def test_group_lasso_that_outweighs_everything_leaves_no_new_unit(make_task):
    learner = make(group_lasso=100.0, loss_threshold=0.0, split_threshold=(9e9, 9e9))
    for seed in range(2):
        learn(learner, make_task(seed=seed))
    assert learner.growth().units == [6, 5, 7]


def expanded(make_task, steps, **options):
    """A learner in its second task with added units, and a function that makes a step of the phase "expand"."""
    learner = make(**options)
    learn(learner, make_task())
    learner.begin_task(make_task(seed=1))
    learner.open.grow(3, torch.Generator().manual_seed(0))
    phase = make_phase("expand", learner.open, learner.options, chosen=[])
    optimizer = torch.optim.SGD(phase.trained, lr=0.01)

    def step():
        phase.mask_gradients()
        optimizer.step()
        phase.shrink(optimizer, steps=steps, finite=torch.tensor(True))

    return learner, step


@pytest.mark.parametrize("name", ["first", "select", "expand"])
def test_where_a_number_was_not_finite_a_proximal_step_moves_nothing(make_task, name):
    learner = make(l1=0.1, group_lasso=0.1)
    learn(learner, make_task())
    learner.begin_task(make_task(seed=1))
    learner.open.grow(3, torch.Generator().manual_seed(0))
    phase = make_phase(name, learner.open, learner.options, chosen=[])
    optimizer = torch.optim.SGD(phase.trained, lr=0.01)
    before = [parameter.detach().clone() for parameter in learner.open.parameters]
    for finite, moves in ((False, False), (True, True)):
        phase.shrink(optimizer, steps=1, finite=torch.tensor(finite))
        assert all(map(torch.equal, before, learner.open.parameters)) != moves


@pytest.mark.parametrize("steps", [1, 40])
def test_a_phase_takes_what_it_says_from_what_no_gradient_holds(make_task, steps):
    learner, step = expanded(make_task, steps, shrinkage="per-phase", group_lasso=0.01, l1=0.0)
    before = [weight[-3:].detach().flatten(1).clone() for weight in learner.open.weights[:-1]]
    for _ in range(steps):
        for parameter in learner.open.parameters:
            parameter.grad = torch.zeros_like(parameter)
        step()
    for weight, rows in zip(learner.open.weights[:-1], before, strict=True):
        size = rows.square().mean(1, keepdim=True).sqrt()
        torch.testing.assert_close(weight[-3:].detach().flatten(1), rows * (1 - 0.01 / size))


def test_units_that_no_gradient_holds_are_removed_and_those_that_one_holds_stay(make_task):
    learner, step = expanded(make_task, 40, shrinkage="per-phase", group_lasso=0.07, l1=0.0)
    network = learner.open
    pulls = [weight.detach().sign() for weight in network.weights[:-1]]  # outwards, at the pace of 0.1 in the phase
    for _ in range(40):
        for parameter in network.parameters:
            parameter.grad = torch.zeros_like(parameter)
        for weight, pull in zip(network.weights[:-1], pulls, strict=True):
            weight.grad[-1] = -0.25 * pull[-1]
        step()
    assert all((weight[-3:-1] == 0).all() for weight in network.weights[:-1])
    assert network.prune() == [1, 1, 1]


def test_added_units_that_cannot_help_are_removed(make_task):
    """The task that keeps all of them without the lasso, below."""
    hopeless = contradiction(make_task)
    options = {"group_lasso": 0.07, "l1": 0.0, "shrinkage": "per-phase", "split_threshold": (9e9, 9e9)}
    learner = make(optimizer="rmsprop-tf", rate=5e-3, loss_threshold=0.0, **options)
    learn(learner, make_task(classes=2, train=40))
    assert "expand" in learn(learner, hopeless)
    assert learner.growth().units == NETWORK_UNITS


def contradiction(make_task):
    """One image with two labels: a loss of at least log 2, and nothing to learn."""
    easy = make_task(seed=1, classes=2, train=40)
    images = easy.train.images[:1].expand(40, -1, -1, -1).contiguous()
    split = Split(images=images, labels=easy.train.labels)
    return Task(name="contradiction", classes=2, train=split, valid=split, test=split)


def test_it_grows_where_a_task_cannot_be_fitted_and_not_where_it_can(make_task):
    easy, hard = make_task(seed=1, classes=2, train=40), contradiction(make_task)
    grown = {}
    for task in (easy, hard):
        learner = make(epochs=20, loss_threshold=0.5, split_threshold=(9e9, 9e9), l1=0.0, group_lasso=0.0)
        learn(learner, make_task(classes=2, train=40), 20)
        grown[task.name] = learn(learner, task, 20), learner.growth().units
    assert grown["contradiction"][1] == [9, 8, 10]
    assert grown["toy"][1] == [6, 5, 7]
    assert "expand" in grown["contradiction"][0]
    assert "expand" not in grown["toy"][0]


@pytest.mark.parametrize("threshold", [0.0, 0.1, 9e9])
def test_a_unit_of_an_older_task_is_as_before_or_within_the_split_threshold(make_task, threshold):
    learner, images = make(split_threshold=(threshold, threshold)), make_task().test.images
    learn(learner, make_task())
    before, answers = learner.grown.kernels(0), learner.logits(images, 0)
    learn(learner, make_task(seed=1))
    for old, new in zip(before[:-1], learner.grown.kernels(0)[:-1], strict=True):
        far = (vectors(new) - vectors(old)).norm(dim=1)
        assert (far <= threshold).all()
    split = sum(
        a != b
        for one, other in zip(learner.grown.seen[0], learner.grown.seen[1], strict=True)
        for a, b in zip(one, other, strict=False)
    )
    assert (split == 0) == (threshold == 9e9)
    if threshold == 0:
        assert torch.equal(learner.logits(images, 0), answers)
    assert torch.equal(learner.grown.kernels(0)[-1][0], before[-1][0])


def test_the_split_itself_changes_no_answer_of_the_open_task(make_task):
    learner, task = make(shares=(0.1, 0.4, 0.2, 0.3, 0.0), split_threshold=(0.02, 0.02)), make_task(seed=1)
    learn(learner, make_task())
    learner.begin_task(task)
    for _ in range(EPOCHS):
        learner.train_epoch()
    before = learner.logits(task.test.images, 1)
    learner.end_task()  # splits
    assert torch.equal(learner.logits(task.test.images, 1), before)
    assert learner.grown.seen[0][0] != learner.grown.seen[1][0][:6]


def test_cosines_split_by_the_angle_and_not_by_the_length(make_task):
    learner = make(drift_measure="cosine", split_threshold=(0.9, 0.9))
    learn(learner, make_task())
    learner.begin_task(make_task(seed=1))
    network = learner.open
    with torch.no_grad():
        network.weights[0][0].mul_(3), network.biases[0][:1].mul_(3)
        network.weights[0][1].neg_(), network.biases[0][1:2].neg_()
        network.weights[0][2] += torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(0))
    assert network.split(learner.options) == [1, 0, 0]
    assert [unit == FRESH for unit in network.origins[0]] == [False, False, True, False, False, False]


def test_beside_the_original_stays_and_both_feed_what_is_above(make_task):
    learner = make(split="beside", expand=0, split_threshold=(0.0, 0.0))
    for seed in range(2):
        learn(learner, make_task(seed=seed))
    for first, second in zip(*(learner.grown.seen[task] for task in range(2)), strict=True):
        assert second[: len(first)] == first
        assert len(second) == 2 * len(first)


def test_older_tasks_never_see_younger_units_and_answer_as_before_until_the_task_ends(make_task):
    learner, images = make(split_threshold=(0.0, 0.0)), make_task().test.images
    for seed in range(3):
        counts = {task: [len(row) for row in learner.grown.seen[task]] for task in range(seed)}
        answers = [learner.logits(images, task) for task in range(seed)]
        learner.begin_task(make_task(seed=seed))
        changed = []
        for _ in range(EPOCHS):
            learner.train_epoch()
            assert all(torch.equal(learner.logits(images, task), answers[task]) for task in range(seed))
            if seed:
                latest = learner.trial_logits(images, seed - 1)
                changed.append(not torch.equal(latest, answers[seed - 1]))
        assert not seed or any(changed)  # the trial shows what the split will put back
        learner.end_task()
        assert all(torch.equal(learner.logits(images, task), answers[task]) for task in range(seed))
        assert counts == {task: [len(row) for row in learner.grown.seen[task]] for task in range(seed)}


def test_phases_train_what_they_say_on_a_network_that_has_learned(make_task):
    task, epochs = make_task(train=40), []
    learner = make(l1=2e-4, loss_threshold=0.0, split_threshold=(0.5, 0.5))
    learn(learner, task)
    assert (learner.logits(task.test.images, 0).argmax(1) == task.test.labels).float().mean() > 0.6
    for layer in learner.grown.layers[1:]:
        layer.weight[:, 0] = 0  # nothing reads the first unit of the convolutions, so they lead to no output
    learner.begin_task(make_task(seed=1, train=40))
    for _ in range(EPOCHS):
        before = [p.detach().clone() for p in learner.open.parameters]
        learner.train_epoch()
        after = [p.detach().clone() for p in learner.open.parameters]
        epochs.append((learner.growth().phase, before, after))
        if epochs[-1][0] == "retrain":
            assert learner._chosen == [[1, 2, 3, 4, 5], [1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6]]
    for phase, before, after in epochs:
        moved = [a.shape != b.shape or not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert moved == ([False, False, False, True] * 2 if phase == "select" else [True] * 8)
        for layer in range(len(NETWORK_UNITS)):
            old, new = before[layer], after[layer]
            if phase == "retrain":  # the first unit of a convolution, and what reads it
                idle = [0] if layer < 2 else []
                assert torch.equal(old[idle], new[idle])
                assert layer == 0 or torch.equal(old[:, 0], new[:, 0])
            if phase == "expand":  # connections that were there before the task
                rows, columns = NETWORK_UNITS[layer], [1, *NETWORK_UNITS][layer]
                assert torch.equal(old[:rows, :columns], new[:rows, :columns])
            if phase == "settle":  # connections between units that the first task sees
                shared = learner.open.shared[layer][:, None] & learner.open.inputs_shared(layer)
                assert shared.any()
                assert torch.equal(old[shared], new[shared])
    assert [phase for phase, *_ in epochs] == ["select", *["retrain"] * 4, *["expand"] * 2, *["drift"] * 2, "settle"]


NETWORK_UNITS = [6, 5, 7]


@pytest.mark.parametrize(
    "options",
    [
        {"shrinkage": "per-phase"},
        {"split": "beside", "settle": "all", "shrinkage": "step-size", "optimizer": "rmsprop-tf"},
    ],
)
def test_resumed_inside_any_phase_it_goes_on_bit_for_bit(make_task, options):
    tasks = [make_task(seed=seed) for seed in range(3)]
    whole, images = make(loss_threshold=0.0, split_threshold=(0.05, 0.05), **options), tasks[0].test.images
    learn(whole, tasks[0])
    whole.begin_task(tasks[1])
    states = []
    for _ in range(EPOCHS):
        states.append((whole.growth().phase, through_disk(whole.state())))
        whole.train_epoch()
    states.append((whole.growth().phase, through_disk(whole.state())))
    whole.end_task()
    learn(whole, tasks[2])
    assert {phase for phase, _ in states} == set(PHASES)
    for done, (_, state) in enumerate(states):
        other = make(loss_threshold=0.0, split_threshold=(0.05, 0.05), **options)
        other.restore(state, task=tasks[1])
        for _ in range(EPOCHS - done):
            other.train_epoch()
        other.end_task()
        learn(other, tasks[2])
        assert all(torch.equal(whole.logits(images, task), other.logits(images, task)) for task in range(3))
        assert whole.parameter_counts() == other.parameter_counts()


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_fewer_epochs_than_phases_leave_some_phases_out(make_task, epochs):
    learner = make(epochs=epochs)
    for seed in range(2):
        phases = learn(learner, make_task(seed=seed), epochs)
    assert [PHASES.index(a) <= PHASES.index(b) for a, b in pairwise(phases)] == [True] * (epochs - 1)
    assert learner.logits(make_task().test.images, 1).isfinite().all()


def test_a_task_that_comes_back_spares_what_only_others_see(make_task):
    tasks = [make_task(seed=seed, identity=seed) for seed in range(2)]
    learner, images = make(split_threshold=(0.0, 0.0)), make_task().test.images
    for task in tasks:
        learn(learner, task)
    other, first = learner.logits(images, 1), learner.logits(images, 0)
    learn(learner, tasks[0])
    assert torch.equal(learner.logits(images, 1), other)
    assert not torch.equal(learner.logits(images, 0), first)


def test_gathered_kernels_answer_as_those_read_anew_and_are_read_once(make_task, monkeypatch):
    tasks, reads = [make_task(seed=seed, identity=seed) for seed in range(3)], []
    read = GrownLayer.read
    monkeypatch.setattr(GrownLayer, "read", lambda layer, *numbers: reads.append(layer) or read(layer, *numbers))
    learner, images = make(split_threshold=(0.05, 0.05)), tasks[0].test.images

    def compare(learner, met, *, trial, anew=True):
        """Twice by the learner, and against a reading of its own."""
        for task in met:
            grown, below = learner.grown, [list(range(SHAPE[0])), *learner.grown.seen[task]]
            kernels = [
                read(layer, seen, below[i]) for i, (layer, seen) in enumerate(zip(grown.layers, below[1:], strict=True))
            ]
            if trial:
                grown._lay_over(kernels, grown.seen[task], learner.open)
            expected = learner.plain.logits(images, [*kernels, grown.heads[task]])
            reads.clear()
            answer = learner.trial_logits if trial else learner.logits
            assert all(torch.equal(answer(images, task), expected) for _ in range(3))
            assert len(reads) == (len(grown.layers) if anew else 0)

    for position, task in enumerate([*tasks, tasks[0]]):
        met = sorted(learner.grown.seen)
        learner.begin_task(task)
        for epoch in range(EPOCHS):
            learner.train_epoch()
            compare(learner, [other for other in met if other != task.identity], trial=True)
            compare(learner, [other for other in met if other != task.identity], trial=False, anew=epoch == 0)
        learner.end_task()
        compare(learner, sorted(learner.grown.seen), trial=False)
        if position == 1:
            other = make(split_threshold=(0.05, 0.05))
            other.restore(through_disk(learner.state()), task=None)
            learner = make(split_threshold=(0.05, 0.05))
            learner.restore(other.state(), task=None)
            compare(learner, [0, 1], trial=False)


def test_the_pull_of_drift_is_that_of_the_chosen_rows(make_task):
    learner = make()
    learn(learner, make_task())
    learner.begin_task(make_task(seed=1))
    network = learner.open
    network.grow(2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in network.parameters:
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    network.shared[1][::2] = False
    (0.5 * network.drift()).backward()
    for layer, (before, bias) in enumerate(network.start):
        rows = network.shared[layer].nonzero().flatten()
        expected = torch.zeros_like(network.weights[layer]), torch.zeros_like(network.biases[layer])
        for row in rows.tolist():
            expected[0][row, : before.shape[1]] = network.weights[layer][row, : before.shape[1]] - before[row]
            expected[1][row] = network.biases[layer][row] - bias[row]
        assert torch.equal(network.weights[layer].grad, expected[0])
        assert torch.equal(network.biases[layer].grad, expected[1])


def test_a_phase_goes_on_from_the_mean_squares_of_what_the_last_one_trained(make_task):
    learner = make(optimizer="rmsprop-tf", loss_threshold=0.0)
    learn(learner, make_task())
    learner.begin_task(make_task(seed=1))
    for _ in range(EPOCHS // 2):
        learner.train_epoch()
    network = learner.open
    ended = [learner.task.optimizer.state[p]["mean_square"].clone() for p in network.parameters]
    learner._advance_to("expand")
    for now, before in zip(learner.open.parameters, ended, strict=True):
        square = learner.task.optimizer.state[now]["mean_square"]
        assert square.shape == now.shape
        torch.testing.assert_close(square, before.mean().expand_as(square))  # all of it was retrained


def test_distances_are_norms_over_the_inputs_that_were_there_before():
    before = torch.zeros(2, 1, 1, 1), torch.zeros(2)
    now = torch.tensor([[3.0, 9.0], [0.0, 9.0], [9.0, 9.0]])[..., None, None], torch.tensor([4.0, 1.0, 9.0])
    assert distances(now, before).tolist() == [5.0, 1.0]


@pytest.mark.parametrize("network", ["resnet-18", "resnet-18-bn"])
def test_networks_with_skips_or_batch_norm_are_refused_before_training(network):
    with pytest.raises(SpecError, match=f"'den' is not offered on {network}: .*; choose"):
        check(resolve("cifar100-10/den", [f"network.name={network}"]))
    skipping = Network((Conv(3, 4), Conv(3, 4, skip=1)), hidden=())
    with pytest.raises(SpecError, match=r"must have no skips, .* \(got 1\); choose a network without"):
        make(network=skipping)


def test_options_of_the_profiles_reach_the_learner():
    paper, release = (resolve("cifar100-10/den", [f"profile={name}", "den.l2=0.5"]) for name in ("paper", "release"))
    made = [build_learner(s, check(s).outline(), device=torch.device("cpu")).options for s in (paper, release)]
    assert made[0] == DENOptions(l2=0.5)
    assert (made[1].drift_measure, made[1].split_threshold, made[1].expand) == ("cosine", (0.98, 0.01), 16)
    assert made[1].l2 == 0.5
    assert "den" not in resolve("digits/hps", ["profile=release"]).sections


def test_where_tasks_are_short_the_weights_count_for_a_phase_unless_set_otherwise():
    def options(name, *settings):
        return resolve(name, settings).learner.options

    digits, small, full = (options(name) for name in ("digits/den", "cifar100-10/den/small", "cifar100-10/den"))
    assert digits == small == options("digits/den/small")
    assert (small.shrinkage, full.shrinkage) == ("per-phase", "per-step")
    assert "den.shrinkage is 'per-phase' instead of the default" in resolve("cifar100-10/den/small").small
    assert not any(change.startswith("den.") for change in resolve("digits/den/small").small)
    assert options("digits/den", "den.expand=32") == replace(digits, expand=32)
    released = [options(name, "profile=release") for name in ("cifar100-10/den", "cifar100-10/den/small")]
    assert released[0] == released[1]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("den.shares=[0.5,0.5,0.5,0,0]", "five shares that add up to 1"),
        ("den.expand=-1", "expand must be at least 0"),
        ("den.expend=1", "did you mean 'expand'"),
    ],
)
def test_wrong_options_are_refused_before_training(setting, words):
    with pytest.raises(SpecError, match=words):
        check(resolve("digits/den", [setting]))
