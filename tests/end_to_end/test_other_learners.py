"""ProgNN, EWC and channel gating learn streams of real images, and forget what they should, or nothing."""

import os
from functools import cache
from pathlib import Path

import pytest

from lasem.benchmarks import TaskStream
from lasem.runs import build_learner, check, learn, resolve

ROOT = Path(os.environ.get("LASEM_DATA", "absent"))
QUICK = ["training.optimizer=adam"]
NAMES = ("prognn", "ewc", "gating")


def outcome(preset, settings, *, tasks, epochs):
    spec = resolve(preset, [*QUICK, *settings, f"benchmark.first_tasks={tasks}"])
    data = ROOT if ROOT.is_dir() else None
    stream = check(spec).stream(stream_seed=0, data_seed=0, data=data)
    assert isinstance(stream, TaskStream)
    learner = build_learner(spec, stream.outline, device=stream[0].train.images.device)
    return learn(learner, stream, epochs=epochs)


@cache
def on_digits(name, *settings):
    return outcome(f"digits/{name}", settings, tasks=3, epochs=15).measures


def learned(measures):
    """Accuracy of each task at the end of its own training."""
    return [row[task] for task, row in enumerate(measures.accuracy)]


@pytest.mark.parametrize("name", NAMES)
def test_every_task_of_digits_is_learned_far_better_than_by_chance(name):
    measures = on_digits(name)
    assert min(learned(measures)) > 0.5  # chance: a third
    assert measures.final_accuracy > 0.75


@pytest.mark.parametrize("name", ["prognn", "gating"])
def test_progressive_networks_and_gating_forget_nothing(name):
    assert on_digits(name).forgetting_ratio.per_task[:2] == [1.0, 1.0]


@pytest.mark.parametrize("online", ["false", "true"])
def test_ewc_forgets_less_than_plain_fine_tuning(online):
    held, plain = on_digits("ewc", f"ewc.online={online}"), on_digits("hps")
    assert held.forgetting_ratio.mean > plain.forgetting_ratio.mean + 0.02
    assert held.final_accuracy > plain.final_accuracy


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_tasks_of_cifar_100_are_learned_better_than_by_chance(name):
    if not (ROOT / "cifar100").is_dir():
        pytest.skip("LASEM_DATA has no folder 'cifar100'" if "LASEM_DATA" in os.environ else "LASEM_DATA is not set")
    settings = [
        "training.learning_rate=1e-3",
        "benchmark.max_test=200",
        *(["ewc.fisher=sampled"] if name == "ewc" else []),
    ]
    measures = outcome(f"cifar100-10/{name}", settings, tasks=2, epochs=6).measures
    assert min(learned(measures)) > 0.18  # chance: a tenth; 200 test images
