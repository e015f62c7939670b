import numpy as np
import pytest

from lasem.metrics import (
    LearningCurve,
    accuracy_matrix,
    average_incremental_accuracy,
    backward_transfer,
    epochs_to_fraction,
    final_accuracy,
    forgetting,
    forgetting_ratio_curve,
    forgetting_ratios,
    forward_transfer,
    latest_visits,
    measures,
    peak_accuracy,
    spread,
)
from lasem.records import Result

NAN = np.nan
R = accuracy_matrix({0: [0.8], 1: [0.6, 0.9], 2: [0.4, 0.72, 0.5]}, 3)
REVISITED = accuracy_matrix({0: [0.8], 1: [0.6, 0.9], 2: [0.85, 0.5, 0.85]}, 3)
VISITS = [0, 1, 0]


def curve(valid, test):
    return LearningCurve(np.array(valid, float), np.array(test, float))


CURVES = [curve([0.5, 0.7], [0.82, 0.8]), curve([0.9, 0.9], [0.95, 0.9]), curve([0.1, 0.4], [0.3, 0.5])]


def test_the_matrix_keeps_the_future_and_the_unmeasured_undefined():
    matrix = accuracy_matrix({0: [0.8], 2: [0.4, 0.72, 0.5]}, 3)
    np.testing.assert_array_equal(matrix, [[0.8, NAN, NAN], [NAN, NAN, NAN], [0.4, 0.72, 0.5]])


def test_validation_selects_the_first_of_its_best_epochs():
    peak = peak_accuracy(curve([0.2, 0.6, 0.6], [0.7, 0.5, 0.4]))
    assert peak == (0.5, 0.7)


def test_an_epoch_without_test_accuracy_is_not_selected():
    assert peak_accuracy(curve([0.2, 0.9, 0.6], [0.7, NAN, 0.4])) == (0.4, 0.7)


@pytest.mark.parametrize("empty", [curve([], []), curve([0.5], [NAN])])
def test_a_peak_without_measurements_is_undefined(empty):
    assert np.isnan(peak_accuracy(empty)).all()
    assert epochs_to_fraction(empty) is None


def test_epochs_are_counted_from_one_to_98_percent_of_the_best():
    # 0.98 * 0.7 = 0.686, which floating point puts just above 0.686
    assert epochs_to_fraction(curve([0] * 4, [0.3, 0.685, 0.686, 0.7])) == 3
    assert epochs_to_fraction(curve([0] * 3, [0.3, NAN, 0.5])) == 3


def test_98_percent_of_nothing_is_undefined():
    assert epochs_to_fraction(curve([0, 0], [0, 0])) is None


def test_final_and_average_incremental_accuracy():
    assert final_accuracy(R) == pytest.approx((0.4 + 0.72 + 0.5) / 3)  # 0.54
    assert average_incremental_accuracy(R) == pytest.approx((0.8 + 0.75 + 0.54) / 3)


def test_forgetting_ratio_divides_by_the_end_of_a_tasks_own_training():
    np.testing.assert_allclose(forgetting_ratios(R, R.diagonal()), [0.5, 0.8, NAN])  # 0.4 / 0.8, 0.72 / 0.9
    np.testing.assert_allclose(forgetting_ratio_curve(R, R.diagonal()), [0.75, 0.65])  # 0.6 / 0.8; (0.5 + 0.8) / 2


def test_a_reference_of_zero_leaves_the_ratio_undefined_and_the_mean_to_the_others():
    references = np.array([0.0, 0.9, 0.5])
    np.testing.assert_allclose(forgetting_ratios(R, references), [NAN, 0.8, NAN])
    np.testing.assert_allclose(forgetting_ratio_curve(R, references), [NAN, 0.8])


def test_forgetting_starts_from_the_best_and_backward_transfer_from_the_end():
    better_first = accuracy_matrix({0: [0.5], 1: [0.6, 0.8], 2: [0.3, 0.6, 0.9]}, 3)
    assert forgetting(better_first) == pytest.approx(((0.6 - 0.3) + (0.8 - 0.6)) / 2)  # 0.25
    assert backward_transfer(better_first) == pytest.approx(((0.3 - 0.5) + (0.6 - 0.8)) / 2)  # -0.2


def test_forward_transfer_leaves_out_the_first_task():
    assert forward_transfer(R, np.array([0.1, 0.8, 0.7])) == pytest.approx((0.1 - 0.2) / 2)


@pytest.mark.parametrize("measure", [final_accuracy, average_incremental_accuracy, backward_transfer, forgetting])
def test_no_task_no_value(measure):
    assert np.isnan(measure(np.empty((0, 0))))


def test_a_task_that_comes_back_counts_once_and_by_its_latest_visit():
    assert latest_visits(VISITS) == [1, 2]
    assert final_accuracy(REVISITED, VISITS) == pytest.approx((0.5 + 0.85) / 2)  # 0.675
    assert average_incremental_accuracy(REVISITED, VISITS) == pytest.approx((0.8 + 0.75 + 0.675) / 3)
    np.testing.assert_allclose(
        forgetting_ratios(REVISITED, REVISITED.diagonal(), identities=VISITS), [NAN, 0.5 / 0.9, NAN]
    )
    assert backward_transfer(REVISITED, VISITS) == pytest.approx(0.5 - 0.9)
    assert forgetting(REVISITED, VISITS) == pytest.approx(0.9 - 0.5)
    assert forward_transfer(REVISITED, np.array([0.1, 0.8, 0.7]), identities=VISITS) == pytest.approx((0.1 + 0.15) / 2)


def test_spread_is_students_interval():
    result = spread([1, 2, None, 3, 4, 5, NAN])
    assert result[:2] == (5, 3.0)
    assert result.deviation == pytest.approx(2.5**0.5)
    assert result.half_width == pytest.approx(2.776 * 2.5**0.5 / 5**0.5, rel=1e-3)  # t table, 4 degrees of freedom


def test_one_run_has_a_mean_and_no_interval():
    alone = spread([0.4])
    assert alone[:2] == (1, 0.4)
    assert np.isnan(alone[2:]).all()
    assert np.isnan(spread([]).mean)


def test_measures_of_a_finished_run():
    found = measures(R, CURVES, stl=np.array([0.1, 0.8, 0.7]))
    assert found.accuracy == [[0.8, None, None], [0.6, 0.9, None], [0.4, 0.72, 0.5]]
    assert found.peak_accuracy.validation.per_task == [0.8, 0.95, 0.5]
    assert found.peak_accuracy.validation.mean == pytest.approx(0.75)
    assert found.peak_accuracy.test.per_task == [0.82, 0.95, 0.5]
    assert found.peak_accuracy.test.mean == pytest.approx(2.27 / 3)
    assert found.forgetting_ratio.per_task == [pytest.approx(0.5), pytest.approx(0.8), None]
    assert found.forgetting_ratio.mean == pytest.approx(0.65)
    assert found.forgetting_ratio.curve == pytest.approx([0.75, 0.65])
    assert found.backward_transfer == pytest.approx((-0.4 - 0.18) / 2)
    assert found.forgetting == pytest.approx((0.4 + 0.18) / 2)
    assert found.forward_transfer == pytest.approx(-0.05)
    assert found.epochs_to_98_percent == [1, 1, 2]
    assert found.undefined == {"forgetting_ratio.per_task": "task 2: nothing was learned after it"}


def test_the_reference_may_be_the_peak_that_validation_selects():
    found = measures(R, CURVES, reference="peak")
    assert found.forgetting_ratio.reference == "peak"
    assert found.forgetting_ratio.per_task == [pytest.approx(0.4 / 0.8), pytest.approx(0.72 / 0.95), None]


def test_an_unfinished_run_is_measured_over_the_tasks_it_learned():
    begun = [CURVES[0], CURVES[1], curve([0.3], [0.2]), curve([], [])]
    found = measures(accuracy_matrix({0: [0.8], 1: [0.6, 0.9]}, 4), begun)
    assert found.peak_accuracy.validation.per_task == [0.8, 0.95, 0.2, None]
    assert found.peak_accuracy.validation.mean == pytest.approx(0.875)
    assert found.final_accuracy == pytest.approx(0.75)
    assert found.forgetting_ratio.per_task == [pytest.approx(0.75), None, None, None]
    assert found.undefined["forgetting_ratio.per_task"] == (
        "task 1: nothing was learned after it; task 2: not learned yet; task 3: not learned yet"
    )


def test_a_run_without_a_learned_task_has_reasons_and_no_numbers():
    found = measures(np.full((1, 1), NAN), [curve([0.3], [0.2])])
    assert (found.final_accuracy, found.forgetting, found.peak_accuracy.test.mean) == (None, None, None)
    assert found.undefined["final_accuracy"] == "no task was learned yet"
    assert found.undefined["forward_transfer"] == "no run of single-task learning was given"


def test_a_single_task_has_nothing_to_forget():
    found = measures(np.array([[0.8]]), CURVES[:1], stl=np.array([0.7]))
    assert found.final_accuracy == 0.8
    for name in ("forgetting_ratio.mean", "backward_transfer", "forgetting", "forward_transfer"):
        assert found.undefined[name] == "no task was learned before the last one"


def test_an_earlier_visit_has_a_peak_but_no_ratio():
    found = measures(REVISITED, CURVES, identities=VISITS)
    assert found.peak_accuracy.validation.mean == pytest.approx((0.95 + 0.5) / 2)
    assert "task 0: visited again later" in found.undefined["forgetting_ratio.per_task"]


def test_arguments_that_disagree_are_refused():
    with pytest.raises(ValueError, match="same tasks"):
        measures(R, CURVES[:2])


def test_measures_fill_a_result():
    rest = {
        "name": "n", "learner": "stl", "benchmark": "digits", "network": "cifar-4", "profile": "paper", "seed": 0,
        "device": "cpu", "complete": True, "tasks": ["a", "b", "c"], "configurations": None,
        "parameters": {"shared": 1, "per_task": [1, 1, 1], "search": 2}, "seconds": {"training": 1, "evaluation": 1},
    }  # fmt: skip
    result = Result(**rest, **dict(measures(R, CURVES)))
    assert result.forgetting_ratio.mean == pytest.approx(0.65)
    assert Result.model_validate_json(result.model_dump_json()) == result
