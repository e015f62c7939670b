"""Every learner passes the contract: all presets on a plain network, and the main ones on every kind of network."""

import re
from dataclasses import replace

import pytest
import torch

from lasem.benchmarks import TaskStream
from lasem.configurations import Partition
from lasem.learners import LEARNERS, AbstractLearner, CountsParameters, SelectiveTransfer, Setup
from lasem.nn import HardParameterSharing, LoRA
from lasem.presets import learner_entries
from lasem.runs import build_learner, check, resolve
from lasem.search import DARTS, EM, DrawnEM, Fixed, InTurn
from lasem.testing import SMALL_NETWORKS, LearnerContract, learn_task, make_task
from lasem.testing._toys import SMALL_TRAINING

STATIC = ("hps", "hps-top-1", "tf-alternating", "dfcnn-bottom-1", "lora-top-1")
"""Some static configurations of every mechanism; a configuration is data of one and the same learner."""
ALIKE = re.compile(r"(hps|tf|dfcnn|lora)(-|$)|(darts|brute-force)-(tf|dfcnn|lora)$|lasem-(tf|dfcnn-retained)$")
"""Learners whose mechanism, strategy and retention all take part with another one."""
NAMES = [
    entry.name
    for entry in learner_entries(len(LearnerContract.network.layers))
    if entry.name in STATIC or not ALIKE.match(entry.name)
]
SETTINGS = ["training.batch_size=6", "training.epochs=2", "training.learning_rate=0.01", "training.decay=0.1"]


def of_searches(name):
    """Search on a smaller network, brute force with fewer candidates."""
    smaller = ["network.name=synthetic-3"] if name.startswith(("lasem", "darts", "brute-force")) else []
    return smaller + (["search.partition={1,2},{3}"] if name.startswith("brute-force") else [])


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        *((name, "paper") for name in NAMES),
        ("lasem-dfcnn", "release"),
        ("darts-hps", "release"),
        ("brute-force-hps", "release"),
    ],
)
class TestPresets(LearnerContract):
    @pytest.fixture(autouse=True)
    def preset(self, name, profile):
        self.spec = resolve(f"digits/{name}", [*SETTINGS, *of_searches(name), f"profile={profile}"])
        self.reads_untrained = name.startswith("prognn")
        check(self.spec)

    def make(self, setup):
        return build_learner(self.spec, setup.outline, device=torch.device("cpu"))

    def test_it_takes_part_in_what_only_some_can_do(self):
        learner = self.new_learner()
        assert isinstance(learner, AbstractLearner)
        assert isinstance(learner, CountsParameters)
        kind, strategy = self.spec.learner.kind, self.spec.strategy
        assert isinstance(learner, SelectiveTransfer) == (
            self.spec.learner.name == "ewc" or (kind == "selective" and strategy.kind != "brute-force")
        )


STRATEGIES = {
    "all": ("selective", Fixed("all")),
    "em": ("selective", EM()),
    "darts": ("selective", DARTS()),
    "brute force": ("selective", InTurn(partition=Partition.parse("{1,2}"))),
    "ewc": ("ewc", Fixed("all")),
    "snn": ("snn", Fixed("all")),
}


class AbstractOnNetworks(LearnerContract):
    # These claims are the same on every network.
    test_misuse_is_told_and_changes_nothing = None
    test_the_values_of_a_state_are_json = None
    test_the_status_is_a_distribution_or_none = None
    test_a_task_that_does_not_fit_the_network_is_refused_and_changes_nothing = None


@pytest.mark.parametrize("kind", ["skips", "batch norm", "wrapped modules"])
@pytest.mark.parametrize("learner", STRATEGIES)
class TestNetworks(AbstractOnNetworks):
    @pytest.fixture(autouse=True)
    def choice(self, kind, learner):
        self.network = SMALL_NETWORKS[kind]
        self.kind, self.strategy = STRATEGIES[learner]
        if learner == "brute force" and kind == "skips":
            self.strategy = InTurn(partition=Partition.parse("{1},{2,3}"))

    def make(self, setup):
        return LEARNERS[self.kind]().build(setup)


THREE = {
    "frozen, own lora": (Fixed("frozen"), "lora", HardParameterSharing()),
    "em, own and shared lora": (EM(), "lora", LoRA(rank=2)),
    "darts, own norms": (DARTS(), "norms", HardParameterSharing()),
    "drawn-em, own copy": (DrawnEM(draws=6), "copy", HardParameterSharing()),
    "brute force, own norms": (InTurn(candidates=((2, 2), (2, 0), (1, 1))), "norms", HardParameterSharing()),
}
"""Strategies on a network with the frozen branch, with a kind of own branches and a mechanism."""


@pytest.mark.parametrize("case", THREE)
class TestThreeBranches(AbstractOnNetworks):
    @pytest.fixture(autouse=True)
    def choice(self, case):
        self.strategy, own, self.mechanism = THREE[case]
        self.network = replace(SMALL_NETWORKS["batch norm" if own == "norms" else "plain"], own=own, frozen=True)

    def make(self, setup):
        return LEARNERS["selective"]().build(setup)

    def test_a_number_that_is_not_finite_is_told_with_its_place_and_leaves_parameters_finite(self):
        if self.strategy == Fixed("frozen"):
            pytest.skip("features of frozen stages are computed before the test spoils the images")
        super().test_a_number_that_is_not_finite_is_told_with_its_place_and_leaves_parameters_finite()


def test_a_single_network_trains_and_counts_the_same_with_a_frozen_branch_which_it_does_not_take():
    task, found = make_task(), []
    for frozen in (False, True):
        setup = Setup(
            network=replace(SMALL_NETWORKS["plain"], frozen=frozen), outline=TaskStream.of([task]).outline,
            mechanism=HardParameterSharing(), strategy=Fixed("all"), training=SMALL_TRAINING,
        )  # fmt: skip
        learner = LEARNERS["snn"]().build(setup)
        found.append((learn_task(learner, task), learner.parameter_counts()))
    assert found[0] == found[1]
