"""A short form of perf/soak.py."""

import pytest
from soak import cases, soak


@pytest.mark.slow
def test_runs_killed_at_random_moments_end_as_ones_that_were_not(tmp_path):
    tallies = soak(cases(["lasem-hps", "brute-force-hps"]), tmp_path, kills=6, seconds=60)
    assert [tally.faults for tally in tallies] == [[], []]
    assert all(tally.kills == 3 and tally.compared >= 1 for tally in tallies)
