"""LASEM finds which layers are worth sharing where that is known."""

import pytest

from lasem.benchmarks import Synthetic
from lasem.runs import build_learner, learn, resolve

LONGER = 3
"""Seeds whose stream has a third task too, in the long test."""


def planted_and_found(seed: int, tasks: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Configurations of the second and later tasks of the preset's stream, shortened to so many tasks."""
    spec = resolve("synthetic/lasem-hps", [f"seeds.{kind}={seed}" for kind in ("stream", "data", "training")])
    stream = Synthetic(tasks=tasks, test_per_class=10).stream(stream_seed=seed, data_seed=seed, data=None)
    learner = build_learner(spec, stream.outline, device=stream[0].train.images.device)
    outcome = learn(learner, stream, epochs=spec.training.epochs)
    return [
        (tuple(plan), tuple(bits or ())) for plan, bits in zip(stream.planted, outcome.configurations, strict=True)
    ][1:]


def test_planted_configuration_of_the_second_task_is_found():
    assert planted_and_found(0, tasks=2) == [((0, 1), (0, 1))]


@pytest.mark.slow
def test_planted_configuration_of_later_tasks_is_found_in_nine_of_ten_seeds():
    results = [planted_and_found(seed, tasks=3 if seed < LONGER else 2) for seed in range(10)]
    assert all(plan == (0, 1) for pairs in results for plan, _ in pairs)
    assert sum(all(plan == bits for plan, bits in pairs) for pairs in results) >= 9, results
