"""Every learner shows, within seconds, the advantage that its paper claims."""

from dataclasses import replace
from statistics import mean

import pytest
import torch
from streams import accuracy, digits, many_then_few, moved, permuted, trained

from lasem.benchmarks import Digits, Synthetic
from lasem.learners import parameter_counts
from lasem.runs import build_learner, resolve
from lasem.runs import learn as learn_stream

SEEDS = (0, 1)


def test_progressive_networks_learn_a_task_of_few_images_from_a_column_that_saw_many():
    alone, helped = [], []
    for seed in SEEDS:
        tasks = many_then_few(seed, many=20)
        alone.append(accuracy(trained("digits/stl", tasks[1:], epochs=[40], seed=seed), tasks[1], 1))
        helped.append(accuracy(trained("digits/prognn-rusu", tasks, epochs=[15, 40], seed=seed), tasks[1], 1))
    assert mean(helped) > mean(alone) + 0.2
    assert all(one > other for one, other in zip(helped, alone, strict=True))


@pytest.mark.slow
def test_den_retrains_some_units_of_a_network_that_has_learned_and_does_not_end_below_separate_networks():
    tasks = permuted(0, tasks=3, train=30)[:2]
    learner = trained("digits/den", tasks, epochs=[25, 25])
    assert accuracy(learner, tasks[0], 0) > 0.8
    selected, units = learner.growth().selected, [len(layer) for layer in learner.grown.seen[0]]
    assert all(0 < some <= all_of_them for some, all_of_them in zip(selected, units, strict=True))
    assert selected[-1] < units[-1]
    separate = trained("digits/stl", tasks[1:], epochs=[25])
    assert accuracy(learner, tasks[1], 1) > accuracy(separate, tasks[1], 1) - 0.03


@pytest.mark.slow
def test_consolidation_retains_a_task_in_a_single_network_that_learns_another_permutation():
    tasks = permuted(0, tasks=2, train=10)
    free, held = (trained(f"digits/{name}", tasks, epochs=[35, 35]) for name in ("snn", "ewc-single"))
    assert accuracy(held, tasks[0], 0) > accuracy(free, tasks[0], 0) + 0.1
    assert accuracy(held, tasks[1], 1) > 0.6


@pytest.mark.slow
def test_consolidation_retains_the_older_half_of_a_stream_of_forty_short_tasks():
    benchmark = Digits(tasks=40, classes_per_task=5, train_per_class=6, changes=("none", "permutation"))
    tasks = list(benchmark.stream(stream_seed=0, data_seed=0, data=None))
    old = {}
    for name in ("hps", "ewc"):
        learner = trained(f"digits/{name}", tasks, epochs=[10] * 40, fast=True)
        old[name] = mean(accuracy(learner, task, number) for number, task in enumerate(tasks[:20]))
    assert old["ewc"] > old["hps"] + 0.05
    assert old["hps"] > 0.3  # chance is 0.2


@pytest.mark.slow
def test_gating_leaves_a_third_of_the_channels_to_later_tasks_at_little_cost():
    gated, separate = [], []
    for seed in (*SEEDS, 2):
        tasks = digits(seed, tasks=2)
        learner = trained("digits/gating", tasks, epochs=[45, 45], seed=seed, fast=True)
        first = sum(int(part.sum()) for part in learner.relevant(0))
        assert 0 < first < 2 / 3 * sum(len(part) for part in learner.relevant(0))
        assert first < sum(learner.growth().units)
        for number, task in enumerate(tasks):
            alone = trained("digits/stl", [replace(task, identity=0)], epochs=[15], seed=seed, fast=True)
            gated.append(accuracy(learner, task, number))
            separate.append(accuracy(alone, task, 0))
    assert mean(gated) > mean(separate) - 0.05


@pytest.mark.slow
def test_apd_changes_old_answers_less_than_plain_sharing_and_adds_less_than_a_network_per_task():
    tasks = digits(0, tasks=2)
    learner = trained("digits/apd", tasks[:1], epochs=[25], settings=("apd.sparsity=2e-3",), fast=True)
    sharing = trained("digits/hps", tasks[:1], epochs=[15], fast=True)
    separate = trained("digits/stl", [replace(tasks[1], identity=0)], epochs=[15], fast=True)
    assert moved(learner, tasks, epochs=25) < 0.25 * moved(sharing, tasks, epochs=15)
    assert accuracy(learner, tasks[1], 1) > accuracy(separate, tasks[1], 0) - 0.05
    assert parameter_counts(learner).per_task[1] < 0.75 * sum(parameter_counts(separate).per_task)


def test_darts_finds_that_a_task_of_few_images_gains_from_sharing():
    tasks = many_then_few(0, many=20)
    learner = trained("digits/darts-hps", tasks, epochs=[15, 40], settings=("learner.first_task=shared",))
    alone = trained("digits/stl", tasks[1:], epochs=[40])
    assert sum(learner.configuration(1)) >= 2
    assert accuracy(learner, tasks[1], 1) > accuracy(alone, tasks[1], 1) + 0.1


def on_planted_stream(preset, stream):
    """Learn a stream whose second task has a known configuration; return its accuracy and its configuration."""
    spec = resolve(f"synthetic/{preset}", ["training.epochs=2"])
    learner = build_learner(spec, stream.outline, device=torch.device("cpu"))
    outcome = learn_stream(learner, stream, epochs=2)
    return outcome.measures.accuracy[1][1], outcome.configurations[1]


@pytest.mark.parametrize("search", ["lasem-hps", pytest.param("brute-force-hps", marks=pytest.mark.slow)])
def test_a_search_shares_the_layers_that_are_worth_it_and_beats_sharing_none_and_all(search):
    stream = Synthetic(tasks=2, test_per_class=100).stream(stream_seed=0, data_seed=0, data=None)
    reached, found = on_planted_stream(search, stream)
    assert found == list(stream.planted[1])
    assert all(reached > on_planted_stream(static, stream)[0] + 0.15 for static in ("stl", "hps"))
