"""What a search needs, and which settings would fit, compared with what its real steps store."""

import math
import weakref
from functools import partial

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from lasem import load
from lasem.errors import RunError, SpecError
from lasem.nn import NETWORKS, nested_partitions
from lasem.preflight import Limits, _check, _estimate, check_with_suggestions, estimate, require_memory, shortage
from lasem.preflight._check import refusal
from lasem.preflight._cost import search_cost
from lasem.preflight._steps import StepTimes, random_task
from lasem.runs import RunOptions, build_learner, check, resolve, run
from lasem.search import EMSearch

CPU = torch.device("cpu")
MIB, GIB = 2**20, 2**30
SEARCH = "digits/lasem-hps"
SMALL = ("network.name=synthetic-3", "benchmark.first_tasks=1", "training.epochs=2")
DEEP = ("network.name=stl-6",)
RESNET = ("cifar100-10/lasem-hps", "network.name=resnet-18")


def small():
    """A network of two stages for `THREE`; they have 40 and 222 parameters."""
    stages = [nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)) for a, b in ((1, 4), (4, 6))]
    return nn.Sequential(*stages, nn.Flatten(), nn.Linear(6 * 4, 10))


THREE = (
    "benchmark.first_tasks=2",
    f"network.name={__name__}:small",
    'network.stages=["0", "1"]',
    "network.frozen=true",
)
STAGES = 40 + 222


def made(name, *settings):
    spec = resolve(name, settings)
    outline = check(spec).outline()
    return spec, outline, build_learner(spec, outline, device=CPU)


def cost_of(name, *settings):
    spec = resolve(name, settings)
    return search_cost(spec, check(spec).outline(), device=CPU)


class Saved:
    """One of the tensors that autograd stores."""

    def __init__(self, tensor):
        self.tensor = tensor


def stored(name, *settings):
    """Most bytes that a real step stores for its backward passes at any time, without parameters."""
    _, outline, learner = made(name, *settings)
    learner.begin_task(random_task(learner, outline, device=CPU))
    own = {p.untyped_storage().data_ptr() for p in learner.backbone.parameters()}
    holders, sizes, most = {}, {}, [0]

    def pack(tensor):
        key, saved = tensor.untyped_storage().data_ptr(), Saved(tensor)
        if key not in own:
            sizes[key] = tensor.untyped_storage().nbytes()
            holders[key] = holders.get(key, 0) + 1
            weakref.finalize(saved, drop, key)
            most[0] = max(most[0], sum(sizes[key] for key, count in holders.items() if count))
        return saved

    def drop(key):
        holders[key] -= 1

    with saved_tensors_hooks(pack, lambda saved: saved.tensor):
        learner.train_epoch()
    return most[0]


# What fits


@pytest.mark.parametrize(("beside", "groups"), [(3.5, 5), (2.0, 4)])
def test_partitions_that_are_suggested_fit_and_the_next_finer_one_does_not(beside, groups):
    cost = cost_of(SEARCH, *DEEP)
    found = cost.fitting_partitions(Limits(cost.model_bytes + int(beside * MIB)))
    assert [step.partition.num_groups for step in found] == [groups, groups - 1, groups - 2]
    for step in found:
        assert stored(SEARCH, *DEEP, f"search.partition={step.partition}") <= step.activation_bytes <= beside * MIB
    finer = nested_partitions(NETWORKS["stl-6"])[groups]
    assert stored(SEARCH, *DEEP, f"search.partition={finer}") > beside * MIB


@pytest.mark.parametrize("beside", [4.0, 2.5])
def test_a_budget_that_is_suggested_divides_the_tree_so_that_it_fits(beside):
    cost = cost_of(SEARCH, *DEEP)
    mebibytes, step = cost.fitting_memory(Limits(cost.model_bytes + int(beside * MIB)))
    assert step.candidates == 64
    assert step.subtrees > 1
    assert stored(SEARCH, *DEEP, f"search.memory={mebibytes}") <= step.activation_bytes <= beside * MIB
    assert stored(SEARCH, *DEEP) > beside * MIB


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("digits/lasem-tf", ()),
        ("digits/lasem-dfcnn", ()),
        ("digits/lasem-hps", ("training.keep=0.8", "search.partition={1,3},{2}")),
        ("digits/lasem-hps", ('search.candidates=["000", "010", "111"]', "training.batch_size=1")),
        ("digits/lasem-hps", ("search.m_steps=2", "training.keep=1.0")),
        ("digits/lasem-hps", (*THREE, "network.own=lora")),
        ("digits/lasem-lora", (*THREE, 'search.candidates=["22", "20", "11"]')),
        ("digits/lasem-hps", (*THREE, "search.candidates=ordered")),
    ],
)
def test_what_a_step_stores_is_counted_without_one(name, settings):
    counted, real = cost_of(name, *settings).step().activation_bytes, stored(name, *settings)
    assert real <= counted < 2 * real + MIB


@pytest.mark.parametrize("own", ["copy", "lora", "norms"])
def test_initial_values_count_once_in_parameters_and_memory(own):
    """Shared knowledge, trial copy, initial values, and what a task owns, in the estimate as in a real task."""
    cost, (spec, outline, learner) = (
        cost_of(SEARCH, *THREE, f"network.own={own}"),
        made(SEARCH, *THREE, f"network.own={own}"),
    )
    found = estimate(spec, outline, device=CPU)
    assert found.candidates == 9
    learner.begin_task(random_task(learner, outline, device=CPU))
    learner.train_epoch()
    backbone = learner.backbone
    trained = sum(p.numel() for p in backbone.task_parameters(0))
    initial = sum(b.numel() for name, b in backbone.named_buffers() if ".initial." in name)
    assert initial == STAGES
    assert cost.model_bytes == 4 * (3 * trained + STAGES + initial)  # gradients, optimizer, copy for the roll-back
    learner.end_task()
    counts = learner.parameter_counts()
    assert (found.parameters.shared, found.parameters.search) == (counts.shared, counts.search)
    assert (counts.shared, counts.search) == (2 * STAGES, trained)
    head = 24 * 3 + 3
    assert trained == STAGES + head + {"copy": STAGES, "lora": (36 + 16) + (216 + 36), "norms": 0}[own]


def test_brute_force_over_three_branches_is_estimated_from_a_candidate_of_each():
    spec, outline, learner = made("digits/brute-force-hps", *THREE)
    found = estimate(spec, outline, device=CPU)
    assert (found.candidates, found.parameters.shared) == (9, 2 * STAGES)
    assert found.parameters.shared == learner.parameter_counts().shared


def test_nothing_is_suggested_where_nothing_fits():
    text = refusal(resolve(SEARCH, SMALL), cost_of(SEARCH, *SMALL), Limits(1))
    assert "search.partition" not in text
    assert text.endswith("take a smaller network, or use a larger machine")


def test_a_budget_below_one_candidate_is_told_before_training():
    settings = ("search.memory=1", "training.batch_size=64")
    cost = cost_of(SEARCH, *settings)
    words = "search.memory is 1.0 MiB, but the activations of one candidate need"
    assert words in refusal(resolve(SEARCH, settings), cost, Limits(None))
    assert cost.fitting_memory(Limits(None))[0] == math.ceil(
        cost_of(SEARCH, "training.batch_size=64").step().subtree_bytes / MIB
    )


# Who is refused


def test_stl_9_layer_by_layer_passes_under_4_gib():
    spec, outline, learner = made("stl10-15/lasem-hps")
    assert len(learner.space) == 512
    assert spec.training.batch_size == 10
    require_memory(spec, outline, limits=Limits(4 * GIB), device=CPU)
    with pytest.raises(RunError, match=r"512 candidates need about 2\.2 GiB per step, 2\.0 GiB are"):
        require_memory(spec, outline, limits=Limits(2 * GIB), device=CPU)


def test_resnet_18_layer_by_layer_is_refused_with_partitions_that_fit():
    with pytest.raises(SpecError, match=r"131,072 candidates, .* at most 65,536 .* about 103\.5 GiB") as caught:
        check_with_suggestions(resolve(RESNET[0], RESNET[1:]), Limits(int(1.3 * GIB)), device=CPU)
    named = [line.split("'")[1] for line in str(caught.value).splitlines() if "search.partition" in line]
    assert named[0] == "search.partition={1},{2,3},{4,5},{6,7},{8,9},{10,11},{12,13},{14,15},{16,17}"
    assert len(named) == 3
    for setting in named:
        assert check(resolve(RESNET[0], [RESNET[1], setting]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("search.partition={1}",), "names? every layer"),
        (("training.optimizer=adm",), "did you mean 'adam'"),
        (("learner.strategy=darts",), "a search must have at most 65536"),
    ],
)
def test_other_faults_are_told_as_ever(settings, words):
    with pytest.raises(SpecError, match=words) as caught:
        check_with_suggestions(resolve(RESNET[0], [*RESNET[1:], *settings]), Limits(None), device=CPU)
    assert "search.partition=" not in str(caught.value)


def test_a_run_is_refused_before_it_writes_anything(tmp_path):
    spec = resolve(SEARCH, SMALL)
    inspect = partial(require_memory, spec, limits=Limits(1), device=CPU)
    with pytest.raises(RunError, match="not enough memory"):
        run(spec, RunOptions(out=tmp_path / "runs", device="cpu"), inspect=inspect)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["stl", "hps", "darts-hps", "brute-force-hps"])
def test_learners_without_a_tree_are_not_measured(name, monkeypatch):
    measured = []
    monkeypatch.setattr(_check, "search_cost", lambda *about, **_: measured.append(about))
    spec, outline, _ = made(f"digits/{name}", *SMALL)
    require_memory(spec, outline, limits=Limits(0), device=CPU)
    assert measured == []


@pytest.mark.slow
def test_a_network_with_batch_norm_whose_last_map_is_one_pixel_passes_the_check_and_trains(tmp_path):
    """Batch norm cannot normalize a single value, so a path through such a network takes two images or more."""
    coarse = "search.partition={1,2,3,4,5,6,7,8,9},{10,11,12,13,14,15,16,17}"
    small = ("training.epochs=1", "benchmark.first_tasks=1", "benchmark.train_per_class=4", "benchmark.max_test=9")
    whole = resolve(SEARCH, ["network.name=resnet-18-bn"])
    require_memory(whole, check(whole).outline(), limits=Limits(None), device=CPU)
    spec = resolve(SEARCH, ["network.name=resnet-18-bn", coarse, *small])
    inspect = partial(require_memory, spec, limits=Limits.of(CPU), device=CPU)
    assert run(spec, RunOptions(out=tmp_path, device="cpu"), inspect=inspect).complete


def test_a_check_leaves_no_trace_in_a_run(tmp_path):
    spec, checked, unchecked = resolve(SEARCH, SMALL), tmp_path / "checked", tmp_path / "unchecked"
    run(spec, RunOptions(out=checked), inspect=partial(require_memory, spec, limits=Limits(None), device=CPU))
    run(spec, RunOptions(out=unchecked))
    one, other = (load(out / spec.folder).learner.state() for out in (checked, unchecked))
    assert one.values == other.values
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(other.tensors[name], tensor) for name, tensor in one.tensors.items())


# Time


def test_the_time_of_other_partitions_follows_from_two_measured_steps(monkeypatch):
    """A network's step takes 0.1 ms here and the search's 0.4 ms; all else takes no time."""

    def timed(learner, *_, **__):
        learner.begin_task(random_task(learner, outline, device=CPU))
        return StepTimes(0.0001 if len(learner.space) == 1 else 0.0004, 0.0, 0.0, 0.0, saved_bytes=0)

    monkeypatch.setattr(_estimate, "measure", timed)
    spec, outline, _ = made(SEARCH, *SMALL)
    cost = estimate(spec, outline, device=CPU).search
    own, steps = cost.step(), 2 * (outline.images["train"] // spec.training.batch_size)
    assert steps * 0.0004 == pytest.approx(cost.seconds(own))
    (coarse,) = cost.fitting_partitions(Limits(None, hours=steps * 0.0002 / 3600))
    assert coarse.partition.num_groups == 1
    assert cost.seconds(coarse) == pytest.approx(steps * (0.0001 + 0.0003 * (coarse.work - 1) / (own.work - 1)))
    assert "--max-hours" in refusal(spec, cost, Limits(None, hours=steps * 0.0002 / 3600))


def test_the_time_of_brute_force_is_that_of_its_candidates():
    spec, outline, _ = made("digits/brute-force-hps", *SMALL)
    cost = estimate(spec, outline, device=CPU).search
    own = cost.seconds(cost.step())
    found = cost.fitting_partitions(Limits(None, hours=0.99 * own / 3600))
    assert [own / cost.seconds(step) for step in found] == pytest.approx([2, 4], rel=0.1)


def test_an_estimate_that_fits_no_time_is_refused_without_a_search_too():
    spec, outline, _ = made("digits/stl", *SMALL)
    found = estimate(spec, outline, device=CPU)
    assert shortage(spec, found, Limits(None)) is None
    assert "not enough time for this run" in shortage(spec, found, Limits(0, hours=0.0))


def test_a_search_that_would_take_long_is_estimated_without_a_step_of_it(monkeypatch):
    spec, outline, _ = made(SEARCH, *SMALL)
    monkeypatch.setattr(_estimate, "LONGEST", 0.0)
    monkeypatch.setattr(EMSearch, "step", None)
    found = estimate(spec, outline, device=CPU)
    assert found.counted
    assert found.parameters.search > found.parameters.rollback > 0
    assert found.search.seconds(found.search.step()) == pytest.approx(found.seconds[1] + found.evaluation_seconds)
