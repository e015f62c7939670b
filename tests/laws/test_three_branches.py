"""Three branches per stage, and the kinds of own branches: the tree, EM, commits, resuming, and what is stored."""

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lasem.benchmarks import Split
from lasem.configurations import ConfigurationSpace, Partition
from lasem.errors import LasemError, SpecError
from lasem.learners import BruteForce, SelectiveTransfer
from lasem.nn import Backbone, LoRA, TransferModule, mlp
from lasem.search import DARTS, EM, Fixed, InTurn
from lasem.testing import learn_task, make_task, tree_logits
from lasem.testing._toys import assert_same_state
from lasem.training import Training

CLASSES = 3
KINDS = ("new", "copy", "initial", "lora", "norms")
SPACE = ConfigurationSpace.full(Partition.single(3), branches=3)
TRAINING = Training(batch_size=6, epochs=2, learning_rate=0.05, keep=1.0)


class Normed(nn.Module):
    """A convolution, a norm over channels, and a linear layer over them."""

    def __init__(self, source):
        super().__init__()
        self.conv = nn.utils.skip_init(nn.Conv2d, 4, 4, 3, padding=1)
        self.norm, self.linear = nn.LayerNorm(4), nn.utils.skip_init(nn.Linear, 4, 4)
        for parameter in (*self.conv.parameters(), *self.linear.parameters()):
            nn.init.normal_(parameter, std=0.4, generator=source)

    def forward(self, x):
        return F.relu(self.linear(self.norm(self.conv(x).movedim(1, -1))).movedim(-1, 1))


def stem(source):
    conv = nn.utils.skip_init(nn.Conv2d, 1, 4, 3, padding=1)
    for parameter in conv.parameters():
        nn.init.normal_(parameter, std=0.4, generator=source)
    return nn.Sequential(conv, nn.Tanh())


def build(own="new", *, mechanism=None, frozen=True, rank=1, seed=3):
    def stage(make):
        options = {} if mechanism is None else {"mechanism": mechanism}
        return TransferModule(make, own=own, frozen=frozen, low_rank=LoRA(rank=rank), **options)

    def head(features, classes, source):
        return mlp((features, classes), source=source)

    return Backbone([stage(stem), stage(Normed), stage(Normed)], shape=(1, 4, 4), head=head, seed=seed)


def tasks():
    return [make_task(seed=seed, shape=(1, 4, 4)) for seed in range(3)]


def opened(own="new", **options):
    """A backbone in double precision, after a first task, with all parameters of the second one moved."""
    backbone = build(own, **options).double()
    for task in (0, 1):
        backbone.begin_task(task, classes=CLASSES, uses=[(True, True, True)] * 3)
        source = torch.Generator().manual_seed(task)
        with torch.no_grad():
            for parameter in backbone.task_parameters(task):
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=source, dtype=torch.float64))
        if task == 0:
            backbone.commit((1, 0, 2))
    return backbone


IMAGES = torch.randn(5, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(5) % CLASSES


@pytest.mark.parametrize("mechanism", [None, LoRA(rank=2)])
@pytest.mark.parametrize("own", KINDS)
def test_the_tree_of_three_branches_answers_as_each_path_alone(own, mechanism):
    backbone = opened(own, mechanism=mechanism)
    together = tree_logits(backbone, IMAGES, 1, space=SPACE)
    assert len(together) == 27
    for logits, digits in zip(together, SPACE.layer_digits, strict=True):
        alone = backbone.path_logits(IMAGES, 1, digits=digits)
        torch.testing.assert_close(logits, alone, rtol=1e-12, atol=1e-12)
    distinct = {tuple(row.flatten().tolist()) for row in together}
    assert len(distinct) == 27 or own == "norms"  # without a norm, the first stage's own branch is the frozen one


def test_a_listed_space_takes_only_the_branches_that_it_names():
    backbone, listed = opened("lora"), ConfigurationSpace(Partition.single(3), ((2, 2, 0), (2, 1, 1), (2, 2, 2)), 3)
    assert listed.uses == ((False, False, True), (False, True, True), (True, True, True))
    for logits, digits in zip(tree_logits(backbone, IMAGES, 1, space=listed), listed.candidates, strict=True):
        torch.testing.assert_close(logits, backbone.path_logits(IMAGES, 1, digits=digits), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("own", ["copy", "lora"])
def test_an_em_step_is_that_of_a_naive_twin(own):
    learner = SelectiveTransfer(build(own, seed=1).double(), EM(evidence="mean"), training=TRAINING)
    task = make_task(shape=(1, 4, 4), train=6)
    splits = {n: Split(images=split.images.double(), labels=split.labels) for n, split in task.splits.items()}
    task, images, labels = replace(task, **splits), splits["train"].images, splits["train"].labels
    learner.begin_task(task)
    backbone = learner.backbone
    with torch.no_grad():
        for parameter in backbone.task_parameters(0):
            parameter.mul_(1.1).add_(0.01)
    paths = [backbone.path_logits(images, 0, digits=digits) for digits in itertools.product(range(3), repeat=3)]
    losses = [F.cross_entropy(logits, labels, reduction="none") for logits in paths]
    evidence = torch.stack([loss.detach().neg().exp().mean() for loss in losses])
    q = evidence / evidence.sum()
    assert 0.01 < q.max() < 0.5
    weights = backbone.task_parameters(0)
    expected = torch.autograd.grad(
        sum(w * loss.mean() for w, loss in zip(q, losses, strict=True)), weights, allow_unused=True
    )
    found = {}
    hooks = [w.register_post_accumulate_grad_hook(lambda p: found.update({id(p): p.grad.clone()})) for w in weights]
    learner.train_epoch()
    torch.testing.assert_close(learner.posterior(), q, rtol=1e-9, atol=1e-12)
    for weight, gradient in zip(weights, expected, strict=True):
        if gradient is not None:
            torch.testing.assert_close(found[id(weight)], gradient, rtol=1e-8, atol=1e-12)
    assert len(found) == len(hooks) > 0
    status = learner.status()
    assert status.branch_marginals.sum(1).tolist() == pytest.approx([1, 1, 1])
    assert (status.branch_marginals[:, 1] == status.marginals).all()


@pytest.mark.parametrize(("own", "like"), [("initial", 2), ("copy", 1)])
def test_own_branches_start_at_the_initial_or_at_the_shared_values(own, like):
    backbone = opened(own)
    backbone.commit((1, 1, 1))
    backbone.begin_task(2, classes=CLASSES, uses=[(True, True, True)] * 3)
    mine, *others = (backbone.path_logits(IMAGES, 2, digits=(digit,) * 3) for digit in range(3))
    assert [torch.allclose(mine, other, rtol=1e-12) for other in others] == [like == 1, like == 2]


@pytest.mark.parametrize("digits", [(0, 0, 0), (1, 1, 1), (2, 0, 1), (2, 2, 2)])
@pytest.mark.parametrize("own", ["lora", "norms"])
def test_a_network_of_a_task_has_plain_merged_weights(own, digits):
    backbone = opened(own, mechanism=LoRA(rank=2))
    before = backbone.path_logits(IMAGES, 1, digits=digits)
    backbone.commit(digits)
    network = backbone.network(1)
    torch.testing.assert_close(network(IMAGES), before, rtol=1e-12, atol=1e-12)
    names = {name.split(".", 1)[1] for name, _ in network.named_parameters() if name.startswith(("1.", "2."))}
    assert names == {f"{part}.{kind}" for part in ("conv", "norm", "linear") for kind in ("weight", "bias")}


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(5, 4), (3, 5)),
        (nn.Conv1d(4, 6, 3, groups=2), (3, 4, 7)),
        (nn.Conv2d(4, 4, 3, groups=4), (3, 4, 5, 5)),
        (nn.Conv3d(2, 3, 2), (3, 2, 4, 4, 4)),
    ],
)
def test_low_rank_starts_at_the_shared_weight_and_adds_a_product(layer, shape):
    lora, source = LoRA(rank=2, alpha=3.0), torch.Generator().manual_seed(0)
    shared, mapping = lora.new_shared(layer, source), lora.new_mapping(layer, source)
    assert torch.equal(lora.read(shared, mapping)["weight"], layer.weight)
    with torch.no_grad():
        mapping["up"].normal_(generator=source)
    weight, x = lora.read(shared, mapping)["weight"], torch.randn(shape, generator=source)
    change = (weight - layer.weight).flatten(1)
    assert torch.linalg.matrix_rank(change, rtol=1e-4) == 2
    torch.testing.assert_close(change, 1.5 * mapping["up"] @ mapping["down"])
    assert torch.func.functional_call(layer, {"weight": weight}, (x,)).shape == layer(x).shape


@pytest.mark.parametrize("own", KINDS)
def test_a_resumed_search_continues_bit_for_bit(own):
    stream = tasks()
    learner = SelectiveTransfer(build(own), EM(), training=TRAINING)
    learn_task(learner, stream[0])
    learner.begin_task(stream[1])
    learner.train_epoch()
    resumed = SelectiveTransfer(build(own), EM(), training=TRAINING)
    resumed.restore(learner.state(), task=stream[1])
    for one in (learner, resumed):
        one.train_epoch()
        one.end_task()
    assert_same_state(learner.state(), resumed.state())


@pytest.mark.parametrize("own", KINDS)
def test_older_answers_change_only_where_something_that_they_read_was_committed(own):
    stream, backbone = tasks(), build(own)
    initial = [{n: b.clone() for n, b in stage.initial.named_buffers()} for stage in backbone.iter_stages()]
    answers = {}
    for number, (task, digits) in enumerate(zip(stream, ("102", "012", "221"), strict=True)):
        learner = SelectiveTransfer(backbone, Fixed(digits), training=TRAINING)
        learner.task.order = list(range(number))
        learn_task(learner, task)
        answers[number] = backbone.path_logits(task.test.images, number, running=True)
        for earlier in range(number):  # no two of them share the same stage
            again = backbone.path_logits(stream[earlier].test.images, earlier, running=True)
            assert torch.equal(again, answers[earlier])
    assert backbone.configurations == {0: (1, 0, 2), 1: (0, 1, 2), 2: (2, 2, 1)}
    for stage, before in zip(backbone.iter_stages(), initial, strict=True):
        assert all(torch.equal(buffer, before[name]) for name, buffer in stage.initial.named_buffers())


def test_frozen_stages_in_front_store_nothing_for_a_backward_pass():
    backbone, digits = opened("copy"), [(2, 2, 0), (2, 2, 1), (2, 2, 2)]
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        branches = [fork.branch(2) for fork in backbone.forks(1)]
        hidden = branches[1](branches[0](backbone.enter(IMAGES)))
    assert (saved, hidden.requires_grad) == ([], False)
    logits = tree_logits(backbone, IMAGES, 1, space=ConfigurationSpace(Partition.single(3), tuple(digits), 3))
    front = [p for n, p in backbone.named_parameters() if n.startswith(("stages.0", "stages.1")) and p.requires_grad]
    assert all(g is None for g in torch.autograd.grad(logits.sum(), front, allow_unused=True))


def test_low_rank_norms_and_frozen_branches_hold_little():
    sizes = {}
    for own in KINDS:
        for name in ("none", "frozen"):
            learner = SelectiveTransfer(build(own), Fixed(name), training=TRAINING)
            learn_task(learner, tasks()[0])
            counts = learner.parameter_counts()
            sizes[own, name] = (counts.shared, counts.per_task[0] - (4 * 4 * 4 + 1) * CLASSES)
    stages = 40 + 2 * (148 + 8 + 20)
    assert sizes["new", "none"] == sizes["copy", "none"] == (0, stages)
    assert sizes["lora", "none"] == (stages, (4 + 9) + 2 * (4 + 36 + 4 + 4))
    assert sizes["norms", "none"] == (stages, 2 * 8)
    assert all(sizes[own, "frozen"] == (stages, 0) for own in KINDS)


def test_a_differentiable_search_mixes_three_branches_and_commits_one():
    learner = SelectiveTransfer(build("lora"), DARTS(held_out="none"), training=TRAINING)
    stream = tasks()
    learner.begin_task(stream[0])
    learner.train_epoch()
    search = learner.search
    assert search.alpha.shape == (3, 3)
    assert search.prior().sum() == pytest.approx(1)
    search.alpha.copy_(torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 2, 1]]))
    assert learner.configuration(0) == (0, 2, 1)
    search.alpha.copy_(torch.tensor([[0.0, 0, 900], [0, 900, 0], [900, 0, 0]]))
    mixed = search._loss(
        (stream[0].train.images, stream[0].train.labels),
        search.alpha,
        search._noise(learner.task, (stream[0].train.images, stream[0].train.labels)),
    )
    alone = F.cross_entropy(
        learner.backbone.path_logits(stream[0].train.images, 0, digits=(2, 1, 0)), stream[0].train.labels
    )
    torch.testing.assert_close(mixed, alone)
    learner.end_task()
    assert learner.configuration(0) == (2, 1, 0)


def test_brute_force_tries_frozen_layers_too():
    learner = BruteForce(build("norms"), InTurn(candidates=((2, 2, 2), (2, 2, 0))), training=TRAINING)
    learn_task(learner, tasks()[0])
    assert learner.configuration(0) in {(2, 2, 2), (2, 2, 0)}
    with pytest.raises(SpecError, match=r"first_task must be searched .*own='copy'"):
        BruteForce(build("lora"), InTurn(first_task="as-second"))


def test_a_frozen_branch_must_be_offered_by_all_stages_and_is_refused_without():
    with pytest.raises(SpecError, match="2 needs a network that offers the frozen branch"):
        SelectiveTransfer(build(frozen=False), EM(candidates=((0, 1, 2),)))
    with pytest.raises(SpecError, match="or a network that offers the frozen branch"):
        SelectiveTransfer(build(frozen=False), Fixed("frozen"))
    layers = [TransferModule(stem, frozen=True), TransferModule(Normed)]
    with pytest.raises(SpecError, match="must offer the frozen branch, or none"):
        Backbone(layers, shape=(1, 4, 4), head=lambda *_: nn.Identity())
    with pytest.raises(LasemError, match="must offer the frozen branch for a task"):
        build(frozen=False).begin_task(0, classes=2, uses=[(True, False, True)] * 3)
