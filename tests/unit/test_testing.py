"""The contract kits find what they are there to find, and say what they need."""

import subprocess
import sys

import pytest

from lasem.benchmarks import Digits
from lasem.search import EM, EMSearch
from lasem.testing import BenchmarkContract, StrategyContract


def test_without_pytest_the_kits_say_what_to_install():
    code = "import sys; sys.modules['pytest'] = None; import lasem.testing"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "pytest must be installed to use lasem.testing" in found.stderr


def test_a_kit_needs_make():
    class TestNothing(StrategyContract):
        pass

    with pytest.raises(TypeError, match="make"):
        TestNothing()


class CopiedState(EMSearch):
    def state(self):
        return {name: value.clone() for name, value in super().state().items()}


class Forgetful(EM):
    def search(self, space, *, network, schedule):
        return CopiedState(self, space, network=network, schedule=schedule)


def test_a_search_whose_state_is_not_live_is_found():
    class TestForgetful(StrategyContract):
        def make(self):
            return Forgetful()

    TestForgetful().test_the_leader_is_always_a_candidate()
    with pytest.raises(AssertionError):
        TestForgetful().test_its_state_is_live()


def test_a_benchmark_that_ignores_its_order_is_found():
    class TestDeaf(BenchmarkContract):
        def make(self, *, order=None, **options):
            return Digits(tasks=3, train_per_class=5, valid_per_class=3, **options)

    TestDeaf().test_first_tasks_ends_the_stream()
    with pytest.raises(AssertionError):
        TestDeaf().test_order_chooses_among_the_base_tasks()
