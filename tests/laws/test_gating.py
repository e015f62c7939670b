"""Gates are hard with a soft gradient, channels in use are frozen, and older answers stay as they are."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

import toys
from lasem.learners import ChannelGating, GatingOptions, PlainNetwork, Training
from lasem.learners.gating._gated_convs import TEMPERATURE, Gate, GatedConvs, logistic, straight_through
from lasem.learners.gating._gating import learned_share
from lasem.nn import NETWORKS, Conv, Network

SKIPPING = Network((Conv(3, 6, pool=2), Conv(3, 6), Conv(3, 6, pool=2, skip=2), Conv(5, 8)), hidden=(5,))
CASES = {
    "digits-3": (NETWORKS["digits-3"], (1, 8, 8)),
    "skipping": (SKIPPING, (2, 9, 7)),
}
learn = partial(toys.learn, epochs=8)
TRAINING = Training(batch_size=4, learning_rate=2e-2, optimizer="adam")
SPARSE = GatingOptions(
    gain=20.0,
    sparsity_weight=3.0,
    sparsity="patience",
    patience=0,
    open_share=0.6,
    relevance="train",
    threshold=0.3,
)
networks = pytest.mark.parametrize(("network", "shape"), CASES.values(), ids=CASES.keys())


def test_gates_are_steps_with_the_gradient_of_a_sigmoid():
    logits = torch.linspace(-3, 3, 13, requires_grad=True)
    noise = torch.full_like(logits, 0.25)
    gates = straight_through(logits, noise=noise)
    assert torch.equal(gates, (logits + noise > 0).float())
    (gradient,) = torch.autograd.grad(gates.sum(), logits)
    soft = torch.sigmoid((logits + noise) / TEMPERATURE)
    torch.testing.assert_close(gradient, soft * (1 - soft) / TEMPERATURE)


def gate(gain, *, open_share=0.7):
    return Gate(4, 5, hidden=3, open_share=open_share, gain=gain, source=torch.Generator().manual_seed(0)).eval()


def test_a_gain_changes_nothing_at_first_and_makes_a_step_of_the_last_layer_so_much_longer():
    x, logits = torch.rand(6, 4, 2, 2, generator=torch.Generator().manual_seed(1)), []
    for gain in (1.0, 8.0):
        made, seen = gate(gain), []
        for step in (0.0, 1e-2):
            with torch.no_grad():
                made.logits[-1].bias += step
                seen.append(made.gain * made.logits(x.mean((2, 3))))
        torch.testing.assert_close(seen[1] - seen[0], torch.full_like(seen[0], gain * 1e-2))
        logits.append(seen[0])
    torch.testing.assert_close(*logits)


@pytest.mark.parametrize(("p", "share"), [(1.0, 1.0), (1 / 8, 0.0), (1 / 4, 1 / 3), (1 / 32, 0.0)])
def test_sparsity_counts_as_far_as_a_task_is_learned(p, share):
    """Of 8 classes, at a likelihood of p: 1 at certainty, 0 at a guess or below, in bits learned of 3."""
    entropy = torch.tensor(-math.log(p), requires_grad=True)
    found = learned_share(entropy, classes=8)
    assert float(found) == pytest.approx(share, abs=1e-6)
    assert not found.requires_grad


def test_gates_wait_for_a_task_that_is_not_learned(make_task):
    """On labels that say nothing of the images sparsity alone closes all gates; as far as learned, they stay open."""
    network, shape = CASES["digits-3"]
    task, shares = make_task(shape=shape, train=60), {}
    task.train.labels.copy_(torch.randint(3, (60,), generator=torch.Generator().manual_seed(0)))
    for sparsity in ("patience", "learned"):
        options = replace(SPARSE, sparsity=sparsity, open_share=0.9)
        training = Training(batch_size=30, learning_rate=5e-3, optimizer="adam")
        learner = ChannelGating(PlainNetwork(network, shape=shape), training=training, options=options)
        learner.begin_task(task)
        for _ in range(4):
            learner.train_epoch()
        with torch.no_grad():
            shares[sparsity] = float(learner.convs(task.test.images, 0).open_share)
    assert shares["patience"] < 0.1
    assert shares["learned"] > 0.5


def test_a_sampled_gate_opens_with_the_probability_of_its_logit():
    logits = torch.tensor([-2.0, 0.0, 1.5]).expand(20_000, 3)
    source = torch.Generator().manual_seed(0)
    share = straight_through(logits, noise=logistic(logits, source=source)).mean(0)
    torch.testing.assert_close(share, torch.sigmoid(logits[0]), atol=0.015, rtol=0)


@networks
def test_open_gates_leave_the_plain_network_and_closed_channels_are_zero(network, shape):
    convs = GatedConvs(PlainNetwork(network, shape=shape), open_share=1 - 1e-6)
    convs.grow(0, 3)
    images = torch.rand(5, *shape, generator=torch.Generator().manual_seed(0))
    kernels = [(kernel["weight"], kernel["bias"]) for kernel in convs.kernels]
    plain = convs.plain.features(images, kernels)
    assert torch.equal(convs(images, 0).features, plain)
    convs.task_gates(0)[-1].relevant[1:] = False
    left = convs(images, 0).features.unflatten(1, (-1, network.layers[-1].channels))
    assert left[..., 1:].abs().max() == 0
    torch.testing.assert_close(left[..., 0], plain.unflatten(1, (-1, network.layers[-1].channels))[..., 0])


@networks
def test_channels_in_use_are_frozen_the_others_drawn_anew_and_older_answers_never_change(network, shape, make_task):
    learner = ChannelGating(PlainNetwork(network, shape=shape), training=TRAINING, options=SPARSE)
    tasks = [make_task(seed=seed, shape=shape, identity=seed) for seed in range(3)]
    answers, kernels, used = {}, None, None
    for task in (*tasks, tasks[1]):
        learn(learner, task)
        state = [dict(kernel.items()) for kernel in learner.convs.kernels]
        if kernels is not None:
            for before, after, frozen in zip(kernels, state, used, strict=True):
                for name in before:
                    assert torch.equal(before[name][frozen], after[name][frozen])
        answers = {name: logits for name, logits in answers.items() if name != task.identity}
        for older, logits in answers.items():
            assert torch.equal(learner.logits(tasks[older].test.images, older), logits)
        answers[task.identity] = learner.logits(task.test.images, task.identity)
        others = tasks[1].identity if task is tasks[2] else None
        used = [mask.clone() for mask in learner.convs.used(excluding=others)]
        kernels = [{name: value.detach().clone() for name, value in kernel.items()} for kernel in state]
        shares = [float(mask.float().mean()) for mask in learner.relevant(task.identity)]
        assert min(shares) < 1


def test_channels_that_no_task_uses_are_drawn_anew(make_task):
    network, shape = CASES["digits-3"]
    learner = ChannelGating(PlainNetwork(network, shape=shape), training=TRAINING, options=SPARSE)
    task = make_task(shape=shape)
    learner.begin_task(task)
    for _ in range(6):
        learner.train_epoch()
    before = [kernel["weight"].detach().clone() for kernel in learner.convs.kernels]
    learner.end_task()
    kept = list(learner.convs.used())
    assert not all(bool(mask.all()) for mask in kept)
    for layer, (kernel, old, used) in enumerate(zip(learner.convs.kernels, before, kept, strict=True)):
        assert torch.equal(kernel["weight"][used], old[used])
        fresh = learner.convs.plain.new_kernel(layer, 1)
        assert torch.equal(kernel["weight"][~used], fresh["weight"][~used])
        assert torch.equal(kernel["bias"][~used], fresh["bias"][~used])


def test_relevant_are_the_channels_that_open_for_more_than_a_share_of_images(make_task):
    network, shape = CASES["digits-3"]
    learner = ChannelGating(PlainNetwork(network, shape=shape), training=TRAINING, options=SPARSE)
    task = make_task(shape=shape)
    learner.begin_task(task)
    for _ in range(6):
        learner.train_epoch()
    gates = learner.convs(task.train.images, 0).gates
    learner.end_task()
    for relevant, opened in zip(learner.relevant(0), gates, strict=True):
        assert torch.equal(relevant, opened.mean(0) > 0.3)


def test_sparsity_closes_gates(make_task):
    network, shape = CASES["digits-3"]
    shares = []
    for weight in (0.0, 3.0):
        options = replace(SPARSE, sparsity_weight=weight)
        learner = ChannelGating(PlainNetwork(network, shape=shape), training=TRAINING, options=options)
        task = make_task(shape=shape)
        learner.begin_task(task)
        for _ in range(6):
            learner.train_epoch()
        with torch.no_grad():
            shares.append(float(learner.convs(task.test.images, 0).open_share))
    assert shares[1] < shares[0] - 0.1


def test_growth_counts_the_channels_that_any_task_which_has_ended_uses(make_task):
    network = PlainNetwork(NETWORKS["digits-3"], shape=(1, 8, 8))
    learner = ChannelGating(network, training=Training(batch_size=4, learning_rate=1e-2))
    for seed in range(2):
        learner.begin_task(make_task(seed=seed, shape=(1, 8, 8)))
        learner.train_epoch()
        learner.end_task()
        for gate in learner.convs.task_gates(seed):
            gate.relevant.fill_(False)
            gate.relevant[seed : seed + 2] = True
        assert learner.growth().units == [2 + seed] * 3
    learner.begin_task(make_task(seed=2, shape=(1, 8, 8)))
    assert learner.growth().units == [3] * 3
