import math

import pytest
import torch

from lasem.preflight import estimate
from lasem.preflight._estimate import Measured, _evaluation
from lasem.presets import learner_entries
from lasem.runs import resolve
from lasem.runs import build_learner, check, learn
from lasem.runs._loop import Evaluation

CPU = torch.device("cpu")
SMALL = ["network.name=synthetic-3", "training.epochs=4", "benchmark.first_tasks=2"]


def estimated(name, *settings):
    spec = resolve(f"digits/{name}", [*SMALL, *settings])
    return estimate(spec, check(spec).outline(), device=CPU)


@pytest.mark.parametrize(
    ("name", "settings", "candidates"),
    [
        ("lasem-hps", [], 8),
        ("lasem-hps", ["search.partition={1,3},{2}"], 4),
        ("hps", [], 1),
        ("snn", [], 1),
        ("brute-force-hps", [], 8),
    ],
)
def test_an_estimate_counts_candidates(name, settings, candidates):
    assert estimated(name, *settings).candidates == candidates


@pytest.mark.parametrize(("settings", "steps"), [([], 9 * 4), (["search.m_steps=2"], 9 * 4 * 2)])
def test_an_estimate_counts_optimizer_steps(settings, steps):
    assert estimated("lasem-hps", *settings).steps_per_task == steps


@pytest.mark.parametrize(("profile", "trainings"), [("paper", 8 + 8), ("release", 1 + 8)])
def test_an_estimate_counts_every_candidates_epochs(profile, trainings):
    found = estimated("brute-force-hps", f"profile={profile}")
    assert (found.steps_per_task, found.steps) == (8 * 9 * 4, trainings * 9 * 4)


def test_an_estimate_is_positive_and_finite():
    found = estimated("lasem-hps")
    assert 0 < found.seconds < 60
    assert math.isfinite(found.seconds)


@pytest.mark.parametrize(
    ("name", "cost", "measure"),
    [
        ("brute-force-hps", {"call": 1.0}, lambda _: 1),
        ("stl", {"call": 1.0}, lambda _: 1),
        ("stl", {"answer": 1.0}, len),
    ],
)
def test_evaluations_are_foreseen_as_a_run_makes_them(monkeypatch, name, cost, measure):
    spec = resolve(f"digits/{name}", [*SMALL, "benchmark.train_per_class=10", "benchmark.max_test=30"])
    learner, found = build_learner(spec, check(spec).outline(), device=CPU), []
    answer = learner.logits
    monkeypatch.setattr(learner, "logits", lambda x, task, **k: (found.append(measure(x)), answer(x, task, **k))[1])
    stream = check(spec).stream(stream_seed=0, data_seed=0, data=None)
    learn(learner, stream, epochs=4, evaluation=Evaluation())
    seconds = {"step": 0.0, "statistics": 0.0, "call": 0.0, "answer": 0.0} | cost
    trainings = sum(learner.trainings(stream.outline.identities))
    measured = Measured(**seconds, saved_bytes=0)
    assert _evaluation(spec, stream.outline, measured=measured, trainings=trainings) == sum(found)


def test_activations_hold_at_least_the_leaves_features_and_less_than_separate_networks_would():
    found = estimated("lasem-hps", "training.keep=1.0")
    first, second, third = 8 * 64, 16 * 16, 16 * 4  # values per image after each convolution of synthetic-3
    least = 4 * 10 * (8 * third)
    separate = 4 * 10 * 8 * 6 * (first + second + third)
    assert least <= found.activation_bytes <= separate


def test_the_search_trains_both_branches_and_keeps_the_knowledge_aside():
    search, static = estimated("lasem-hps"), estimated("hps")
    convolutions = static.parameters.shared
    assert search.parameters.search == static.parameters.search + convolutions
    assert search.parameters.rollback == static.parameters.rollback == convolutions


def test_brute_force_keeps_the_knowledge_and_the_best_candidate_aside():
    found, static = estimated("brute-force-hps").parameters, estimated("hps").parameters
    assert found.search == static.search
    assert found.rollback == static.rollback + static.search


@pytest.mark.parametrize("name", [entry.name for entry in learner_entries(3)])
def test_every_learner_can_be_estimated_without_data(name):
    assert estimated(name).parameters.search > 0


def test_a_learner_is_built_on_its_device():
    spec = resolve("digits/lasem-hps")
    learner = build_learner(spec, check(spec).outline(), device=CPU)
    assert {p.device for p in learner.backbone.parameters()} == {CPU}
