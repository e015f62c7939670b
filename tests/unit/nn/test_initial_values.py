import math

import pytest
import torch

from lasem.nn import NETWORKS

UNCUT, CUT = 0.05, 0.1
BOTH = (True, True)


@pytest.fixture(scope="module")
def backbone():
    network = NETWORKS["cifar-4"].build((3, 32, 32), seed=0)
    network.begin_task(0, classes=10, uses=[BOTH] * 4)
    return network


def large_weights(backbone):
    return {name: p.detach() for name, p in backbone.named_parameters() if p.numel() > 5000}


def test_weights_are_normal_of_deviation_a_twentieth_cut_at_two(backbone):
    density = math.exp(-2) / math.sqrt(2 * math.pi)  # of the standard normal at 2
    inside = math.erf(2 / math.sqrt(2))
    deviation = UNCUT * math.sqrt(1 - 4 * density / inside)  # closed form for the symmetric cut at 2
    weights = large_weights(backbone)
    assert len(weights) >= 4
    for weight in weights.values():
        error = 4 * deviation / math.sqrt(weight.numel())
        assert weight.abs().max() <= CUT
        assert weight.abs().max() > 0.95 * CUT
        assert abs(weight.mean()) < error
        assert abs(weight.std() - deviation) < error


def test_biases_are_a_fifth(backbone):
    biases = [p for name, p in backbone.named_parameters() if name.endswith("bias")]
    assert len(biases) == 3 * 4 + 2
    assert all((bias == 0.2).all() for bias in biases)


def test_no_two_weights_start_alike(backbone):
    starts = [tuple(p.flatten()[:8].tolist()) for name, p in backbone.named_parameters()
              if name.endswith("weight") and ".trial." not in name]  # fmt: skip
    assert len(set(starts)) == len(starts)


def test_initial_values_follow_from_the_seed_alone(make_backbone, values_of):
    torch.manual_seed(1)
    one = make_backbone(seed=5)
    torch.manual_seed(2)
    other = make_backbone(seed=5)
    for backbone in (one, other):
        backbone.begin_task(0, classes=3, uses=[BOTH] * 2)
    assert all(torch.equal(a, b) for a, b in zip(values_of(one).values(), values_of(other).values(), strict=True))
    assert not torch.equal(make_backbone(seed=6).stages[0].shared["weight"], one.stages[0].shared["weight"])


def test_the_global_generator_is_left_alone(make_backbone):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    make_backbone(seed=5).begin_task(0, classes=3, uses=[BOTH] * 2)
    assert torch.equal(torch.rand(3), expected)


def test_a_tasks_initial_values_do_not_depend_on_what_else_was_made(make_backbone, values_of):
    alone, crowded = make_backbone(), make_backbone()
    crowded.begin_task(0, classes=7, uses=[BOTH] * 2)
    crowded.commit((0, 1))
    crowded.begin_task(1, classes=2, uses=[(False, True)] * 2)
    crowded.commit((1, 1))
    alone.begin_task(2, classes=3, uses=[(True, False)] * 2)
    crowded.begin_task(2, classes=3, uses=[BOTH] * 2)
    expected, found = values_of(alone), values_of(crowded)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_depth_does_not_change_the_first_layers(make_backbone):
    shallow, deep = make_backbone(depth=1), make_backbone(depth=3)
    assert torch.equal(shallow.stages[0].shared["weight"], deep.stages[0].shared["weight"])
