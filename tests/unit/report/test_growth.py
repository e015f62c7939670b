"""The data of growth, against numbers made up."""

from dataclasses import replace

import pytest
from run_folders import grown, write_learner

from lasem.report import collect
from lasem.report._over_tasks import growth


def test_what_is_held_is_a_mean_over_seeds_after_each_task(tmp_path):
    runs = collect([write_learner(tmp_path, "den", seeds=(0, 2))])
    (curves,) = growth([grown(run, per_task=100 + run.seed) for run in runs])
    assert (curves.parameters.x, curves.parameters.seeds) == ([1, 2, 3], 2)
    assert curves.parameters.mean == [101, 202, 303]
    assert curves.parameters.half_width == pytest.approx([12.706 * n for n in (1, 2, 3)], rel=1e-4)
    assert curves.units == []


def test_units_are_told_per_layer(tmp_path):
    (run,) = collect([write_learner(tmp_path, "den")])
    (curves,) = growth([grown(run, units=[(4, 8), (5, 8), (9, 10)])])
    assert [(band.label, band.mean) for band in curves.units] == [("layer 1", [4, 5, 9]), ("layer 2", [8, 8, 10])]
    assert curves.units[0].half_width == [None, None, None]


def test_seeds_are_averaged_over_the_tasks_that_all_have_learned(tmp_path):
    runs = [grown(run) for run in collect([write_learner(tmp_path, "den", seeds=(0, 1))])]
    last = max(i for i, event in enumerate(runs[1].events) if event.event == "evaluation")
    short = runs[1].events[:last]
    (curves,) = growth([runs[0], replace(runs[1], events=short)])
    assert curves.parameters.x == [1, 2]


def test_records_without_what_is_held_are_left_out(finished):
    assert growth(collect([finished])) == []
