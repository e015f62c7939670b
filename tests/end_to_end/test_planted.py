"""LASEM finds which layers are worth sharing where that is known."""

from lasem.benchmarks import Synthetic
from lasem.runs import build_learner, learn, resolve

SEEDS = range(10)
LONGER = 3
"""Seeds whose stream has a third task too."""


def planted_and_found(seed: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Configurations of the second and later tasks of the preset's stream, shortened to two or three tasks."""
    spec = resolve("synthetic/lasem-hps", [f"seeds.{kind}={seed}" for kind in ("stream", "data", "training")])
    tasks = 3 if seed < LONGER else 2
    stream = Synthetic(tasks=tasks, test_per_class=10).stream(stream_seed=seed, data_seed=seed, data=None)
    learner = build_learner(spec, stream.outline, device=stream[0].train.images.device)
    outcome = learn(learner, stream, epochs=spec.training.epochs)
    return [
        (tuple(plan), tuple(bits or ())) for plan, bits in zip(stream.planted, outcome.configurations, strict=True)
    ][1:]


def test_planted_configuration_of_later_tasks_is_found_in_nine_of_ten_seeds():
    results = [planted_and_found(seed) for seed in SEEDS]
    assert all(plan == (0, 1) for pairs in results for plan, _ in pairs)
    assert sum(all(plan == bits for plan, bits in pairs) for pairs in results) >= 9, results
