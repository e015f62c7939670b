"""What holds of every mechanism inside a learner: how often kernels are read, how penalties enter, what is held."""

import pytest
import torch

from lasem.benchmarks import Split, Task
from lasem.configurations import ConfigurationSpace, Partition
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import MECHANISMS, Conv, DeconvolutionalFactorization, HardParameterSharing, Network, TensorFactorization
from lasem.search import EM, Fixed, cross_entropies

SHAPE, CLASSES, BATCH = (2, 6, 6), 3, 4
CONVOLUTIONS = [(2, 4, 3), (4, 5, 3), (5, 3, 5)]
"""(in, out, kernel)."""
HEAD = 3 * 3 * 3 * CLASSES + CLASSES
NETWORK = Network(tuple(Conv(k, o, pool=2 if k == 5 else 1) for _, o, k in CONVOLUTIONS), hidden=())


def task(seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(12, *SHAPE, generator=generator, dtype=torch.float64)
    split = Split(images=images, labels=torch.arange(12) % CLASSES)
    return Task(name=f"toy {seed}", classes=CLASSES, train=split, valid=split, test=split)


def learner(mechanism, strategy, **options):
    backbone = NETWORK.build(SHAPE, mechanism=mechanism).double()
    return SelectiveTransfer(backbone, strategy, training=Training(batch_size=BATCH, keep=1.0, **options))


def batch():
    split = task().train
    return split.images[:BATCH], split.labels[:BATCH]


# Kernels


@pytest.mark.parametrize("strategy", [EM(), EM(partition=Partition.parse("{1,3},{2}")), EM(m_steps=3), Fixed("all")])
@pytest.mark.parametrize("name", MECHANISMS)
def test_a_kernel_is_read_once_per_layer_and_optimizer_step(name, strategy, monkeypatch):
    made = learner(MECHANISMS[name](), strategy)
    reader = type(made.backbone.stages[0].sharing) if name == "hps" else MECHANISMS[name]  # HPS generates no kernel
    calls, read = [], reader.read

    def counted(self, shared, mapping):
        calls.append(1)
        return read(self, shared, mapping)

    monkeypatch.setattr(reader, "read", counted)
    made.begin_task(task())
    made.begin_epoch()
    for _ in range(2):
        calls.clear()
        made.train_step(*batch())
        assert len(calls) == len(CONVOLUTIONS) * (strategy.m_steps if isinstance(strategy, EM) else 1)


# Penalties


def penalties(backbone):
    """Weight times |U^T U - I| of every layer's factors, by hand."""
    found = []
    for stage in backbone.stages:
        mapping = stage.mapping["0"]
        factors = [mapping[name] for name in ("height", "width", "inputs", "outputs")]
        found.append(sum(torch.linalg.norm(u.T @ u - torch.eye(len(u), dtype=u.dtype)).item() for u in factors))
    return found


@pytest.mark.parametrize("text", ["{1},{2},{3}", "{1,3},{2}"])
def test_a_penalty_enters_weighted_by_the_posterior_mass_that_shares_its_layer(text):
    partition = Partition.parse(text)
    made = learner(TensorFactorization(penalty_weight=0.05), EM(partition=partition))
    made.begin_task(task())
    made.begin_epoch()
    images, labels = batch()
    space = ConfigurationSpace.full(partition)
    before = penalties(made.backbone)
    logits = torch.stack([made.backbone.path_logits(images, 0, digits=bits) for bits in space.layer_digits]).detach()
    loss = made.train_step(images, labels)
    q = made.posterior().tolist()
    expected = sum(p * float(value) for p, value in zip(q, cross_entropies(logits, labels), strict=True))
    for layer, penalty in enumerate(before):
        mass = sum(p for p, bits in zip(q, space.layer_digits, strict=True) if bits[layer])
        assert 0 < mass < 1
        expected += mass * 0.05 * penalty
    assert loss.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("configuration", "layers"), [("all", (0, 1, 2)), ("top-1", (2,)), ("110", (0, 1))])
def test_a_fixed_strategy_adds_the_penalties_of_the_layers_that_it_shares(configuration, layers):
    losses = []
    for weight in (0.0, 0.05):
        made = learner(TensorFactorization(penalty_weight=weight), Fixed(configuration))
        made.begin_task(task())
        made.begin_epoch()
        held = [stage.index for stage in made.backbone.stages if "0" in stage.mapping]
        assert tuple(held) == layers
        total = sum(term.item() for _, term in made.backbone.penalties(0))
        losses.append(made.train_step(*batch()).item())
    assert total > 0
    assert losses[1] - losses[0] == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("mechanism", [HardParameterSharing(), DeconvolutionalFactorization()])
def test_other_mechanisms_have_no_penalty(mechanism):
    made = learner(mechanism, EM())
    made.begin_task(task())
    assert made.backbone.penalties(0) == []


# What is held (LASEM, appendix E)


def convolution(c, o, k):
    return k * k * c * o + o


def counts(name, c, o, k):
    """(shared S, mapping A) of a layer."""
    if name == "hps":
        return convolution(c, o, k), 0
    if name == "tf":
        return k * k * c * o, 2 * k * k + c * c + o * o + o
    if name == "lora":
        rank = min(8, o, k * k * c)
        return convolution(c, o, k), rank * (k * k * c + o)
    base, spread, height = round((c + o) / 3), round(2 * (c + o) / 3), (k + 1) // 2
    return height**2 * base, 9 * base * spread + spread + spread * c * o + o


@pytest.mark.parametrize("name", MECHANISMS)
def test_while_it_searches_lasem_trains_shared_knowledge_mappings_and_own_branches_and_keeps_one_copy_aside(name):
    shared, mapping = (sum(column) for column in zip(*(counts(name, *layer) for layer in CONVOLUTIONS), strict=True))
    own = sum(convolution(*layer) for layer in CONVOLUTIONS)
    made = learner(MECHANISMS[name](), EM())
    made.begin_task(task())
    found = made.parameter_counts()
    assert found.search == shared + mapping + own + HEAD
    assert found.rollback == shared
    assert found.shared == shared
    trained = [value for group in made.task.optimizer.param_groups for value in group["params"]]
    assert sum(value.numel() for value in trained) == found.search
    assert sum(value.numel() for value in made.backbone.parameters()) == found.search + found.rollback


@pytest.mark.parametrize("bits", [(0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1)])
@pytest.mark.parametrize("name", MECHANISMS)
def test_after_the_commit_only_what_the_configuration_needs_is_held(name, bits):
    made = learner(MECHANISMS[name](), EM(candidates=(bits, tuple(1 - bit for bit in bits))))
    made.begin_task(task())
    made.backbone.commit(bits)
    layers = list(zip(bits, CONVOLUTIONS, strict=True))
    expected = sum(counts(name, *layer)[1] if bit else convolution(*layer) for bit, layer in layers) + HEAD
    found = made.parameter_counts()
    shared = sum(counts(name, *layer)[0] for layer in CONVOLUTIONS)
    assert found.per_task == [expected]
    assert sum(value.numel() for value in made.backbone.parameters()) == shared + expected


@pytest.mark.parametrize("name", MECHANISMS)
def test_memory_of_a_stream_stays_within_the_bound_of_appendix_e(name):
    made = learner(MECHANISMS[name](), EM(), learning_rate=1e-2)
    layers = [(*counts(name, *layer), convolution(*layer)) for layer in CONVOLUTIONS]
    shared, most = sum(s for s, _, _ in layers), sum(max(a, b) for _, a, b in layers) + HEAD
    for number in range(1, 4):
        made.begin_task(task(number))
        searching = sum(value.numel() for value in made.backbone.parameters())
        assert searching - shared <= shared + (number + 1) * most  # the roll-back copy apart
        made.train_epoch()
        made.end_task()
        found = made.parameter_counts()
        assert found.shared + sum(found.per_task) <= shared + number * most
