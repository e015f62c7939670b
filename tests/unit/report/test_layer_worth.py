"""What an answer about layers is worth: accuracies beside each other, what is chance, and the cost in static steps."""

from dataclasses import replace
from math import sqrt

import pytest
from run_folders import write_learner

from lasem.records import DecisionRecord
from lasem.report import chance, collect, compare, static_steps


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name in ("search", "full"):
        write_learner(folder, name, strategy="em")
    return {run.learner: run for run in collect([folder])}


def test_accuracies_are_those_after_the_last_task(runs):
    rivals = compare(runs)
    assert [rival.name for rival in rivals] == list(runs)
    assert list(rivals[0].accuracy) == runs["search"].measures.accuracy[-1]
    assert rivals[0].mean == pytest.approx(sum(rivals[0].accuracy) / 3)
    assert rivals[0].seconds == runs["search"].training_seconds


def test_chance_is_two_standard_errors_of_a_difference(runs):
    run = runs["search"]
    rivals = [replace(compare(runs)[0], accuracy=(0.5, 0.5, 0.5))]
    assert chance(run, rivals) is None  # the number of test images is not known
    known = replace(run, stream={"outline": {"images": {"test": 100}}})
    assert chance(known, rivals) == pytest.approx(2 * sqrt(2 * 0.25 / 300))


def test_steps_after_the_decision_cost_those_of_one_network(runs):
    """Two epochs of four batches for each of three tasks; two of them settle after two and after six steps."""
    settled = {0: 2, 1: 6}
    events = tuple(
        event.model_copy(update={"settled": settled.get(event.task)}) if isinstance(event, DecisionRecord) else event
        for event in runs["search"].events
    )
    run = replace(runs["search"], events=events, stream={"outline": {"images": {"train": 40}}})
    searched = (2 / 8 + 6 / 8 + 1) / 3
    assert static_steps(run, work=7.0, batch_size=10) == pytest.approx(searched * 7 + (1 - searched))
