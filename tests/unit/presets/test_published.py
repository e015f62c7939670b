"""Every row of the paper's experiments exists as presets, with the published settings; the numbers here are a copy."""

from dataclasses import dataclass

import pytest
import torch

from lasem.benchmarks import OfficeHome, Pacs
from lasem.nn import NETWORKS
from lasem.presets import preset_entries
from lasem.runs import build_learner, build_strategy, check, resolve
from lasem.search import EM

MECHANISMS = ("hps", "tf", "dfcnn")


@dataclass(frozen=True)
class Published:
    """A stream, its network and its training, as the paper and its release list them."""

    tasks: int
    classes: int
    shape: tuple[int, int, int]
    images: tuple[int, int, int] | None
    network: str
    layers: int
    epochs: int
    batch: int
    rate: float
    decay: float
    evidence: str = "product"


PUBLISHED = {
    "cifar100-10": Published(10, 10, (3, 32, 32), (170, 30, 1000), "cifar-4", 4, 2000, 10, 1e-4, 1 / 4000),
    "cifar100-40": Published(40, 10, (3, 32, 32), (170, 30, 1000), "cifar-4", 4, 2000, 10, 1e-4, 1 / 4000),
    "office-home": Published(10, 13, (3, 128, 128), None, "office-home-4", 4, 1000, 16, 2e-5, 1e-4),
    "stl10-20": Published(20, 3, (3, 96, 96), (318, 57, 2400), "stl-6", 6, 500, 10, 1e-4, 0.0),
    "stl10-15": Published(15, 5, (3, 96, 96), (125, 125, 4000), "stl-9", 9, 500, 10, 1e-4, 0.0),
    "cifar100-10/resnet-18": Published(
        10, 10, (3, 32, 32), (170, 30, 1000), "resnet-18", 17, 200, 10, 1e-4, 1 / 4000, "mean"
    ),
    "cifar100-40/resnet-18": Published(
        40, 10, (3, 32, 32), (170, 30, 1000), "resnet-18", 17, 200, 10, 1e-4, 1 / 4000, "mean"
    ),
    "pacs": Published(4, 7, (3, 128, 128), None, "office-home-4", 4, 1000, 16, 2e-5, 1e-4),
    "tiny-imagenet-10": Published(20, 3, (3, 96, 96), (318, 57, 750), "stl-6", 6, 500, 10, 1e-4, 0.0),
}
"""The last two stand in for Office-Home and STL-10."""

MAIN = ("cifar100-10", "cifar100-40", "office-home", "stl10-20", "pacs", "tiny-imagenet-10")
SINGLE = {"stl": ("hps", "fixed", "none")}
ALL = {name: (name, "fixed", "all") for name in MECHANISMS}
LASEM = {f"lasem-{name}": (name, "em", None) for name in MECHANISMS}
DARTS = {f"darts-{name}": (name, "darts", None) for name in ("hps", "dfcnn")}
BRUTE_FORCE = {"brute-force-hps": ("hps", "brute-force", None)}


OTHERS = {
    "prognn": {"reduction": 2},
    "den": {
        "expand": 32, "l1": 1e-5, "l2": 1e-4, "group_lasso": 1e-3, "drift": 0.5, "loss_threshold": 0.01,
        "drift_measure": "distance", "split_threshold": [0.05, 0.05],
    },
    "apd": {"sparsity": 4e-4, "retention": 100.0, "consolidate_every": 0, "groups": 2},
    "ewc": {"penalty_weight": 400.0, "online": False, "fisher": "exact"},
    "gating": {
        "hidden": 16, "gain": 1.0, "open_share": 0.85, "sparsity": "patience", "patience": 20, "sparsity_weight": 0.5,
        "threshold": 0.0,
    },
}  # fmt: skip
"""Learners with options of their own, as their papers or public codes have them."""

RELEASED = {
    "den": {
        "expand": 16, "l1": 1e-6, "l2": 0.01, "group_lasso": 0.8, "drift": 0.5, "drift_measure": "cosine",
        "split_threshold": [0.98, 0.01],
    },
}  # fmt: skip
"""Where the authors' release differs."""


def static(layers: int) -> dict[str, tuple[str, str, str | None]]:
    """{HPS, TF, DF-CNN} x {Top-k, Bottom-k, Alternating}."""
    kinds = [f"{side}-{k}" for side in ("top", "bottom") for k in range(1, layers)] + ["alternating"]
    return {f"{name}-{kind}": (name, "fixed", kind) for name in MECHANISMS for kind in kinds}


ROWS = {
    "static study": {b: ALL | static(PUBLISHED[b].layers) for b in MAIN},
    "main comparison": {b: SINGLE | ALL | static(PUBLISHED[b].layers) | LASEM | BRUTE_FORCE | DARTS for b in MAIN},
    "configurations": dict.fromkeys(MAIN, LASEM),
    "forgetting": {b: ALL | static(PUBLISHED[b].layers) | LASEM for b in MAIN},
    "groups on STL-10": {
        "stl10-15": dict.fromkeys(("lasem-dfcnn", "lasem-dfcnn-groups"), ("dfcnn", "em", None))
        | {"dfcnn": ALL["dfcnn"]}
    },
    "groups on ResNet-18": {
        f"cifar100-{tasks}/resnet-18": {"hps": ALL["hps"]}
        | {f"lasem-hps-{number}-groups": ("hps", "em", None) for number in (4, 5, 6, 7)}
        for tasks in (10, 40)
    },
    "memory": dict.fromkeys(MAIN, SINGLE | ALL | LASEM | BRUTE_FORCE),
}


def differences(spec, expected: Published, profile: str) -> list[str]:
    """Published values that a spec does not have."""
    outline = check(spec).outline()
    assert outline is not None
    training = spec.training
    pairs = {
        "tasks": (outline.num_tasks, expected.tasks),
        "classes": (set(outline.classes), {expected.classes}),
        "shape": (outline.shape, expected.shape),
        "images": (tuple(outline.images.values()), expected.images or tuple(outline.images.values())),
        "network": (spec.network.name.removesuffix("-tf"), expected.network),
        "layers": (len(NETWORKS[spec.network.name].layers), expected.layers),
        "epochs": (training.epochs, expected.epochs),
        "batch": (training.batch_size, expected.batch),
        "rate": (training.learning_rate, expected.rate),
        "decay": (training.decay, pytest.approx(expected.decay)),
        "optimizer": (training.optimizer, "rmsprop-tf"),
        "dropout": (training.keep, 0.5),
    }
    if isinstance(search := spec.strategy.options, EM):
        pairs["evidence"] = (search.evidence, "mean" if profile == "release" else expected.evidence)
        pairs["numMSteps"] = (search.m_steps, 1)
    return [f"{spec.name}: {what} is {found}, not {value}" for what, (found, value) in pairs.items() if found != value]


@pytest.mark.parametrize("profile", ["paper", "release"])
@pytest.mark.parametrize("row", ROWS)
def test_every_experiment_of_the_paper_is_a_preset_with_the_published_settings(row, profile):
    listed = {entry.name for entry in preset_entries()}
    missing, faults = [], []
    for benchmark, learners in ROWS[row].items():
        for name, kind in learners.items():
            spec = resolve(f"{benchmark}/{name}", [f"profile={profile}"])
            missing += [spec.name] if spec.name not in listed else []
            faults += differences(spec, PUBLISHED[benchmark], profile)
            assert (spec.mechanism.kind, spec.strategy.kind) == kind[:2], spec.name
            assert kind[2] in (None, spec.sections["learner"].get("configuration")), spec.name
    assert not missing
    assert not faults


@pytest.mark.parametrize("name", ["office-home", "pacs"])
def test_domains_are_divided_as_published(name):
    benchmark = check(resolve(f"{name}/hps"))
    assert isinstance(benchmark, OfficeHome | Pacs)
    assert (benchmark.train_per_class, benchmark.valid_per_class) == (0.6, 0.1)


PARTITIONS = {
    "stl10-15/lasem-dfcnn-groups": [(1, 2, 3), (4, 5, 6), (7, 8, 9)],
    "cifar100-10/resnet-18/lasem-hps-4-groups": [(1, 2, 3, 4, 5), (6, 7, 8, 9), (10, 11, 12, 13), (14, 15, 16, 17)],
    "cifar100-10/resnet-18/lasem-hps-5-groups": [
        (1, 2, 3, 4, 5), (6, 7, 8, 9), (10, 11, 12, 13), (14, 15), (16, 17),
    ],
    "cifar100-10/resnet-18/lasem-hps-6-groups": [
        (1, 2, 3, 4, 5), (6, 7, 8, 9), (10, 11), (12, 13), (14, 15), (16, 17),
    ],
    "cifar100-10/resnet-18/lasem-hps-7-groups": [
        (1, 2, 3, 4, 5), (6, 7), (8, 9), (10, 11), (12, 13), (14, 15), (16, 17),
    ],
    "stl10-20/lasem-tf-groups": [(1, 3), (2, 4), (5,), (6,)],
}  # fmt: skip


def candidates(name: str):
    spec = resolve(name)
    layers = len(NETWORKS[spec.network.name].layers)
    return build_strategy(spec).space(layers)


@pytest.mark.parametrize("name", PARTITIONS)
def test_partitions_are_as_published(name):
    assert list(candidates(name).partition.groups) == PARTITIONS[name]
    assert len(candidates(name)) == 2 ** len(PARTITIONS[name])
    assert list(candidates(name.replace("-10/", "-40/")).partition.groups) == PARTITIONS[name]


@pytest.mark.parametrize("benchmark", [*MAIN, "stl10-15"])
def test_layer_by_layer_every_configuration_is_a_candidate(benchmark):
    assert len(candidates(f"{benchmark}/lasem-hps")) == 2 ** PUBLISHED[benchmark].layers


@pytest.mark.parametrize(
    ("learner", "bits"),
    [
        ("hps", (1, 1, 1, 1)),
        ("tf-top-1", (0, 0, 0, 1)),
        ("dfcnn-top-3", (0, 1, 1, 1)),
        ("hps-bottom-1", (1, 0, 0, 0)),
        ("tf-bottom-2", (1, 1, 0, 0)),
        ("dfcnn-alternating", (0, 1, 0, 1)),
    ],
)
def test_static_configurations_share_the_published_layers(learner, bits):
    assert candidates(f"office-home/{learner}").layer_digits == (bits,)


@pytest.mark.parametrize("profile", ["paper", "release"])
@pytest.mark.parametrize("kind", OTHERS)
def test_other_learners_are_trained_as_all_are_with_the_options_published_for_them(kind, profile):
    listed = {entry.name for entry in preset_entries()}
    for benchmark in [*MAIN, "stl10-15"]:
        spec = resolve(f"{benchmark}/{kind}", [f"profile={profile}"])
        assert spec.name in listed
        assert not differences(spec, PUBLISHED[benchmark], profile)
        expected = OTHERS[kind] | (RELEASED.get(kind, {}) if profile == "release" else {})
        options = spec.sections[kind]
        assert spec.learner.kind == kind
        assert {key: options[key] for key in expected} == expected


def test_gates_are_the_published_ones_but_where_tasks_are_short():
    found = {}
    for preset in ("cifar100-10/gating", "cifar100-10/gating/small", "digits/gating"):
        spec = resolve(preset)
        learner = build_learner(spec, check(spec).outline(), device=torch.device("cpu"))
        found[preset] = learner.options.gain, learner.options.sparsity, learner.options.patience
    assert found["cifar100-10/gating"] == (1.0, "patience", 20)
    assert found["cifar100-10/gating/small"] == found["digits/gating"] == (20.0, "learned", 0)
