"""Retention in every strategy: both steps of EM read the density that earlier tasks leave for shared knowledge."""

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal

from lasem import learn
from lasem.benchmarks import TaskStream
from lasem.errors import SpecError
from lasem.learners import BruteForce, RetentionOptions, SelectiveTransfer, Training
from lasem.nn import MECHANISMS, Conv, Network
from lasem.records import DecisionRecord
from lasem.runs import resolve
from lasem.search import DARTS, EM, CommitAt, Fixed, InTurn, Quadratic, RetentionPenalty, shared_knowledge

TRAINING = Training(batch_size=4, learning_rate=1e-2, keep=1.0, epochs=2)


def backbone(mechanism="hps"):
    layers = (Conv(3, 3, pool=2), Conv(3, 3))
    return Network(layers, hidden=()).build((1, 6, 6), mechanism=MECHANISMS[mechanism]())


def make(strategy, retention, *, mechanism="hps", **options):
    kind = BruteForce if isinstance(strategy, InTurn) else SelectiveTransfer
    return kind(backbone(mechanism), strategy, training=TRAINING, retention=retention, **options)


def trained(learner, tasks, *, epochs=2):
    for task in tasks:
        learner.begin_task(task)
        for turn in range(len(learner.turns() or "1") if isinstance(learner, BruteForce) else 1):
            for _ in range(epochs):
                learner.train_epoch()
            if isinstance(learner, BruteForce):
                learner.end_turn(1 / (1 + turn))
        learner.end_task()
    return learner


@pytest.mark.parametrize("strategy", [EM(), DARTS(held_out="none"), InTurn(candidates=((1, 1), (0, 1)))])
def test_weight_zero_is_the_search_without_retention_bit_for_bit(make_task, strategy):
    tasks = [make_task(seed=seed) for seed in range(3)]
    one, other = (trained(make(strategy, option), tasks) for option in (RetentionOptions(weight=0), None))
    for name, value in one.backbone.state_dict().items():
        assert torch.equal(value, other.backbone.state_dict()[name])


@pytest.mark.parametrize("strategy", [EM(), DARTS(held_out="none"), InTurn(candidates=((1, 1), (1, 0)))])
@pytest.mark.parametrize("mechanism", ["hps", "tf", "dfcnn"])
def test_retention_moves_less_of_what_an_earlier_task_shares(make_task, strategy, mechanism):
    """The same second task from the same start; the first task shares both stages."""
    tasks, moved = [make_task(seed=seed) for seed in range(2)], []
    for weight in (0.0, 1e3):
        learner = make(InTurn(candidates=((1, 1),)), RetentionOptions(weight=1e-9), mechanism=mechanism)
        trained(learner, tasks[:1])
        first = learner.backbone
        start = {name: value.detach().clone() for name, value in shared_knowledge(first)[0].items()}
        second = make(strategy, RetentionOptions(weight=weight), mechanism=mechanism)
        quadratics = learner._inner.retention.quadratics
        inner = second._inner if isinstance(second, BruteForce) else second
        inner.retention.quadratics = quadratics
        second.backbone.load_state_dict(first.state_dict(), strict=False)
        second.begin_task(tasks[1])
        for _ in range(3):
            second.train_epoch()
        now = shared_knowledge(second.backbone)[0]
        moved.append(sum(float((now[name].detach() - value).square().sum()) for name, value in start.items()))
    assert moved[1] < moved[0]


@pytest.mark.parametrize("evidence", ["product", "mean"])
@pytest.mark.parametrize("mechanism", ["tf", "dfcnn"])
def test_posterior_of_any_mechanism_equals_that_of_candidates_one_by_one(make_task, mechanism, evidence):
    tasks = [make_task(seed=0, train=12), make_task(seed=1, train=8)]
    learner = make(EM(evidence=evidence, candidates=((1, 1),)), RetentionOptions(weight=3.0), mechanism=mechanism)
    trained(learner, tasks[:1])
    learner.strategy = EM(evidence=evidence)
    learner.space = learner.strategy.space(2)
    learner.begin_task(tasks[1])
    with torch.no_grad():
        for values in shared_knowledge(learner.backbone).values():
            for value in values.values():
                value += 0.2
    images, labels = tasks[1].train.images[:4], tasks[1].train.labels[:4]
    expected = []
    for bits in learner.space.layer_digits:
        log_p = -F.cross_entropy(
            learner.backbone.path_logits(images, 1, digits=bits).double(), labels, reduction="none"
        )
        log_evidence = log_p.sum() if evidence == "product" else log_p.exp().mean().log()
        for stage, bit in enumerate(bits):
            quadratic, values = learner.retention.quadratics[stage], shared_knowledge(learner.backbone)[stage]
            for name, precision in quadratic.precision.items():
                cost = bit * 3.0 / 2 / 8 * (precision * (values[name] - quadratic.center[name]).square()).sum()
                log_evidence = log_evidence - (4 if evidence == "product" else 1) * cost
        expected.append(log_evidence.detach())
    learner.begin_epoch()
    learner.train_step(images, labels)
    torch.testing.assert_close(
        learner.search.log_posterior.exp(), torch.stack(expected).softmax(0), rtol=1e-4, atol=1e-6
    )


def test_evidence_of_an_epoch_equals_the_closed_form_of_a_gaussian_model():
    """Tasks observe theta with unit noise: the posterior of earlier ones is normal, and a sum of their quadratics."""
    network = backbone()
    network.begin_task(0, classes=2, uses=[(True, True)] * 2)
    theta = shared_knowledge(network)[0]
    means = [{name: torch.full_like(value, mean) for name, value in theta.items()} for mean in (0.3, -0.5)]
    counts, quadratic = (20, 30), Quadratic()
    for count, mean in zip(counts, means, strict=True):
        quadratic = quadratic.plus({name: torch.full_like(value, float(count)) for name, value in theta.items()}, mean)
    batch, images = 5, 40
    penalty = RetentionPenalty({0: quadratic}, weight=1 / images)
    sharing = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    found = (
        (images // batch) * batch * penalty.log_prior(network, sharing)
    )  # the batches of one epoch, of B images each
    expected = 0.0
    for count, mean in zip(counts, means, strict=True):
        for name, value in theta.items():
            normal = Normal(mean[name].double(), count**-0.5)
            theta_now = value.detach().double()
            expected += float((normal.log_prob(theta_now) - normal.log_prob(mean[name].double())).sum())
    torch.testing.assert_close(found, torch.tensor([0, expected, 0, expected], dtype=torch.float64), rtol=1e-5, atol=0)


@pytest.mark.parametrize("moved", [False, True])
def test_an_unbounded_weight_leaves_only_sharing_without_a_change(make_task, moved):
    learner = make(EM(candidates=((1, 1),)), RetentionOptions(weight=1.0))
    trained(learner, [make_task(seed=0)])
    learner.strategy, learner.space = EM(), EM().space(2)
    learner.begin_task(make_task(seed=1))
    learner.begin_epoch()
    with torch.no_grad():
        quadratic = learner.retention.quadratics[0]
        for name, value in shared_knowledge(learner.backbone)[0].items():
            quadratic.precision[name].fill_(1e25)
            value += 0.1 * moved
    images, labels = make_task(seed=1).train.images[:4], make_task(seed=1).train.labels[:4]
    learner.train_step(images, labels)
    shares = learner.search.log_posterior.exp() @ torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    assert float(shares) == 0 if moved else float(shares) > 0.1


def test_older_information_fades_as_the_decay_says_and_keeps_its_center(make_task):
    kept = []
    for decay in (1.0, 0.5):
        learner = make(EM(candidates=((1, 1),)), RetentionOptions(weight=1e-12, decay=decay))
        quadratics = []
        for seed in range(2):
            trained(learner, [make_task(seed=seed)])
            quadratics.append(learner.retention.quadratics[0])
        kept.append([quadratic.precision["weight"] for quadratic in quadratics])
    (first, whole), (same, faded) = kept
    torch.testing.assert_close(first, same)
    torch.testing.assert_close(faded, whole - 0.5 * first, rtol=1e-4, atol=1e-7)


def test_brute_force_resumes_with_retention_and_forgets_what_no_task_reads(make_task):
    tasks = [make_task(seed=seed) for seed in range(3)]
    strategy, retention = InTurn(candidates=((1, 0), (1, 1)), first_task="as-second"), RetentionOptions(weight=10.0)
    learner = trained(make(strategy, retention), tasks[:2])
    assert learner.backbone.configurations == {0: (1, 0), 1: (1, 0)}
    assert learner._inner.retention.quadratics.keys() == {0}
    learner.begin_task(tasks[2])
    learner.train_epoch()
    other = make(strategy, retention)
    other.restore(learner.state(), task=tasks[2])
    for one in (learner, other):
        one.train_epoch()
    assert learner.retained() == other.retained() is not None
    for name, value in learner.backbone.state_dict().items():
        assert torch.equal(value, other.backbone.state_dict()[name])


@pytest.mark.parametrize("opened", [False, True])
def test_knowledge_that_was_replaced_is_held_no_longer_and_the_other_stages_are(make_task, opened):
    tasks = [make_task(seed=seed) for seed in range(2)]
    learner = trained(make(Fixed("all"), RetentionOptions(weight=100)), tasks[:1])
    given = {"stages.1.shared.weight": torch.ones_like(shared_knowledge(learner.backbone)[1]["weight"])}
    if opened:
        learner.begin_task(tasks[1])
    learner.load_knowledge(given)
    if not opened:
        learner.begin_task(tasks[1])
    assert list(learner.retention.quadratics) == [0]
    learner.train_epoch()
    held = learner.retained()
    assert held.held[0] > 0 == held.held[1]
    assert held.cost[0] > 0 == held.cost[1]


def test_decisions_record_how_much_each_stage_is_held_and_what_moving_it_costs(make_task):
    learner = make(EM(candidates=((1, 0),), commit_at=CommitAt(share=0.5)), RetentionOptions(weight=2.0))
    outcome = learn(learner, TaskStream.of([make_task(seed=seed) for seed in range(2)]), epochs=2)
    first, second = (event for event in outcome.events if isinstance(event, DecisionRecord))
    assert first.held is None
    assert second.held[0] > 0 < second.moving_cost[0]
    assert second.held[1] == second.moving_cost[1] == 0


def test_a_spec_chooses_retention_and_is_another_experiment_then():
    plain, retained = resolve("digits/lasem-hps"), resolve("digits/lasem-hps-retained")
    assert plain.retention is None
    assert "retention" not in plain.sections
    assert retained.retention == RetentionOptions(weight=retained.retention.weight)
    same = resolve("digits/lasem-hps", ["retention.kind=laplace"])
    assert same.retention == RetentionOptions()
    assert same.digest != plain.digest
    assert resolve("digits/hps", ["retention.weight=0.5"]).retention.weight == 0.5
    for wrong in ("retention.kind=gauss", "retention.wait=1"):
        with pytest.raises(SpecError, match="retention"):
            resolve("digits/lasem-hps", [wrong])
    with pytest.raises(SpecError, match=r"\[retention\] is read by the learner selective"):
        resolve("digits/ewc", ["retention.weight=1"])
