"""A few seconds of the attack of `attack.py`, in every area; the same attempts in every run of the tests."""

import pytest
from attack import AREAS, attack

SECONDS = 2.0
ATTEMPTS = 40


@pytest.mark.parametrize("area", AREAS)
def test_what_is_odd_ends_with_one_clear_error(area):
    counts, findings = attack([area], iter(range(ATTEMPTS)), seconds=SECONDS)
    assert counts[area] > 0
    assert not findings
