import pytest
from run_folders import result, write_learner

from lasem.records import Parameters, PeakAccuracy
from lasem.report import collect
from lasem.report._costs import cost_points, memory, regrets
from lasem.report._over_tasks import forgetting_panels


def counts(shared, per_task, search):
    return Parameters(shared=shared, per_task=per_task, search=search)


def peaks(values):
    series = {"per_task": values, "mean": sum(values) / len(values)}
    return PeakAccuracy(validation=series, test=series)


def ratios(curve):
    return result().forgetting_ratio.model_copy(update={"curve": curve})


def test_memory_is_held_against_the_bounds_of_the_appendix(tmp_path):
    write_learner(tmp_path, "stl", configuration="none", parameters=counts(0, [50, 50, 50], 50))
    write_learner(tmp_path, "hps", parameters=counts(30, [20, 20, 20], 50))
    write_learner(tmp_path, "lasem-hps", strategy="em", parameters=counts(30, [20, 50, 35], 80))
    found = {row.label: row for row in memory(collect([tmp_path]))}
    lasem = found["lasem-hps"]
    assert (lasem.shared, lasem.per_task, lasem.end) == (30, 35, 135)
    assert lasem.most == 20 + 50 + 80  # two earlier tasks, and what is trained
    assert (lasem.bound, lasem.bound_text) == (30 + 4 * 50, "S + 4 max(A, B)")
    assert found["hps"].bound == 30 + 3 * 50
    assert (found["stl"].bound, found["stl"].missing) == (None, ())


def test_a_bound_without_the_runs_it_needs_names_them(tmp_path):
    (row,) = memory(collect([write_learner(tmp_path, "lasem-hps", strategy="em")]))
    assert (row.bound, row.missing) == (None, ("digits/stl", "digits/hps"))


def test_regret_is_what_brute_force_reaches_beyond_a_learner_with_the_same_seed(tmp_path):
    write_learner(
        tmp_path, "brute-force-hps", strategy="brute-force", seeds=(0, 1, 2), peak_accuracy=peaks([0.9, 0.8, 0.7])
    )
    ours = {0: [0.8, 0.8, 0.75], 1: [0.9, 0.8, 0.7]}
    write_learner(tmp_path, "lasem-hps", strategy="em", seeds=(0, 1), peak_accuracy=lambda seed: peaks(ours[seed]))
    (row,) = regrets(collect([tmp_path]))
    assert (row.label, row.seeds) == ("lasem-hps", 2)
    assert row.tasks == pytest.approx([0.05, 0, -0.025])
    assert row.mean.mean == pytest.approx((0.05 / 3 + 0) / 2)


def test_brute_force_over_another_mechanism_is_no_reference(tmp_path):
    write_learner(tmp_path, "brute-force-tf", strategy="brute-force", extra="")
    spec = next(tmp_path.glob("*/spec.toml"))
    spec.write_text(spec.read_text().replace('strategy = "brute-force"', 'strategy = "brute-force"\nmechanism = "tf"'))
    write_learner(tmp_path, "lasem-hps", strategy="em")
    assert regrets(collect([tmp_path])) == []


def test_costs_are_means_over_seeds(tmp_path):
    (point,) = cost_points(collect([write_learner(tmp_path, "hps", seeds=(0, 2))]))
    assert (point.label, point.peak.runs, point.seconds.mean, point.stored.mean) == ("hps", 2, 10.0, 160.0)


def test_the_best_static_configuration_is_the_one_with_the_highest_peak(tmp_path):
    write_learner(tmp_path, "hps", forgetting_ratio=ratios([0.9, 0.8]))
    write_learner(tmp_path, "hps-top-1", configuration="top-1", peak_accuracy=peaks([0.5] * 3))
    write_learner(
        tmp_path, "hps-top-2", configuration="top-2", seeds=(0, 1), peak_accuracy=peaks([0.6] * 3),
        forgetting_ratio=lambda seed: ratios([1.0, 0.9 + 0.04 * seed]),
    )  # fmt: skip
    write_learner(tmp_path, "stl", configuration="none", peak_accuracy=peaks([0.9] * 3))
    write_learner(tmp_path, "lasem-hps", strategy="em", forgetting_ratio=ratios([1.0, None]))
    (panel,) = forgetting_panels(collect([tmp_path]))
    lines = {band.label: band for band in panel.bands}
    assert panel.title == "hps on digits"
    assert list(lines) == ["all layers", "best static (top-2)", "LASEM", "stl"]
    assert panel.roles == ["all", "static", "", ""]
    assert (lines["all layers"].x, lines["all layers"].mean) == ([1, 2], [0.9, 0.8])
    assert lines["best static (top-2)"].mean == pytest.approx([1.0, 0.92])
    assert lines["LASEM"].x == [1]


def test_forgetting_has_a_panel_per_mechanism_and_a_line_per_learner(tmp_path):
    write_learner(tmp_path, "hps")
    write_learner(tmp_path, "hps-slow", extra="\n[training]\nlearning_rate = 0.01\n")
    write_learner(tmp_path, "ewc", configuration="none")
    write_learner(tmp_path, "tf", extra="\n[mechanism]\nkind = 'tf'\n")
    for file in tmp_path.glob("tf-*/spec.toml"):
        file.write_text(file.read_text().replace('name = "tf"', 'name = "tf"\nmechanism = "tf"'))
    panels = forgetting_panels(collect([tmp_path]))
    assert {panel.title: [band.label for band in panel.bands] for panel in panels} == {
        "learners on digits": ["ewc"], "hps on digits": ["hps", "hps-slow"], "tf on digits": ["all layers"],
    }  # fmt: skip
