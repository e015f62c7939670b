"""Dropout and stochastic depth in the modules of stages: on in the M-step, off in evidence and answers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lasem.configurations import ConfigurationSpace, Partition
from lasem.errors import SpecError
from lasem.learners import BruteForce, SelectiveTransfer, Training
from lasem.nn import Backbone, Stage, TransferModule, mlp
from lasem.search import DARTS, EM, CommitAt, Fixed, InTurn, leaf_features, node_bytes, plan
from lasem.seeds import derive_seed
from toys import assert_same, import_timm, shifted_task, through_disk

SHAPE, BATCH = (2, 4, 4), 4


class Functional(nn.Module):
    """Drops by a function, as transformers drop attention."""

    def forward(self, x):
        return F.dropout(x, 0.5, training=self.training)


class Depth(nn.Module):
    """Skips a layer for some images, as torchvision does."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        if not self.training:
            return x + self.layer(x)
        kept = torch.empty(len(x), 1, 1, 1, device=x.device).bernoulli_(0.5)
        return x + 2 * kept * self.layer(x)


class Attention(nn.Module):
    """Attention over positions, with dropout in the fused operation."""

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2).unsqueeze(1)
        mixed = F.scaled_dot_product_attention(tokens, tokens, tokens, dropout_p=0.4 if self.training else 0.0)
        return mixed.squeeze(1).transpose(1, 2).unflatten(2, x.shape[2:])


KINDS = {
    "Dropout": lambda: nn.Dropout(0.5),
    "functional": Functional,
    "stochastic depth": Depth,
    "attention": Attention,
    "DropPath of timm": lambda: import_timm().layers.DropPath(0.5),
    "RReLU": nn.RReLU,
}


def module(inputs, drop, seed=0):
    made = nn.Sequential(nn.Conv2d(inputs, 3, 3, padding=1), nn.Tanh(), drop())
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.4, generator=source)
    return made


def head(features, classes, source):
    return mlp((features, classes), source=source)


def network(drop=Functional, *, last=None):
    modules = [module(2, drop), module(3, last or drop, seed=1)]
    return Backbone([TransferModule(lambda _, made=m: made, own="copy") for m in modules], shape=SHAPE, head=head)


def learner(strategy, drop=Functional, *, keep=0.5, seed=0):
    training = Training(batch_size=BATCH, learning_rate=1e-2, keep=keep)
    make = BruteForce if isinstance(strategy, InTurn) else SelectiveTransfer
    return make(network(drop), strategy, training=training, seed=seed)


def task(seed=0):
    return shifted_task(seed, shape=SHAPE, images=8, identity=seed)


def images(size=5):
    return torch.randn(size, *SHAPE, generator=torch.Generator().manual_seed(2))


def opened(*given, **named):
    backbone = network(*given, **named)
    backbone.begin_task(0, classes=3, uses=[(True, True)] * 2)
    return backbone


@pytest.mark.parametrize("kind", KINDS)
def test_each_node_of_the_m_step_drops_as_its_module_alone_with_the_seed_of_its_path(kind):
    backbone, layout = opened(KINDS[kind]), plan(ConfigurationSpace.full(Partition.single(2)))
    assert backbone.stochastic
    together = leaf_features(backbone, images(9), 0, layout=layout, seed=7)
    off = leaf_features(backbone, images(9), 0, layout=layout)
    before = torch.get_rng_state()
    differs = 0
    for row, path in enumerate(layout.paths[-1]):
        hidden = backbone.enter(images(9))[0]  # masks depend on the layout in memory
        for stage in backbone.iter_stages():
            made = stage.layer.make(None).train()
            torch.manual_seed(derive_seed(derive_seed(7, stage.index), *path[: stage.index + 1]))
            hidden = made(hidden)
        torch.testing.assert_close(together[row], hidden.permute(0, 2, 3, 1).flatten(1))
        differs += not torch.allclose(together[row], off[row])
    assert differs == 4
    assert len({row.sum().item() for row in together}) == 4  # every node drops something else
    torch.set_rng_state(before)


@pytest.mark.parametrize("kind", KINDS)
def test_evidence_and_answers_are_those_of_the_module_in_evaluation_mode(kind):
    backbone, layout = opened(KINDS[kind]), plan(ConfigurationSpace.full(Partition.single(2)))
    hidden = images()
    for stage in backbone.iter_stages():
        hidden = stage.layer.make(None).eval()(hidden)
    for row in leaf_features(backbone, images(), 0, layout=layout):
        torch.testing.assert_close(row, hidden.permute(0, 2, 3, 1).flatten(1))
    backbone.commit((0, 1))
    torch.testing.assert_close(backbone.network(0)(images()), backbone.path_logits(images(), 0, running=True))


STRATEGIES = {
    "fixed": Fixed("all"),
    "EM": EM(m_steps=2),
    "EM that settles": EM(epsilon=0.05, commit_at=CommitAt(prior=0.3)),
    "DARTS": DARTS(),
    "DARTS, second order": DARTS(order="second"),
    "brute force": InTurn(),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_training_with_dropout_resumes_bit_for_bit_and_leaves_the_global_generator_alone(strategy):
    whole, torn = learner(STRATEGIES[strategy]), learner(STRATEGIES[strategy])
    torch.manual_seed(5)
    state = torch.get_rng_state()
    for made in (whole, torn):
        made.begin_task(task())
        if isinstance(made, BruteForce):
            made.turns()
        made.train_epoch()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)  # what others draw in the process does not matter
    again = learner(STRATEGIES[strategy])
    again.restore(through_disk(torn.state()), task=task())
    assert [whole.train_epoch()] == [again.train_epoch()]
    assert_same(whole, again)
    answer = whole.logits(images(), 0)
    assert torch.equal(whole.logits(images(), 0), answer)


def test_another_seed_epoch_or_m_step_drops_something_else():
    made = learner(Fixed("all"), keep=1.0)
    made.begin_task(task())
    made.begin_epoch()
    seeds = [made.task.draw_seed() for _ in range(2)]
    made.end_epoch([torch.zeros(())])
    made.begin_epoch()
    other = learner(Fixed("all"), seed=1)
    other.begin_task(task())
    assert len({*seeds, made.task.draw_seed(), other.task.draw_seed()}) == 4


def test_a_divided_tree_learns_the_same():
    needed = sum(node_bytes(opened(), images(BATCH), 0)) / 2**20
    whole, divided = learner(EM()), learner(EM(memory=1.01 * needed))
    for made in (whole, divided):
        made.begin_task(task())
        made.train_epoch()
    assert len(divided.search._budget.divide((0, 1, 2, 3), divided.search._network, images(BATCH))) == 4
    torch.testing.assert_close(divided.posterior(), whole.posterior())
    values = dict(whole.backbone.named_parameters())
    for name, value in divided.backbone.named_parameters():
        torch.testing.assert_close(value, values[name], rtol=1e-4, atol=1e-6)


def test_the_e_step_is_repeatable_and_the_masks_of_stages_count_as_memory():
    search = learner(EM())
    search.begin_task(task())
    _, first, _ = search.search._expect(images(BATCH), torch.tensor([0, 1, 2, 0]), None)
    _, second, features = search.search._expect(images(BATCH), torch.tensor([0, 1, 2, 0]), None)
    assert torch.equal(first, second)
    assert features is None  # the M-step drops, so it cannot continue from the E-step
    plain, dropping = (sum(node_bytes(opened(kind), images(), 0)) for kind in (nn.Identity, Functional))
    assert dropping > plain


def test_a_stage_without_dropout_beside_one_with_it_runs_all_nodes_at_once():
    backbone = opened(nn.Identity, last=Functional)
    assert [stage.template.stochastic for stage in backbone.iter_stages()] == [False, True]


class Always(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5)


class Private(nn.Module):
    def __init__(self):
        super().__init__()
        self.source = torch.Generator(device="cpu")

    def forward(self, x):
        return x * torch.rand((), generator=self.source) if self.training else x


class Layerwise(nn.Module):
    def forward(self, x):
        import random

        return x if self.training and random.random() < 0.5 else 2 * x


@pytest.mark.parametrize(
    ("drop", "words"),
    [
        (Always, "must not draw random numbers in evaluation mode"),
        (Private, "must draw random numbers from torch's global generator"),
        (Layerwise, "must draw random numbers with torch"),
    ],
)
def test_random_numbers_that_a_seed_cannot_decide_are_refused(drop, words):
    with pytest.raises(SpecError, match=words):
        network(drop)


def test_capture_and_heads_refuse_dropout():
    with pytest.raises(SpecError, match=r"to be captured, without dropout in stages"):
        SelectiveTransfer(network(), Fixed("all"), capture=True)
    backbone = Backbone(
        [TransferModule(lambda _: module(2, nn.Identity))],
        shape=SHAPE,
        head=lambda features, classes, _: nn.Sequential(nn.Dropout(0.1), nn.Linear(features, classes)),
    )
    with pytest.raises(
        SpecError, match=r"a head must not contain dropout .*Dropout at '0' with p = 0.1.*training.keep"
    ):
        backbone.begin_task(0, classes=3, uses=[(True, True)])


def test_a_module_that_needs_values_to_run_is_taken_for_one_that_drops():
    class Conditional(nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.5, training=self.training) if x.sum() > -1e9 else x

    stage = Stage(TransferModule(lambda _: Conditional(), output=lambda shape: shape), index=0, seed=0)
    assert stage.output_shape((2, 3)) == (2, 3)
    stage.add_task(0, own=True, shared=True, place=lambda made: made)
    x = torch.ones(1, 4, 2, 3)
    assert torch.equal(stage.fork(0, trial=True).branch(0)(x), x)
    dropped = stage.fork(0, trial=True, seed=3).branch(0)(x)
    assert 0 < int((dropped == 0).sum()) < x.numel()
    assert torch.equal(stage.fork(0, trial=True, seed=3).branch(0)(x), dropped)
