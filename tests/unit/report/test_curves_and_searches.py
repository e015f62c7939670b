from io import StringIO
from math import log

import numpy as np
import pytest
from rich.console import Console
from run_folders import task_events, write_run

from lasem.records import DecisionRecord
from lasem.report import collect, show
from lasem.report._curves import (
    MOST_POINTS,
    Line,
    entropy,
    group_names,
    leading,
    margin,
    mean_curves,
    task_searches,
    task_turns,
    test_accuracy,
    thin,
    validation_accuracy,
)
from lasem.report._over_tasks import forgetting_bands

test_accuracy.__test__ = False  # a quantity, not a test


def test_learning_curves_are_means_over_tasks(finished):
    found = mean_curves(collect([finished]), test_accuracy)
    (band,) = found.bands
    assert (band.x, band.half_width) == ([1, 2], [None, None])
    assert band.mean == pytest.approx([(0.82 + 0.95 + 0.3) / 3, (0.8 + 0.9 + 0.5) / 3])
    assert [(line.label, line.y) for line in found.tasks][1] == ("t1", [0.95, 0.9])
    (band,) = mean_curves(collect([finished]), validation_accuracy).bands
    assert band.mean == pytest.approx([0.5, 2 / 3])


def test_intervals_are_those_of_the_seeds_means(tmp_path):
    for seed, shift in enumerate((0.0, 0.02)):
        events = [
            e.model_copy(update={"test_accuracy": e.test_accuracy - shift}) if e.event == "epoch" else e
            for t in range(3)
            for e in task_events(t)
        ]
        write_run(tmp_path / f"run-s{seed}-abc", events, seed=seed)
    (band,) = mean_curves(collect([tmp_path]), test_accuracy).bands
    assert band.seeds == 2
    assert band.mean == pytest.approx([0.69 - 0.01, 2.2 / 3 - 0.01])
    # two values 0.02 apart: t(0.975, 1 degree) = 12.706 times 0.02 / 2
    assert band.half_width == pytest.approx([0.12706, 0.12706], abs=1e-5)


def test_a_mean_is_taken_where_every_task_was_measured(tmp_path):
    events = [*task_events(0), *task_events(1)]
    events[1] = events[1].model_copy(update={"test_accuracy": None})
    found = mean_curves(collect([write_run(tmp_path / "run", events)]), test_accuracy)
    assert found.bands[0].x == [2]
    assert found.bands[0].mean == pytest.approx([0.85])


def test_a_task_that_is_being_learned_is_in_no_mean(unfinished):
    (band,) = mean_curves(collect([unfinished]), test_accuracy).bands
    assert (band.label, band.mean) == ("lasem-hps*", [0.82, 0.8])


def test_entropy_is_relative_to_even_odds_and_margin_to_the_runner_up(finished):
    runs = collect([finished])
    assert mean_curves(runs, entropy).bands[0].mean == pytest.approx([1 / log(4)] * 2)
    assert mean_curves(runs, margin).bands[0].mean == pytest.approx([0, (0.1 + 0.5 + 0.8) / 3])


def test_searches_hold_every_configuration_and_the_marginals(finished):
    searches = task_searches(collect([finished])[0])
    second = searches[1]
    assert (second.name, second.size, second.chosen) == ("t1", 4, "10")
    assert {line.label: line.y for line in second.candidates} == {
        "00": [0.25, 0.0], "01": [0.25, 0.1], "10": [0.25, 0.7], "11": [0.25, 0.2],
    }  # fmt: skip
    assert second.marginals == [[0.5, pytest.approx(0.9)], [0.5, pytest.approx(0.3)]]
    assert leading(searches, 3) == ["00", "10", "11"]  # highest 0.9, 0.7, 0.4


def test_a_configuration_that_a_record_leaves_out_has_a_gap(tmp_path):
    events = list(task_events(0))
    events[1] = events[1].model_copy(update={"prior": [(0, 0.6), (1, 0.4)]})
    (search,) = task_searches(collect([write_run(tmp_path / "run", events)])[0])
    assert {line.label: line.y for line in search.candidates}["11"] == [None, 0.4]


def test_a_short_curve_is_kept_as_it_is():
    assert thin("a", {1: 0.1, 2: 0.2, 3: 0.3}) == Line("a", [1, 2, 3], [0.1, 0.2, 0.3])


def test_thinning_keeps_ends_and_spikes():
    y = np.zeros(10_000)
    y[[7, 5_000, 9_321]] = [1, -1, 2]
    found = thin("", dict(enumerate(y.tolist())))
    assert len(found.x) <= MOST_POINTS
    assert (found.x[0], found.x[-1]) == (0, 9_999)
    points = dict(zip(found.x, found.y, strict=True))
    assert (points[7], points[5_000], points[9_321]) == (1, -1, 2)
    assert found.x == sorted(found.x)


def turns_events():
    """A task whose two candidates took turns of two epochs; the first one was chosen, then the second is learned."""
    first, epoch, *_ = task_events(0)
    yield first.model_copy(update={"candidates": ["00", "11"]})
    for number, (candidate, valid) in enumerate([(0, 0.9), (0, 0.8), (1, 0.7), (1, 0.6)]):
        yield epoch.model_copy(
            update={"epoch": number + 1, "task_epoch": number % 2 + 1, "candidate": candidate, "valid_accuracy": valid,
                    "test_accuracy": valid / 2, "prior": None, "marginals": None}
        )  # fmt: skip


def test_of_candidates_in_turn_the_curve_is_that_of_the_chosen_one(tmp_path):
    events = list(turns_events())
    (run,) = collect([write_run(tmp_path / "open", events)])
    assert test_accuracy(run.tasks[0]) == {1: 0.45, 2: 0.4}
    (turns,) = task_turns(run)
    assert turns.candidates == [Line("00", [1, 2], [0.9, 0.8]), Line("11", [1, 2], [0.7, 0.6])]
    decision = DecisionRecord(task=0, epoch=4, configuration=[1, 1], candidate=1)
    (run,) = collect([write_run(tmp_path / "ended", [*events, decision])])
    assert test_accuracy(run.tasks[0]) == {1: 0.35, 2: 0.3}
    assert run.tasks[0].curve.valid.tolist() == [0.7, 0.6]


def test_showing_a_run_whose_candidates_take_turns_names_the_present_one(tmp_path):
    (run,) = collect([write_run(tmp_path / "run", list(turns_events())[:-1])])
    console = Console(width=200, record=True, file=StringIO())
    console.print(show(run))
    assert "candidate 11, number 2 in turn" in console.export_text()


@pytest.mark.parametrize(
    ("partition", "names"),
    [
        ("", ["layer 1", "layer 2"]),
        ('partition = "{2,4},{1,3}"', ["layers 1,3", "layers 2,4"]),
        ('partition = "{1-5}"', ["group 1", "group 2"]),
    ],
)
def test_groups_are_named_by_their_layers(finished, partition, names):
    with (finished / "spec.toml").open("a") as file:
        file.write(f"\n[search]\n{partition}\n")
    (run,) = collect([finished])
    assert group_names(run, 2) == task_searches(run)[0].groups == names


def test_a_long_search_is_thinned(tmp_path):
    first, epoch, *_ = task_events(0)
    epochs = [epoch.model_copy(update={"epoch": e, "task_epoch": e}) for e in range(1, 2001)]
    (search,) = task_searches(collect([write_run(tmp_path / "run", [first, *epochs])])[0])
    assert all(len(line.x) <= MOST_POINTS for line in search.candidates)
    assert (search.epochs[0], search.epochs[-1]) == (1, 2000)


def test_epochs_of_a_search_are_counted_from_the_start_of_the_stream(finished):
    assert [search.start for search in task_searches(collect([finished])[0])] == [0, 2, 4]


def test_a_learner_that_searches_nothing_has_no_searches(tmp_path):
    nothing = {"prior": None, "marginals": None, "configuration": None}
    events = [e.model_copy(update=nothing) if e.event in ("epoch", "decision") else e for e in task_events(0)]
    (run,) = collect([write_run(tmp_path / "run", events)])
    assert task_searches(run) == task_turns(run) == []
    assert run.configurations == [None]


def test_forgetting_as_tasks_arrive_is_a_mean_over_seeds(finished, second_seed):
    (band,) = forgetting_bands(collect([finished.parent]))
    assert (band.label, band.seeds, band.x, band.mean) == ("lasem-hps", 2, [1, 2], pytest.approx([0.75, 0.65]))
