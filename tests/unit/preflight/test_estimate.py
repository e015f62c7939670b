import math
import re
import time
from dataclasses import replace

import pytest
import torch

from lasem.learners import trainings
from lasem.preflight import estimate
from lasem.preflight._estimate import _Run
from lasem.preflight._shares import Shares, searched_shares
from lasem.preflight._steps import StepTimes, measure, random_task
from lasem.presets import learner_entries
from lasem.runs import build_learner, check, learn, resolve
from lasem.runs._evaluation import Evaluation
from lasem.search import EM, CommitAt, Fixed, RunningMean, Schedule, SearchProgress

CPU = torch.device("cpu")
SMALL = ["network.name=synthetic-3", "training.epochs=4", "benchmark.first_tasks=2"]


@pytest.fixture
def steady(monkeypatch):
    """A step of one network takes 1 s and one of a search 4 s, however busy the machine is."""

    def times(learner, outline, *, device):
        step = 1.0 if isinstance(learner.strategy, Fixed) else 4.0
        return replace(measure(learner, outline, device=device), step=step)

    monkeypatch.setattr("lasem.preflight._estimate.measure", times)


def estimated(name, *settings):
    spec = resolve(f"digits/{name}", [*SMALL, *settings])
    return estimate(spec, check(spec).outline(), device=CPU)


@pytest.mark.parametrize(
    ("name", "settings", "candidates"),
    [
        ("lasem-hps", [], 8),
        ("lasem-hps", ["search.partition={1,3},{2}"], 4),
        ("lasem-hps", ["learner.strategy=drawn-em", "search.draws=2"], 8),
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
    shortest, longest = found.seconds
    assert 0 < shortest == longest < 60
    assert math.isfinite(longest)


@pytest.mark.parametrize(
    ("name", "cost", "measure"),
    [
        ("brute-force-hps", {"call": 1.0}, lambda _: 1),
        ("hps", {"call": 1.0}, lambda _: 1),
        ("hps", {"answer": 1.0}, len),
    ],
)
def test_evaluations_are_foreseen_as_a_run_makes_them(monkeypatch, name, cost, measure):
    planned, made = evaluations(monkeypatch, name, cost, measure)
    assert planned == made


def test_tasks_that_nothing_affects_are_tested_once_after_a_commit(monkeypatch):
    """The estimate tests every earlier task after every commit; single-task learning has no reason to."""
    planned, made = evaluations(monkeypatch, "stl", {"call": 1.0}, lambda _: 1)
    tasks = len(check(resolve("digits/stl", SMALL)).outline().identities)
    assert planned - made == tasks * (tasks - 1) // 2 > 0


def evaluations(monkeypatch, name, cost, measure):
    """Return what evaluations of a run cost by its estimate, and by what it really asks its learner."""
    spec = resolve(f"digits/{name}", [*SMALL, "benchmark.train_per_class=10", "benchmark.max_test=30"])
    learner, found = build_learner(spec, check(spec).outline(), device=CPU), []
    answer = learner.logits
    monkeypatch.setattr(learner, "logits", lambda x, task, **k: (found.append(measure(x)), answer(x, task, **k))[1])
    stream = check(spec).stream(stream_seed=0, data_seed=0, data=None)
    learn(learner, stream, epochs=4, evaluation=Evaluation())
    seconds = {"step": 0.0, "statistics": 0.0, "call": 0.0, "answer": 0.0} | cost
    trained = tuple(trainings(learner, stream.outline.identities))
    planned = _Run(spec, stream.outline, CPU, capture=False, trainings=trained)
    return planned.evaluation(StepTimes(**seconds, saved_bytes=0), sum(trained)), sum(found)


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


def test_memory_counts_what_progressive_networks_keep_of_older_columns():
    one, three = (estimated("prognn", "training.epochs=1", f"benchmark.first_tasks={tasks}") for tasks in (1, 3))
    read = 8 * 4**2 + 16 * 2**2  # values of the first two layers of synthetic-3 per image
    assert three.model_bytes - one.model_bytes == 4 * 90 * 2 * read


ALIKE = re.compile(
    r".*-(top|bottom|alternating)|(tf|dfcnn|lora)$|(darts|brute-force)-(tf|dfcnn|lora)$|lasem-(tf|dfcnn-retained)$"
)
"""Learners that differ from others in data, or whose mechanism, strategy and retention take part with another one."""
ESTIMATED = [entry.name for entry in learner_entries(3) if not ALIKE.match(entry.name)]


@pytest.mark.parametrize("name", ESTIMATED)
def test_every_learner_can_be_estimated_without_data(name):
    assert estimated(name).parameters.search > 0


def test_a_learner_is_built_on_its_device():
    spec = resolve("digits/lasem-hps")
    learner = build_learner(spec, check(spec).outline(), device=CPU)
    assert {p.device for p in learner.backbone.parameters()} == {CPU}


# Time on a busy machine


@pytest.mark.parametrize("slow", [0, 1, 2])
def test_a_repeat_that_a_busy_machine_slows_down_does_not_count(monkeypatch, slow):
    """The first call warms up, and one of the repeats after it is held up by another process."""
    spec = resolve("digits/stl", SMALL)
    outline = check(spec).outline()
    learner, calls = build_learner(spec, outline, device=CPU), []
    train = learner.train_epoch

    def sometimes_slow():
        calls.append(None)
        time.sleep(0.3 if len(calls) == 1 + slow else 0.0)
        return train()

    monkeypatch.setattr(learner, "train_epoch", sometimes_slow)
    assert measure(learner, outline, device=CPU).step < 0.1
    assert len(calls) >= 4


def test_threads_of_the_run_are_those_of_its_estimate(monkeypatch):
    used = []
    monkeypatch.setattr(
        "lasem.preflight._estimate.measure",
        lambda *about, **more: (used.append(torch.get_num_threads()), measure(*about, **more))[1],
    )
    spec, before = resolve("digits/stl", SMALL), torch.get_num_threads()
    estimate(spec, check(spec).outline(), device=CPU, threads=3)
    assert used == [3]
    assert torch.get_num_threads() == before


# What only the run can tell


@pytest.mark.parametrize(
    ("options", "least", "most", "words"),
    [
        ({}, 1, 1, ()),
        ({"commit_at": CommitAt(share=0.25)}, 0.25, 0.25, ()),
        ({"commit_at": CommitAt(prior=0.9)}, 0, 1, ("commit_at.prior",)),
        ({"commit_at": CommitAt(prior=0.9, share=0.25)}, 0.25, 1, ("commit_at.prior",)),
        ({"stop_when_certain": True}, 0.5, 1, ("stop_when_certain",)),
        ({"stop_when_certain": True, "restart": "epoch"}, 0.95, 1, ("stop_when_certain",)),
        ({"stop_when_certain": True, "commit_at": CommitAt(share=0.25)}, 0.25, 0.25, ()),
        ({"epsilon": 0.01}, 0, 1, ("epsilon",)),
    ],
)
def test_the_share_of_steps_that_search_is_a_range_with_its_reason(options, least, most, words):
    found = searched_shares(EM(**options), epochs=10)
    assert (found.least, found.most) == pytest.approx((least, most))
    assert len(found.reasons) == len(words)
    assert all(text.startswith(word) for text, word in zip(found.reasons, words, strict=True))
    assert searched_shares(Fixed(), epochs=10) == Shares()


@pytest.mark.usefixtures("steady")
def test_drawn_lists_are_estimated_by_their_steps_as_long_as_they_search():
    """A list of eight is some times the work of one network, and a search that ends soon hides none of it."""
    drawn = ["learner.strategy=drawn-em", "search.draws=8"]
    soon, late = (estimated("lasem-hps", *drawn, f"search.commit_at.share={share}") for share in (0.05, 0.95))
    assert late.seconds[0] == late.seconds[1] > 1.2 * soon.seconds[0]
    assert soon.seconds[0] == pytest.approx(2 * 4 * 9 * (0.05 * 4 + 0.95))  # tasks, epochs, batches, seconds of a step
    grouped = estimated("lasem-hps", *drawn, "search.commit_groups=0.1")
    assert grouped.seconds[0] < grouped.seconds[1]
    assert grouped.reasons == ("commit_groups may settle all groups early or never",)


@pytest.mark.parametrize(("share", "steps"), [(None, 4 * 4), (0.5, 2 * 4 + 2 * 9)])
def test_a_search_that_holds_out_half_of_the_images_takes_fewer_steps(share, steps):
    commit = [] if share is None else [f"search.commit_at.share={share}"]
    assert estimated("lasem-hps", "search.held_out=half", *commit).steps_per_task == steps


def test_no_search_is_certain_before_the_least_share_of_its_steps():
    """The leading candidate wins every step, so the outcome is certain as early as it can be."""
    epochs, batches = 10, 9
    for restart in ("task", "epoch"):
        progress, prior = SearchProgress(Schedule(batches, epochs), restart=restart), RunningMean(2, device=CPU)
        for step in range(epochs * batches):
            if restart == "epoch" and step % batches == 0:
                prior.restart()
            prior.update(torch.tensor([0.0, -math.inf], dtype=torch.float64))
            progress.advance()
            progress.note_margin(prior.margin())
        share = progress.decision.certain / (epochs * batches)
        least = searched_shares(EM(stop_when_certain=True, restart=restart), epochs=epochs).least
        assert least <= share <= least + 1.5 / (epochs * batches)


@pytest.mark.usefixtures("steady")
def test_a_search_that_may_end_early_takes_between_two_times():
    plain, early = estimated("lasem-hps"), estimated("lasem-hps", "search.commit_at={prior=0.99}")
    assert plain.seconds[0] == plain.seconds[1]
    assert early.seconds[0] < early.seconds[1]
    assert "commit_at.prior" in early.reasons[0]


def test_a_task_that_comes_back_is_not_searched_again(monkeypatch):
    monkeypatch.setattr(
        "lasem.preflight._estimate.measure",
        lambda learner, outline, device: (
            learner.begin_task(random_task(learner, outline, device=device)),
            StepTimes(1.0 if len(learner.space) == 1 else 10.0, 0.0, 0.0, 0.0, saved_bytes=0),
        )[1],
    )
    monkeypatch.setattr("lasem.preflight._estimate.LONGEST", math.inf)
    spec = resolve("digits/lasem-hps", [*SMALL[:2], "benchmark.order=[0, 1, 0]"])
    found = estimate(spec, check(spec).outline(), device=CPU)
    assert found.seconds == (9 * 4 * (10 + 10 + 1),) * 2


def test_one_network_is_not_estimated_to_take_longer_than_a_search():
    spec = resolve("digits/lasem-hps", SMALL)
    run = _Run(spec, check(spec).outline(), CPU, capture=False, trainings=(1, 1))
    assert run.training(1.0, 2.0, 0.5) == run.training(1.0, 1.0, 0.5) == run.training(1.0, 2.0, 1.0)
