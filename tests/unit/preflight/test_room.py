"""Whether a search has room, and what would fit instead, against what its steps really keep."""

import math
import weakref
from functools import partial

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from lasem.errors import RunError, SpecError
from lasem.nn import NETWORKS, nested_partitions
from lasem.preflight import Limits, _available, _check, _estimate, check_with_room, estimate, shortage
from lasem.preflight._available import available_memory
from lasem.preflight._check import refusal, require_memory
from lasem.preflight._demand import Demand
from lasem.preflight._needs import footprint
from lasem.preflight._steps import Measured, random_task
from lasem.presets import resolve
from lasem.runs import Place, build_learner, check, run
from lasem.search import EMSearch

CPU = torch.device("cpu")
MIB, GIB = 2**20, 2**30
SEARCH = "digits/lasem-hps"
SMALL = ("network.name=synthetic-3", "benchmark.first_tasks=1", "training.epochs=2")
DEEP = ("network.name=stl-6",)
RESNET = ("cifar100-10/lasem-hps", "network.name=resnet-18")


def made(name, *settings):
    spec = resolve(name, settings)
    outline = check(spec).outline()
    return spec, outline, build_learner(spec, outline, device=CPU)


def demanded(name, *settings):
    spec, outline, learner = made(name, *settings)
    counted = footprint(spec, learner.backbone, outline)
    return Demand(spec, counted.need_of(spec), counted)


class Held:
    """One of the tensors that autograd keeps."""

    def __init__(self, tensor):
        self.tensor = tensor


def kept(name, *settings):
    """Most bytes that a real step keeps for its backward passes at any time, parameters left out."""
    _, outline, learner = made(name, *settings)
    learner.begin_task(random_task(learner, outline, device=CPU))
    own = {p.untyped_storage().data_ptr() for p in learner.backbone.parameters()}
    holders, sizes, most = {}, {}, [0]

    def pack(tensor):
        key, held = tensor.untyped_storage().data_ptr(), Held(tensor)
        if key not in own:
            sizes[key] = tensor.untyped_storage().nbytes()
            holders[key] = holders.get(key, 0) + 1
            weakref.finalize(held, drop, key)
            most[0] = max(most[0], sum(sizes[key] for key, count in holders.items() if count))
        return held

    def drop(key):
        holders[key] -= 1

    images, labels = next(learner.task.batches())
    with saved_tensors_hooks(pack, lambda held: held.tensor):
        learner.train_step(images, labels, masks=torch.Generator().manual_seed(0))
    return most[0]


# What fits


@pytest.mark.parametrize(("beside", "groups"), [(3.5, 5), (2.0, 4)])
def test_partitions_that_are_named_fit_and_the_next_finer_one_does_not(beside, groups):
    demand = demanded(SEARCH, *DEEP)
    found = demand.partitions(Limits(demand.footprint.model_bytes + int(beside * MIB)))
    assert [need.partition.num_groups for need in found] == [groups, groups - 1, groups - 2]
    for need in found:
        assert kept(SEARCH, *DEEP, f"search.partition={need.partition}") <= need.activation_bytes <= beside * MIB
    finer = nested_partitions(NETWORKS["stl-6"])[groups]
    assert kept(SEARCH, *DEEP, f"search.partition={finer}") > beside * MIB


@pytest.mark.parametrize("beside", [4.0, 2.5])
def test_a_budget_that_is_named_divides_the_tree_so_that_it_fits(beside):
    demand = demanded(SEARCH, *DEEP)
    mebibytes, need = demand.division(Limits(demand.footprint.model_bytes + int(beside * MIB)))
    assert need.candidates == 64
    assert need.parts > 1
    assert kept(SEARCH, *DEEP, f"search.memory={mebibytes}") <= need.activation_bytes <= beside * MIB
    assert kept(SEARCH, *DEEP) > beside * MIB


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("digits/lasem-tf", ()),
        ("digits/lasem-dfcnn", ()),
        ("digits/lasem-hps", ("training.keep=0.8", "search.partition={1,3},{2}")),
        ("digits/lasem-hps", ('search.candidates=["000", "010", "111"]', "training.batch_size=1")),
        ("digits/lasem-hps", ("search.m_steps=2", "training.keep=1.0")),
    ],
)
def test_what_a_step_keeps_is_counted_without_one(name, settings):
    counted, real = demanded(name, *settings).need.activation_bytes, kept(name, *settings)
    assert real <= counted < 2 * real + MIB


def test_a_network_is_as_it_was_once_it_is_measured():
    spec, outline, learner = made(SEARCH, *SMALL)
    before = {name: value.clone() for name, value in learner.backbone.state_dict().items()}
    footprint(spec, learner.backbone, outline)
    after = learner.backbone.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_nothing_is_named_where_nothing_fits():
    text = refusal(demanded(SEARCH, *SMALL), Limits(1))
    assert "search.partition" not in text
    assert text.endswith("take a smaller network, or a larger machine")


def test_a_budget_below_one_candidate_is_told_before_training():
    demand = demanded(SEARCH, "search.memory=1", "training.batch_size=64")
    assert "for one candidate where search.memory is 1.0 MiB" in refusal(demand, Limits(None))
    assert demand.division(Limits(None))[0] == math.ceil(
        demanded(SEARCH, "training.batch_size=64").need.part_bytes / MIB
    )


# Who is refused


def test_stl_9_layer_by_layer_passes_under_4_gib():
    spec, outline, learner = made("stl10-15/lasem-hps")
    assert len(learner.space) == 512
    assert spec.training.batch_size == 10
    require_memory(spec, outline, limits=Limits(4 * GIB), device=CPU)
    with pytest.raises(RunError, match=r"512 candidates: about 2\.2 GiB for a step where 2\.0 GiB"):
        require_memory(spec, outline, limits=Limits(2 * GIB), device=CPU)


def test_resnet_18_layer_by_layer_is_refused_with_partitions_that_fit():
    with pytest.raises(SpecError, match=r"131,072 candidates: more than the 65,536 .* and about 103\.5 GiB") as caught:
        check_with_room(resolve(RESNET[0], RESNET[1:]), Limits(int(1.3 * GIB)), device=CPU)
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
        (("learner.strategy=darts",), "a space holds at most 65536"),
    ],
)
def test_other_faults_are_told_as_ever(settings, words):
    with pytest.raises(SpecError, match=words) as caught:
        check_with_room(resolve(RESNET[0], [*RESNET[1:], *settings]), Limits(None), device=CPU)
    assert "search.partition=" not in str(caught.value)


def test_a_run_is_refused_before_it_writes_anything(tmp_path):
    spec = resolve(SEARCH, SMALL)
    inspect = partial(require_memory, spec, limits=Limits(1), device=CPU)
    with pytest.raises(RunError, match="has room"):
        run(spec, Place(out=tmp_path / "runs", device="cpu"), inspect=inspect)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["stl", "hps", "darts-hps", "brute-force-hps"])
def test_learners_without_a_tree_are_not_looked_at(name, monkeypatch):
    looked = []
    monkeypatch.setattr(_check, "footprint", lambda *about: looked.append(about))
    spec, outline, _ = made(f"digits/{name}", *SMALL)
    require_memory(spec, outline, limits=Limits(0), device=CPU)
    assert looked == []


def test_a_network_with_batch_norm_whose_last_map_is_one_pixel_passes_the_check_and_trains(tmp_path):
    """Batch norm cannot normalize a single value, so a path through such a network takes two images or more."""
    coarse = "search.partition={1,2,3,4,5,6,7,8,9},{10,11,12,13,14,15,16,17}"
    small = ("training.epochs=1", "benchmark.first_tasks=1", "benchmark.train_per_class=4", "benchmark.max_test=9")
    spec = resolve(SEARCH, ["network.name=resnet-18-bn", coarse, *small])
    inspect = partial(require_memory, spec, limits=Limits.of(CPU), device=CPU)
    assert run(spec, Place(out=tmp_path, device="cpu"), inspect=inspect).complete


# Time


def test_the_time_of_other_partitions_follows_from_two_measured_steps(monkeypatch):
    """A network's step takes 0.1 ms here and the search's 0.4 ms; all else takes no time."""

    def took(learner, *_, **__):
        learner.begin_task(random_task(learner, outline, device=CPU))
        return Measured(0.0001 if len(learner.space) == 1 else 0.0004, 0.0, 0.0, 0.0, saved_bytes=0)

    monkeypatch.setattr(_estimate, "measure", took)
    spec, outline, _ = made(SEARCH, *SMALL)
    found = estimate(spec, outline, device=CPU)
    demand, steps = found.demand, 2 * (outline.images["train"] // spec.training.batch_size)
    assert found.seconds == pytest.approx(steps * 0.0004) == pytest.approx(demand.seconds(demand.need))
    (need,) = demand.partitions(Limits(None, hours=steps * 0.0002 / 3600))
    step = 0.0001 + 0.0003 * (need.work - 1) / (demand.need.work - 1)
    assert need.partition.num_groups == 1
    assert demand.seconds(need) == pytest.approx(steps * step)
    assert "--max-hours" in refusal(demand, Limits(None, hours=steps * 0.0002 / 3600))


def test_the_time_of_brute_force_is_that_of_its_candidates():
    spec, outline, _ = made("digits/brute-force-hps", *SMALL)
    demand = estimate(spec, outline, device=CPU).demand
    own = demand.seconds(demand.need)
    found = demand.partitions(Limits(None, hours=0.99 * own / 3600))
    assert [own / demand.seconds(need) for need in found] == pytest.approx([2, 4], rel=0.1)


def test_an_estimate_that_fits_no_time_is_refused_without_a_search_too():
    spec, outline, _ = made("digits/stl", *SMALL)
    found = estimate(spec, outline, device=CPU)
    assert shortage(spec, found, Limits(None)) is None
    assert "--max-hours - got about" in shortage(spec, found, Limits(0, hours=0.0))


def test_a_search_that_would_take_long_is_estimated_without_a_step_of_it(monkeypatch):
    spec, outline, _ = made(SEARCH, *SMALL)
    monkeypatch.setattr(_estimate, "LONGEST", 0.0)
    monkeypatch.setattr(EMSearch, "step", None)
    found = estimate(spec, outline, device=CPU)
    assert found.by_counting
    assert found.parameters.search > found.parameters.rollback > 0
    assert found.demand.seconds(found.demand.need) == pytest.approx(found.seconds + found.evaluation_seconds)


# What is available


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A system's files about memory: by path, their text."""
    monkeypatch.setattr(_available, "PROC", tmp_path / "proc")
    monkeypatch.setattr(_available, "GROUPS", tmp_path / "groups")

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return lambda files: write(**files)


MEMINFO = {"proc__meminfo": "MemTotal:       99 kB\nMemFree:        5 kB\nMemAvailable:   64 kB\n"}


def test_available_is_what_the_system_says(machine):
    assert available_memory(CPU) is None
    machine(MEMINFO)
    assert available_memory(CPU) == 64 * 1024


def test_available_is_what_a_group_or_one_above_it_leaves(machine):
    machine(MEMINFO | {"proc__self__cgroup": "0::/job/step\n", "groups__job__memory.max": "max\n"})
    assert available_memory(CPU) == 64 * 1024
    machine({"groups__job__memory.max": "9000\n", "groups__job__memory.current": "5000\n"})
    assert available_memory(CPU) == 4000
    machine({"groups__job__memory.stat": "anon 4000\ninactive_file 1000\n"})
    assert available_memory(CPU) == 5000


def test_available_is_what_an_older_group_leaves(machine):
    files = {"limit_in_bytes": "9000\n", "usage_in_bytes": "8000\n", "stat": "total_inactive_file 500\n"}
    group = {f"groups__memory__docker__memory.{name}": text for name, text in files.items()}
    machine(MEMINFO | {"proc__self__cgroup": "5:cpu,cpuacct:/docker\n4:memory:/docker\n"} | group)
    assert available_memory(CPU) == 1500
