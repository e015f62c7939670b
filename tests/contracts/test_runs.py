"""A run goes on exactly where it stopped, whatever learner it has; a learner takes part by being in the registry."""

import re

import pytest
from torch import nn

from lasem.presets import learner_entries
from lasem.runs import resolve
from lasem.testing import RunContract

SETTINGS = [
    "benchmark.first_tasks=3", "benchmark.order=[0, 1, 0]", "benchmark.train_per_class=10", "benchmark.max_test=30",
    "network.name=synthetic-3", "training.epochs=2", "training.decay=0.1",
]  # fmt: skip
ALIKE = re.compile(
    r"-(top|bottom)-\d+$|-alternating$|^(tf|dfcnn|lora)$|^(darts|brute-force)-(tf|dfcnn|lora)$"
    r"|^lasem-(tf|dfcnn-retained)$"
)
"""Learners that differ from others in data, or in a mechanism, strategy or retention that others show."""
NAMES = [entry.name for entry in learner_entries() if not ALIKE.search(entry.name)]
SEARCHES = re.compile(r"(lasem|darts|brute-force)-")


def small():
    """A network of two stages for specs with the frozen branch."""
    stages = [nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)) for a, b in ((1, 4), (4, 6))]
    return nn.Sequential(*stages, nn.Flatten(), nn.Linear(6 * 4, 10))


class TestRunsWithThreeBranches(RunContract):
    def make(self):
        network = [
            f"network.name={__name__}:small",
            'network.stages=["0", "1"]',
            "network.frozen=true",
            "network.own=lora",
        ]
        search = ["learner.strategy=drawn-em", "search.draws=6"]
        return resolve("digits/lasem-lora", [*(s for s in SETTINGS if not s.startswith("network")), *network, *search])


@pytest.mark.parametrize("name", NAMES)
class TestRuns(RunContract):
    @pytest.fixture(autouse=True)
    def choice(self, name):
        self.name = name

    def make(self):
        groups = ["search.partition={1,2},{3}"] if SEARCHES.match(self.name) else []
        return resolve(f"digits/{self.name}", SETTINGS + groups)
