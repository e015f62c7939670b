"""EWC's information and penalty are those of their definitions; without weight it is plain sharing."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.func import functional_call

from lasem.benchmarks import Split
from lasem.errors import SpecError
from lasem.learners import EWCOptions, RetentionOptions, SelectiveTransfer, SingleNetwork, Training
from lasem.learners._fisher import fisher_diagonal
from lasem.learners._retention import Answers
from lasem.nn import MECHANISMS, BasicBlock, Conv, Network, NormConv
from lasem.runs import build_learner, check, resolve
from lasem.search import EM, Fixed, Quadratic, shared_knowledge

TRAINING = Training(batch_size=4, learning_rate=1e-2)


def softmax_regression(*, images=7, seed=0):
    """A linear model, its images (N, 1, 2, 2) and labels of 3 classes."""
    source = torch.Generator().manual_seed(seed)
    linear = nn.Linear(4, 3)
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=source))
    split = Split(
        images=torch.randn(images, 1, 2, 2, generator=source), labels=torch.randint(3, (images,), generator=source)
    )
    return linear, split


def information(linear, split, outcomes, *, seed=0):
    found = fisher_diagonal(
        lambda values, images: functional_call(linear, values, (images.flatten(1),)).log_softmax(1),
        dict(linear.named_parameters()),
        split,
        outcomes=outcomes,
        source=torch.Generator().manual_seed(seed),
    )
    return found["weight"], found["bias"]


def one_by_one(log_likelihoods, parameters, split, outcomes):
    """The definition: a gradient per image and class, one after another."""
    total = [torch.zeros_like(parameter) for parameter in parameters]
    for image, label in zip(split.images, split.labels, strict=True):
        for y in range(int(log_likelihoods(image.unsqueeze(0)).shape[1])):
            log_p = log_likelihoods(image.unsqueeze(0))[0, y]
            weight = float(log_p.detach().exp()) if outcomes == "exact" else float(y == label)
            for sum_of_squares, gradient in zip(total, torch.autograd.grad(log_p, parameters), strict=True):
                sum_of_squares += weight * gradient**2 / len(split)
    return total


@pytest.mark.parametrize("room", [1, 10**4, 10**8])
@pytest.mark.parametrize("outcomes", ["exact", "empirical"])
@pytest.mark.parametrize("case", ["hps", "tf", "dfcnn", "batch norm"])
def test_information_of_many_images_at_once_is_that_of_one_after_another(make_task, case, outcomes, room):
    normed = case == "batch norm"
    rows = (NormConv(3, 4), BasicBlock(4)) if normed else (Conv(3, 4, pool=2), Conv(3, 5))
    mechanism = MECHANISMS["hps" if normed else case]()
    backbone = Network(rows, hidden=(5,)).build((2, 6, 6), mechanism=mechanism)
    task = make_task(shape=(2, 6, 6), train=7)
    learner = learned(EWCOptions(penalty_weight=0).learner(backbone, training=TRAINING), [task], epochs=1)
    answers = Answers(learner.backbone, 0)
    known = shared_knowledge(backbone)
    knowledge = {f"{stage}.{name}": value for stage, values in known.items() for name, value in values.items()}
    found = fisher_diagonal(
        lambda values, images: functional_call(answers, answers.named(values), (images,)),
        knowledge,
        task.train,
        outcomes=outcomes,
        source=torch.Generator(),
        limit=room,
    )
    looped = one_by_one(answers, list(knowledge.values()), task.train, outcomes)
    assert all(value.abs().max() > 0 for value in looped)
    for one, other in zip(found.values(), looped, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6 * float(other.max()))


def test_exact_information_of_softmax_regression_is_its_closed_form():
    linear, split = softmax_regression()
    x = split.images.flatten(1)
    p = linear(x).softmax(1).detach()
    weight, bias = information(linear, split, "exact")
    torch.testing.assert_close(weight, ((p * (1 - p)).T @ x.square()) / len(x))
    torch.testing.assert_close(bias, (p * (1 - p)).mean(0))


def test_empirical_information_is_the_mean_square_of_the_gradients_of_single_images():
    linear, split = softmax_regression()
    total = [torch.zeros_like(parameter) for parameter in linear.parameters()]
    for image, label in zip(split.images, split.labels, strict=True):
        linear.zero_grad()
        nn.functional.cross_entropy(linear(image.flatten().unsqueeze(0)), label.unsqueeze(0)).backward()
        for sum_of_squares, parameter in zip(total, linear.parameters(), strict=True):
            sum_of_squares += parameter.grad**2 / len(split)
    for one, other in zip(information(linear, split, "empirical"), total, strict=True):
        torch.testing.assert_close(one, other)


def test_sampled_information_estimates_the_exact_one():
    linear, split = softmax_regression(images=1)
    exact = information(linear, split, "exact")[1]
    draws = torch.stack([information(linear, split, "sampled", seed=seed)[1] for seed in range(400)])
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - exact).abs() < 4 * error + 1e-6).all()


def some_quadratics(number, *, seed=0):
    source = torch.Generator().manual_seed(seed)
    return [
        (
            {
                "a": torch.rand(3, generator=source) * torch.tensor([1.0, 1.0, 0.0]),
                "b": torch.rand(2, 2, generator=source),
            },
            {"a": torch.randn(3, generator=source), "b": torch.randn(2, 2, generator=source)},
        )
        for _ in range(number)
    ]


def test_sum_of_penalties_kept_as_one_has_value_and_gradient_of_the_sum_over_tasks():
    parts, kept = some_quadratics(4), Quadratic()
    for precision, center in parts:
        kept = kept.plus(precision, center)
    theta = {"a": torch.randn(3, requires_grad=True), "b": torch.randn(2, 2, requires_grad=True)}
    naive = sum((f[name] * (theta[name] - at[name]) ** 2).sum() for f, at in parts for name in f)
    torch.testing.assert_close(kept(theta), naive)
    for one, other in zip(
        *(torch.autograd.grad(value, list(theta.values())) for value in (kept(theta), naive)), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_online_penalty_fades_older_information_and_is_centered_on_the_latest_weights():
    parts, kept = some_quadratics(3), Quadratic()
    for precision, center in parts:
        kept = kept.faded(0.5, precision, center)
    for name in ("a", "b"):
        faded = 0.25 * parts[0][0][name] + 0.5 * parts[1][0][name] + parts[2][0][name]
        torch.testing.assert_close(kept.precision[name], faded)
        assert torch.equal(kept.center[name], parts[2][1][name])
    assert kept.constant == 0


def learned(learner, tasks, *, epochs=3):
    for task in tasks:
        learner.begin_task(task)
        for _ in range(epochs):
            learner.train_epoch()
        learner.end_task()
    return learner


def test_without_weight_it_equals_plain_sharing_bit_for_bit(make_task, make_backbone):
    tasks = [make_task(seed=seed, train=14) for seed in range(3)]
    ewc = learned(EWCOptions(penalty_weight=0).learner(make_backbone(), training=TRAINING), tasks)
    plain = learned(SelectiveTransfer(make_backbone(), Fixed("all"), training=TRAINING), tasks)
    for task in range(3):
        images = tasks[task].test.images
        assert torch.equal(ewc.logits(images, task), plain.logits(images, task))


@pytest.mark.parametrize("online", [False, True])
def test_the_heavier_the_penalty_the_less_knowledge_moves(make_task, make_backbone, online):
    tasks = [make_task(seed=seed) for seed in range(2)]
    training = Training(batch_size=4, learning_rate=1e-2, optimizer="adam")
    moved = []
    for weight in (0.0, 1e3, 1e6):
        learner = learned(
            EWCOptions(penalty_weight=weight, online=online).learner(make_backbone(), training=training),
            tasks[:1],
        )
        before = [value.detach().clone() for value in learner.backbone.stages[0].shared.parameters()]
        learned(learner, tasks[1:])
        after = learner.backbone.stages[0].shared.parameters()
        moved.append(sum(float((a.detach() - b).square().sum()) for a, b in zip(after, before, strict=True)))
    assert moved[0] > 2 * moved[1] > 4 * moved[2]


def test_what_is_held_beside_parameters_is_counted_and_does_not_grow(make_task, make_backbone):
    learner = EWCOptions().learner(make_backbone(), training=TRAINING)
    assert learner.parameter_counts().beside == 0
    for seed in range(3):
        learned(learner, [make_task(seed=seed)], epochs=1)
        counts = learner.parameter_counts()
        assert counts.beside == 2 * counts.shared


# A single head


def single(backbone, **options):
    return SingleNetwork(
        backbone, classes=3, training=TRAINING, retention=EWCOptions(head="single", **options).retention
    )


def test_a_single_head_is_penalized_like_the_layers(make_task, make_backbone):
    """After one task, the step's loss has lambda / 2 sum_j F_j (theta_j - theta*_j)^2 over all parameters."""
    tasks, weight = [make_task(seed=seed, train=12) for seed in range(2)], 50.0
    training = Training(batch_size=4, learning_rate=1e-1, keep=1.0, optimizer="sgd")
    retention = EWCOptions(head="single", penalty_weight=weight).retention
    learner = SingleNetwork(make_backbone(), classes=3, training=training, retention=retention)
    learned(learner, tasks[:1])
    network = learner.network(0)
    center = [value.detach().clone() for value in network.parameters()]
    information = one_by_one(
        lambda images: network(images).log_softmax(1), list(network.parameters()), tasks[0].train, "exact"
    )
    learner.begin_task(replace(tasks[1], identity=1))
    inner = learner._inner
    inner.begin_epoch()
    trained = inner.backbone.task_parameters(0)
    with torch.no_grad():
        for value in trained:
            value += 0.1
    images, labels = tasks[1].train.images[:4], tasks[1].train.labels[:4]
    entropy = nn.functional.cross_entropy(inner.trial_logits(images, 0), labels)
    penalty = weight / 2 * sum((f * 0.1**2).sum() for f in information)
    assert sum(value.numel() for value in trained) == sum(value.numel() for value in center)
    torch.testing.assert_close(inner.train_step(images, labels), entropy + penalty, rtol=1e-4, atol=1e-6)


def test_a_single_network_without_weight_moves_as_if_nothing_held_it(make_task, make_backbone):
    tasks = [make_task(seed=seed, train=14, identity=seed) for seed in range(3)]
    free = SelectiveTransfer(make_backbone(), Fixed("all"), training=TRAINING)
    learned(free, [replace(task, identity=0) for task in tasks])
    images = tasks[0].test.images
    held = [learned(single(make_backbone(), penalty_weight=weight), tasks).logits(images, 0) for weight in (0.0, 100.0)]
    assert torch.equal(held[0], free.logits(images, 0))
    assert not torch.equal(held[1], held[0])


def test_a_single_network_is_resumed_with_what_holds_it(make_task, make_backbone):
    tasks = [make_task(seed=seed, identity=seed) for seed in range(2)]
    one, other = single(make_backbone()), single(make_backbone())
    learned(one, tasks[:1])
    one.begin_task(tasks[1])
    one.train_epoch()
    other.restore(one.state(), task=tasks[1])
    for learner in (one, other):
        learner.train_epoch()
    assert torch.equal(one.logits(tasks[0].test.images, 0), other.logits(tasks[0].test.images, 0))


def test_a_single_head_is_refused_with_mappings():
    spec = resolve("digits/ewc-single", ["learner.mechanism=tf"])
    with pytest.raises(SpecError, match="must be hps for a single head"):
        build_learner(spec, check(spec).outline(), device=torch.device("cpu"))


# Retention with any strategy


def copied(learner):
    """Values of shared knowledge by stage and name."""
    return {
        stage: {name: value.detach().clone() for name, value in values.items()}
        for stage, values in shared_knowledge(learner.backbone).items()
    }


@pytest.mark.parametrize("count_images", [True, False])
@pytest.mark.parametrize("first", ["10", "11"])
def test_both_steps_read_each_layers_retention(make_task, make_backbone, first, count_images):
    """R_l = lambda / N 1/2 N_1 sum_j F_lj (theta_lj - theta^1_lj)^2 for the layers that the first task shares.

    The M-step adds sum_l m_l R_l, and the E-step subtracts B sum_l c_l R_l.
    """
    tasks, weight = [make_task(seed=0, train=12), make_task(seed=1, train=8)], 10.0
    options = RetentionOptions(weight=weight, count_images=count_images)
    training = Training(batch_size=4, learning_rate=1e-1, keep=1.0, optimizer="sgd")
    learner = SelectiveTransfer(make_backbone(), Fixed(first), training=training, retention=options)
    learned(learner, tasks[:1])
    center = copied(learner)
    answers = Answers(learner.backbone, 0)
    known = {stage: values for stage, values in shared_knowledge(learner.backbone).items() if first[stage] == "1"}
    names = {(stage, name): value for stage, values in known.items() for name, value in values.items()}
    information = one_by_one(answers, list(names.values()), tasks[0].train, "exact")
    learner.strategy, learner.space = EM(), EM().space(2)
    learner.begin_task(tasks[1])
    learner.begin_epoch()
    with torch.no_grad():  # away from the center
        for values in shared_knowledge(learner.backbone).values():
            for value in values.values():
                value += 0.3 * torch.randn(value.shape, generator=torch.Generator().manual_seed(value.dim()))
    images, labels = tasks[1].train.images[:4], tasks[1].train.labels[:4]
    now, prior = copied(learner), learner.search.log_prior()
    paths = [learner.backbone.path_logits(images, 1, digits=bits) for bits in learner.space.layer_digits]
    entropies = torch.stack([nn.functional.cross_entropy(logits, labels) for logits in paths]).double()
    costs = torch.zeros(2, dtype=torch.float64)
    for (stage, name), f in zip(names, information, strict=True):
        distance = (f * (now[stage][name] - center[stage][name]).square()).sum()
        costs[stage] += weight / 2 * (12 / 8 if count_images else 1) * distance
    bits = torch.tensor(learner.space.layer_digits, dtype=torch.float64)
    q = (prior - 4 * (entropies + bits @ costs)).softmax(0)
    retained = q @ bits @ costs
    assert retained > 1e-4
    torch.testing.assert_close(
        learner.train_step(images, labels).double(), (q * entropies).sum() + retained, rtol=1e-4, atol=1e-6
    )


def test_a_layer_that_no_task_shares_costs_nothing(make_task, make_backbone):
    learner = SelectiveTransfer(make_backbone(), Fixed("01"), training=TRAINING, retention=RetentionOptions())
    assert learner.parameter_counts().beside == 0
    learned(learner, [make_task(seed=seed) for seed in range(2)], epochs=1)
    second = list(shared_knowledge(learner.backbone)[1].values())
    assert learner.parameter_counts().beside == 2 * sum(value.numel() for value in second)


@pytest.mark.parametrize("online", [False, True])
def test_retention_is_resumed_bit_for_bit(make_task, make_backbone, online):
    tasks = [make_task(seed=seed) for seed in range(3)]
    options = RetentionOptions(weight=10.0, online=online)
    one, other = (SelectiveTransfer(make_backbone(), EM(), training=TRAINING, retention=options) for _ in "ab")
    learned(one, tasks[:2])
    one.begin_task(tasks[2])
    one.train_epoch()
    other.restore(one.state(), task=tasks[2])
    for learner in (one, other):
        learner.train_epoch()
        learner.end_task()
    states = one.state(), other.state()
    assert states[0].values == states[1].values
    assert all(torch.equal(value, states[1].tensors[name]) for name, value in states[0].tensors.items())


def test_a_checkpoint_of_the_former_learner_for_ewc_is_read(make_task, make_backbone):
    tasks = [make_task(seed=seed) for seed in range(2)]
    one, other = (EWCOptions().learner(make_backbone(), training=TRAINING) for _ in "ab")
    learned(one, tasks[:1])
    state = one.state()
    most, constants = state.values.pop("most"), state.values.pop("constants")
    del state.values["configurations"]
    state.values |= {"most_kept": most["rollback"], "constant": sum(constants.values())}
    other.restore(state, task=None)
    for learner in (one, other):
        learned(learner, tasks[1:])
    assert other.parameter_counts() == one.parameter_counts()
    for task in range(2):
        assert torch.equal(one.logits(tasks[task].test.images, task), other.logits(tasks[task].test.images, task))
