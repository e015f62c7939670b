"""Every strategy passes the contract, with the options that change its steps."""

import pytest

from lasem.configurations import ConfigurationSpace, Partition
from lasem.nn import TensorFactorization
from lasem.search import DARTS, EM, STRATEGIES, CommitAt, DrawnEM, Fixed, InTurn
from lasem.testing import SMALL_NETWORKS, StrategyContract

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


class TestGroups(StrategyContract):
    network = SMALL_NETWORKS["skips"]

    def make(self):
        return EM(partition=Partition.parse("{1},{2,3}"))

    def test_its_candidates_have_a_bit_per_stage_and_are_always_the_same(self):
        assert self.make().space(3).names() == ["00", "01", "10", "11"]
