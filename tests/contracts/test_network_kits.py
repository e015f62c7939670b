"""One network of every kind, and the small ones of the registry, pass the contract."""

import pytest

from lasem.nn import NETWORKS
from lasem.testing import SMALL_NETWORKS, NetworkContract

CASES = SMALL_NETWORKS | {name: NETWORKS[name] for name in ("digits-3", "synthetic-3", "cifar-4")}


@pytest.mark.parametrize("name", CASES)
class TestNetworks(NetworkContract):
    @pytest.fixture(autouse=True)
    def choice(self, name):
        self.name = name

    def make(self):
        return CASES[self.name]
