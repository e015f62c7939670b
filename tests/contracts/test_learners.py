"""Every learner passes the contract: all presets on a plain network, and the main ones on every kind of network."""

import pytest
import torch

from lasem.configurations import Partition
from lasem.learners import LEARNERS, AbstractLearner, CountsParameters, SelectiveTransfer
from lasem.presets import learner_entries
from lasem.runs import build_learner, check, resolve
from lasem.search import DARTS, EM, Fixed, InTurn
from lasem.testing import SMALL_NETWORKS, LearnerContract

STATIC = ("hps", "hps-top-1", "tf-alternating", "dfcnn-bottom-1")
"""Some static configurations of every mechanism; a configuration is data of one and the same learner."""
ALIKE = ("darts-tf", "darts-dfcnn", "brute-force-tf", "brute-force-dfcnn")
"""Searches whose mechanism takes part with LASEM, and whose strategy with another mechanism."""
NAMES = [
    entry.name
    for entry in learner_entries(len(LearnerContract.network.layers))
    if entry.name in STATIC or not entry.name.startswith(("hps", "tf", "dfcnn", *ALIKE))
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


@pytest.mark.parametrize("kind", [kind for kind in SMALL_NETWORKS if kind != "plain"])
@pytest.mark.parametrize("learner", STRATEGIES)
class TestNetworks(LearnerContract):
    # These claims are the same on every network.
    test_misuse_is_told_and_changes_nothing = None
    test_the_values_of_a_state_are_json = None
    test_the_status_is_a_distribution_or_none = None
    test_a_task_that_does_not_fit_the_network_is_refused_and_changes_nothing = None

    @pytest.fixture(autouse=True)
    def choice(self, kind, learner):
        self.network = SMALL_NETWORKS[kind]
        self.kind, self.strategy = STRATEGIES[learner]
        if learner == "brute force" and kind == "skips":
            self.strategy = InTurn(partition=Partition.parse("{1},{2,3}"))

    def make(self, setup):
        return LEARNERS[self.kind]().build(setup)
