"""The comparison of drawn lists with the exact search in `perf/drawn_fidelity.py`."""

import drawn_fidelity
import pytest
from search_quality import stream_of

from lasem.runs import resolve


@pytest.fixture(scope="module")
def tasks():
    (preset, *settings), groups = drawn_fidelity.CASES["digits-3"]
    spec = resolve(preset, [*settings, "training.epochs=2"])
    return list(drawn_fidelity.compare(spec, stream_of(spec, None), groups, tasks=2))


def test_every_task_is_learned_by_all_searches_from_the_same_state(tasks):
    assert len(tasks) == 2
    for task in tasks:
        assert list(task["searches"]) == ["exact", "exact, other seed", "prior per group", "4 drawn"]
        assert len(task["probes"]) == 8
        assert all(len(found["chosen"]) == len(found["marginals"]) == 3 for found in task["searches"].values())


def test_search_by_all_configurations_begins_as_the_exact_one_and_another_seed_does_not(tasks):
    for task in tasks:
        exact, other, per_group, _ = (found["marginals"] for found in task["searches"].values())
        assert per_group == pytest.approx(exact, abs=0.01)  # two short epochs: the priors have hardly moved
        assert other != exact
