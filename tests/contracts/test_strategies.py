"""Every strategy passes the contract, with the options that change its steps."""

from dataclasses import replace

import pytest

from lasem.configurations import ConfigurationSpace, Partition
from lasem.nn import HardParameterSharing, LoRA, TensorFactorization
from lasem.search import DARTS, EM, STRATEGIES, CommitAt, DrawnEM, Fixed, InTurn
from lasem.testing import SMALL_NETWORKS, StrategyContract
from lasem.training import Training

CASES = {
    "fixed": Fixed("alternating"),
    "em": EM(),
    "em, counts": EM(prior="counts", restart="epoch", evidence="mean", ties="enumeration"),
    "em, two m-steps": EM(m_steps=2),
    "em, epsilon": EM(epsilon=0.01),
    "em, sum of held-out evidence": EM(prior="sum", temper=0.5, held_out="half", evidence_from=1),
    "em, commit": EM(commit_at=CommitAt(share=0.5), stop_when_certain=True),
    "drawn-em": DrawnEM(draws=4),
    "darts": DARTS(),
    "darts, held out": DARTS(optimizer="adam", order="second", held_out="valid"),
    "brute-force": InTurn(),
}


def test_every_strategy_takes_part():
    assert {type(case) for case in CASES.values()} == {*STRATEGIES.values()}


@pytest.mark.parametrize("case", CASES)
class TestStrategies(StrategyContract):
    @pytest.fixture(autouse=True)
    def choice(self, case):
        self.case = case
        self.trains_all = case not in ("em, epsilon", "em, commit")

    def make(self):
        return CASES[self.case]

    def candidates(self, strategy):
        space = super().candidates(strategy)
        return ConfigurationSpace.only(space.layer_digits[1]) if self.case == "brute-force" else space


@pytest.mark.parametrize("kind", ["skips", "batch norm"])
@pytest.mark.parametrize("case", ["em", "darts"])
class TestOnOtherNetworks(StrategyContract):
    mechanism = TensorFactorization()

    @pytest.fixture(autouse=True)
    def choice(self, case, kind):
        self.case, self.network = case, SMALL_NETWORKS[kind]

    def make(self):
        return CASES[self.case]


THREE = {
    "frozen": (Fixed("frozen"), "norms", HardParameterSharing()),
    "em": (EM(), "lora", LoRA(rank=2)),
    "em, listed": (EM(candidates=((2, 0), (2, 1), (2, 2))), "copy", HardParameterSharing()),
    "drawn-em": (DrawnEM(draws=6), "lora", HardParameterSharing()),
    "darts": (DARTS(), "norms", LoRA()),
}
"""Strategies on a network with the frozen branch, with a kind of own branches and a mechanism."""


@pytest.mark.parametrize("case", THREE)
class TestThreeBranches(StrategyContract):
    training = Training(batch_size=6, epochs=2, learning_rate=0.01, optimizer="adam")  # large steps: B is 0 at first
    # These claims are the same with any number of branches.
    test_a_step_returns_a_detached_finite_scalar = None
    test_its_state_is_live = None

    @pytest.fixture(autouse=True)
    def choice(self, case):
        self.strategy, own, self.mechanism = THREE[case]
        self.network = replace(SMALL_NETWORKS["batch norm" if own == "norms" else "plain"], own=own, frozen=True)

    def make(self):
        return self.strategy

    def test_its_candidates_have_a_bit_per_stage_and_are_always_the_same(self):
        space = self.strategy.space(2, branches=3)
        assert space == self.strategy.space(2, branches=3)
        assert any(2 in digits for digits in space.candidates)


class TestGroups(StrategyContract):
    network = SMALL_NETWORKS["skips"]

    def make(self):
        return EM(partition=Partition.parse("{1},{2,3}"))

    def test_its_candidates_have_a_bit_per_stage_and_are_always_the_same(self):
        assert self.make().space(3).names() == ["00", "01", "10", "11"]
