from dataclasses import replace

import pytest
import torch
from torch import nn

from lasem.errors import LasemError, SpecError
from lasem.nn import MECHANISMS, Conv, Network, TransferModule
from lasem.testing import SMALL_NETWORKS

BOTH, OWN, SHARED = (True, True), (True, False), (False, True)
IMAGES = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(3))


def shift(parameters):
    """Stands in for training: every parameter moves."""
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(0.01)


def learn(backbone, task, bits, *, classes=3, uses=None):
    backbone.begin_task(task, classes=classes, uses=uses or [BOTH] * len(backbone.stages))
    shift(backbone.task_parameters(task))
    backbone.commit(bits)


# The open task


def test_a_task_opens_with_a_trial_copy_fresh_branches_and_a_head(make_backbone):
    backbone = make_backbone()
    backbone.begin_task(7, classes=5, uses=[BOTH, BOTH])
    assert backbone.learning == 7
    for stage in backbone.stages:
        assert list(stage.own) == list(stage.mapping) == ["7"]
        assert torch.equal(stage.trial["weight"], stage.shared["weight"])
        assert stage.trial["weight"].data_ptr() != stage.shared["weight"].data_ptr()
    assert backbone.heads["7"][-1].out_features == 5


def test_a_task_opens_only_the_branches_that_it_may_use(make_backbone):
    backbone = make_backbone()
    backbone.begin_task(0, classes=3, uses=[OWN, SHARED])
    first, second = backbone.stages
    assert (list(first.own), list(first.mapping), first.trial) == (["0"], [], None)
    assert (list(second.own), list(second.mapping)) == ([], ["0"])
    assert second.trial is not None


def test_an_open_task_trains_trial_copies_branches_and_head_but_no_knowledge(make_backbone):
    backbone = make_backbone()
    learn(backbone, 0, (0, 1))
    backbone.begin_task(1, classes=3, uses=[BOTH, OWN])
    names = {id(p): name for name, p in backbone.named_parameters()}
    trained = {names[id(p)] for p in backbone.task_parameters(1)}
    kernel = ("weight", "bias")
    expected = {f"stages.{place}.{part}" for place in ("0.trial", "0.own.1", "1.own.1") for part in kernel}
    assert trained == expected | {f"heads.1.0.{part}" for part in kernel}


def test_a_second_open_task_is_refused_with_both_named(make_backbone):
    backbone = make_backbone()
    backbone.begin_task(3, classes=3, uses=[BOTH, BOTH])
    with pytest.raises(LasemError, match=r"\(got task 4 while task 3 is open\); commit or abandon that first"):
        backbone.begin_task(4, classes=3, uses=[BOTH, BOTH])


def test_a_commit_without_an_open_task_is_refused(make_backbone):
    with pytest.raises(LasemError, match=r"a task must be open to be committed \(got none\); call begin_task first"):
        make_backbone().commit((1, 1))


# Commit


@pytest.mark.parametrize("bits", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_commit_keeps_one_branch_per_stage_and_frees_the_rest(make_backbone, bits):
    backbone = make_backbone()
    learn(backbone, 0, bits)
    for stage, bit in zip(backbone.stages, bits, strict=True):
        assert (list(stage.own), list(stage.mapping)) == (([], ["0"]) if bit else (["0"], []))
        assert stage.trial is None
    assert backbone.configurations == {0: bits}
    assert backbone.learning is None


@pytest.mark.parametrize("bits", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_knowledge_changes_exactly_where_the_commit_shares(make_backbone, bits):
    backbone = make_backbone()
    before = [stage.shared["weight"].detach().clone() for stage in backbone.stages]
    learn(backbone, 0, bits)
    for stage, old, bit in zip(backbone.stages, before, bits, strict=True):
        assert torch.equal(stage.shared["weight"], old + 0.01 if bit else old)


@pytest.mark.parametrize("bits", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_the_committed_logits_are_those_before_the_commit_bit_for_bit(make_backbone, bits):
    backbone = make_backbone()
    backbone.begin_task(0, classes=3, uses=[BOTH, BOTH])
    shift(backbone.task_parameters(0))
    before = backbone.path_logits(IMAGES, 0, digits=bits)
    backbone.commit(bits)
    assert torch.equal(backbone.path_logits(IMAGES, 0), before)


def test_an_earlier_task_sees_the_knowledge_of_a_later_commit_only_where_both_share(make_backbone):
    backbone = make_backbone(depth=2)
    learn(backbone, 0, (1, 0))
    before = backbone.path_logits(IMAGES, 0)
    learn(backbone, 1, (0, 1))
    assert torch.equal(backbone.path_logits(IMAGES, 0), before)
    learn(backbone, 2, (1, 0))
    assert not torch.equal(backbone.path_logits(IMAGES, 0), before)


def test_a_commit_of_the_wrong_length_changes_nothing(make_backbone):
    backbone = make_backbone()
    backbone.begin_task(0, classes=3, uses=[BOTH, BOTH])
    with pytest.raises((LasemError, ValueError)):
        backbone.commit((1,))
    assert backbone.learning == 0
    assert all(stage.trial is not None and "0" in stage.own and "0" in stage.mapping for stage in backbone.stages)


def test_a_commit_of_a_branch_that_the_task_does_not_have_is_refused(make_backbone):
    backbone = make_backbone()
    backbone.begin_task(0, classes=3, uses=[OWN, OWN])
    with pytest.raises(LasemError):
        backbone.commit((1, 0))


# Reading


def test_an_open_task_reads_its_trial_and_earlier_tasks_the_knowledge_unless_asked(make_backbone):
    backbone = make_backbone()
    learn(backbone, 0, (1, 1))
    before = backbone.path_logits(IMAGES, 0)
    backbone.begin_task(1, classes=3, uses=[BOTH, BOTH])
    fresh = backbone.path_logits(IMAGES, 1, digits=(1, 1))
    shift(backbone.stages[0].trial.parameters())
    assert torch.equal(backbone.path_logits(IMAGES, 0), before)
    assert not torch.equal(backbone.path_logits(IMAGES, 0, trial=True), before)
    assert not torch.equal(backbone.path_logits(IMAGES, 1, digits=(1, 1)), fresh)
    assert torch.equal(backbone.path_logits(IMAGES, 1, digits=(1, 1), trial=False), fresh)


def test_path_logits_equal_plain_torch_layers(make_backbone):
    backbone = make_backbone()
    backbone.begin_task(0, classes=3, uses=[BOTH, BOTH])
    (own, _), (_, shared) = ((stage.own["0"], stage.trial) for stage in backbone.stages)
    head = backbone.heads["0"][0]
    hidden = nn.functional.conv2d(IMAGES, own["weight"], own["bias"], padding=1).relu()
    hidden = nn.functional.max_pool2d(hidden, 2)
    hidden = nn.functional.conv2d(hidden, shared["weight"], shared["bias"], padding=1).relu()
    expected = hidden.permute(0, 2, 3, 1).flatten(1) @ head.weight.T + head.bias
    torch.testing.assert_close(backbone.path_logits(IMAGES, 0, digits=(0, 1)), expected)


def test_a_branch_applies_to_every_node_alone(make_backbone):
    backbone = make_backbone()
    backbone.begin_task(0, classes=3, uses=[BOTH, BOTH])
    branch = backbone.forks(0)[0].branch(0)
    nodes = torch.rand(3, 4, 1, 6, 6)
    one_by_one = torch.stack([branch(node.unsqueeze(0))[0] for node in nodes])
    torch.testing.assert_close(branch(nodes), one_by_one)


@pytest.mark.parametrize("bit", [0, 1])
def test_a_branch_that_a_task_does_not_have_is_a_clear_error(make_backbone, bit):
    backbone = make_backbone()
    backbone.begin_task(0, classes=3, uses=[SHARED if bit == 0 else OWN] * 2)
    with pytest.raises(LookupError, match=f"no {'shared' if bit else 'own'} branch"):
        backbone.path_logits(IMAGES, 0, digits=(bit, bit))


@pytest.mark.parametrize("bits", [(0, 0), (0, 1), (1, 1)])
def test_the_network_of_a_task_is_plain_modules_with_equal_logits_and_own_values(make_backbone, bits):
    backbone = make_backbone(hidden=(4,))
    learn(backbone, 0, bits)
    network = backbone.network(0)
    assert {type(module).__module__.split(".")[0] for module in network.modules()} <= {"torch", "lasem"}
    assert not network.training
    before = backbone.path_logits(IMAGES, 0)
    torch.testing.assert_close(network(IMAGES), before)
    shift(backbone.parameters())
    torch.testing.assert_close(network(IMAGES), before)


# Revisits and redrawing


def test_a_revisit_keeps_the_tasks_parameters_and_opens_a_trial_copy(make_backbone, values_of):
    backbone = make_backbone()
    learn(backbone, 0, (1, 0))
    learn(backbone, 1, (1, 1))
    before = values_of(backbone)
    backbone.begin_task(0, classes=3, uses=[SHARED, OWN])
    after = values_of(backbone)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {name.split(".")[2] for name in set(after) - set(before)} == {"trial"}
    backbone.commit((1, 0))
    assert backbone.configurations == {0: (1, 0), 1: (1, 1)}


def test_knowledge_is_drawn_once_by_default_and_anew_until_chosen_on_request(make_backbone):
    kept, redrawn = make_backbone(), make_backbone()
    first = [stage.shared["weight"].detach().clone() for stage in kept.stages]
    seen = []
    for task in range(3):
        for backbone in (kept, redrawn):
            backbone.begin_task(task, classes=3, uses=[SHARED, OWN], redraw_unchosen=backbone is redrawn)
        seen.append([stage.shared["weight"].detach().clone() for stage in redrawn.stages])
        for backbone in (kept, redrawn):
            backbone.commit((1, 0))
    assert all(torch.equal(stage.shared["weight"], old) for stage, old in zip(kept.stages, first, strict=True))
    assert torch.equal(seen[1][0], seen[0][0])  # chosen by task 0
    assert torch.equal(seen[2][0], seen[0][0])
    assert len({tuple(weights[1].flatten().tolist()) for weights in seen}) == 3  # never chosen


# Loading values


def test_loaded_values_are_read_by_name(make_backbone):
    backbone = make_backbone()
    value = torch.full((3, 1, 3, 3), 0.5)
    backbone.load_values({"stages.0.shared.weight": value})
    assert torch.equal(backbone.stages[0].shared["weight"], value)


def test_an_unknown_name_of_a_value_suggests_the_nearest_and_changes_nothing(make_backbone, values_of):
    backbone = make_backbone()
    before = values_of(backbone)
    values = {"stages.0.shared.weight": torch.ones(3, 1, 3, 3), "stages.1.shared.wieght": torch.ones(4, 3, 3, 3)}
    with pytest.raises(LasemError, match=r"did you mean 'stages\.1\.shared\.weight'"):
        backbone.load_values(values)
    assert all(torch.equal(value, before[name]) for name, value in values_of(backbone).items())


def test_a_value_of_another_shape_names_both_shapes(make_backbone):
    with pytest.raises(LasemError, match=r"must have its parameter's shape \(3, 1, 3, 3\) \(got \(3, 1, 9\) for"):
        make_backbone().load_values({"stages.0.shared.weight": torch.ones(3, 1, 9)})


# Layout and precision


def test_kernels_are_laid_out_as_asked(make_backbone):
    backbone = make_backbone(depth=2)
    learn(backbone, 0, (0, 1))
    for name, parameter in backbone.named_parameters():
        if parameter.ndim == 4:
            assert parameter.is_contiguous(memory_format=torch.channels_last), name


def test_both_layouts_give_the_same_logits():
    from lasem.nn import Backbone

    answers = []
    for layout in (torch.channels_last, torch.contiguous_format):
        table = Network((Conv(3, 4, pool=2), Conv(3, 5)), hidden=())
        first = table.build((2, 6, 6))
        backbone = Backbone(
            [stage.layer for stage in first.stages], shape=(2, 6, 6), head=first.make_head, memory_format=layout
        )
        learn(backbone, 0, (1, 0))
        answers.append(backbone.path_logits(torch.linspace(-1, 1, 216).view(3, 2, 6, 6), 0))
    torch.testing.assert_close(*answers)


def test_a_backbone_of_doubles_makes_doubles_for_every_task(make_backbone):
    single, double = make_backbone(), make_backbone().double()
    for backbone in (single, double):
        learn(backbone, 0, (0, 1))
        backbone.begin_task(1, classes=3, uses=[BOTH, BOTH], redraw_unchosen=True)
    assert {p.dtype for p in double.parameters()} == {torch.float64}
    one, other = (b.path_logits(IMAGES.to(d), 0) for b, d in ((single, torch.float32), (double, torch.float64)))
    torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5)
    values = [dict(b.named_parameters())["stages.0.own.1.weight"] for b in (single, double)]
    assert torch.equal(values[0].double(), values[1])


def test_the_gradient_through_a_path_is_right(make_backbone):
    backbone = make_backbone().double()
    backbone.begin_task(0, classes=2, uses=[BOTH, BOTH])
    images = IMAGES[:1].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: backbone.path_logits(x, 0, digits=(0, 1)), images)


# Own branches that start at a copy


@pytest.mark.parametrize("mechanism", [made() for _, made in MECHANISMS.items()], ids=str)
def test_own_branches_that_start_at_a_copy_answer_as_the_shared_ones_of_the_moment(mechanism):
    """Of every task, also after earlier tasks have changed the shared knowledge; and then both are trained apart."""
    network = Network((Conv(3, 3, pool=2), Conv(3, 4)), hidden=(), own="copy")
    backbone = network.build((1, 6, 6), mechanism=mechanism)
    for task in (0, 1):
        backbone.begin_task(task, classes=3, uses=[BOTH, BOTH])
        before = backbone.path_logits(IMAGES, task, digits=(1, 1))
        torch.testing.assert_close(backbone.path_logits(IMAGES, task, digits=(0, 0)), before)
        backbone.abandon()
        backbone.begin_task(task, classes=3, uses=[OWN, OWN])
        torch.testing.assert_close(backbone.path_logits(IMAGES, task, digits=(0, 0)), before)
        backbone.abandon()
        learn(backbone, task, (0, 1))
        assert not torch.equal(backbone.path_logits(IMAGES, task), before)


def test_loaded_values_reach_own_branches_that_start_at_a_copy():
    backbone = replace(SMALL_NETWORKS["batch norm"], own="copy").build((1, 6, 6))
    given = {name: torch.rand_like(value) for name, value in backbone.named_parameters()}
    backbone.load_values(given)
    backbone.begin_task(5, classes=3, uses=[BOTH, OWN])
    for name, value in given.items():
        assert torch.equal(backbone.get_parameter(name.replace("shared", "own.5")), value)


def test_own_branches_start_at_values_of_their_own_by_default_and_nothing_else_is_known(make_backbone):
    backbone = make_backbone()
    backbone.begin_task(0, classes=3, uses=[BOTH, BOTH])
    assert not torch.equal(backbone.stages[0].own["0"]["weight"], backbone.stages[0].shared["weight"])
    with pytest.raises(SpecError, match=r"own must be new, copy, initial, lora or norms \(got 'random'\)"):
        TransferModule(lambda source: nn.Linear(2, 2), own="random")
