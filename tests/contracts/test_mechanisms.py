"""Every mechanism passes the contract; a mechanism takes part by being in the registry."""

import pytest

from lasem.nn import MECHANISMS
from lasem.testing import MechanismContract


@pytest.mark.parametrize("name", MECHANISMS)
class TestMechanisms(MechanismContract):
    @pytest.fixture(autouse=True)
    def choice(self, name):
        self.name = name

    def make(self):
        return MECHANISMS[self.name]()
