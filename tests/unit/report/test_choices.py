import numpy as np
import pytest
from run_folders import write_learner

from lasem.report import collect
from lasem.report._choices import Choice, choices, configuration_name, shared_fractions
from lasem.report._over_tasks import accuracy_matrices


@pytest.mark.parametrize(
    ("bits", "name"),
    [("1111", "all"), ("0000", "none"), ("0011", "top-2"), ("1000", "bottom-1"), ("0101", "alternating"),
     ("0110", None), ("01", "top-1"), ("010", "alternating")],
)  # fmt: skip
def test_configurations_have_the_names_of_presets(bits, name):
    assert configuration_name(bits) == name


def test_choices_are_counted_over_tasks_and_seeds(tmp_path):
    rows = {0: [[1, 1], [1, 0], [0, 0]], 1: [[1, 0], [1, 0], [0, 1]]}
    write_learner(tmp_path, "lasem-hps", strategy="em", seeds=(0, 1), configurations=lambda seed: rows[seed])
    (found,) = choices(collect([tmp_path]), most=2)
    assert (found.seeds, found.tasks) == (2, 6)
    assert found.most == [Choice("10", "bottom-1", 3 / 6), Choice("11", "all", 1 / 6)]
    assert (found.others, found.rest) == (2, pytest.approx(2 / 6))
    assert found.layers == pytest.approx([4 / 6, 2 / 6])


def test_learners_that_search_nothing_choose_nothing(tmp_path):
    assert choices(collect([write_learner(tmp_path, "hps")])) == []


def test_share_maps_are_means_over_seeds(tmp_path):
    rows = {0: [[1, 1], [1, 0], [0, 0]], 1: [[1, 0], [0, 0], [0, 1]]}
    write_learner(tmp_path, "lasem-hps", strategy="em", seeds=(0, 1), configurations=lambda seed: rows[seed])
    (found,) = shared_fractions(collect([tmp_path]))
    assert found.tasks == ["t0", "t1", "t2"]
    assert found.shared.tolist() == [[1, 0.5, 0], [0.5, 0, 0.5]]


def test_a_share_map_of_an_unfinished_run_leaves_open_what_is_not_decided(unfinished):
    (found,) = shared_fractions(collect([unfinished]))
    assert found.label == "lasem-hps*"
    assert found.shared[:, 0].tolist() == [1, 1]
    assert np.isnan(found.shared[:, 1]).all()


def test_accuracy_matrices_are_means_over_seeds(tmp_path):
    rows = {
        0: [[0.8, None, None], [0.6, 0.9, None], [0.6, 0.8, 0.7]],
        1: [[0.6, None, None], [0.4, 0.7, None], [0.2, 0.4, 0.5]],
    }
    write_learner(tmp_path, "hps", seeds=(0, 1), accuracy=lambda seed: rows[seed])
    (found,) = accuracy_matrices(collect([tmp_path]))
    np.testing.assert_allclose(found.accuracy, [[0.7, np.nan, np.nan], [0.5, 0.8, np.nan], [0.4, 0.6, 0.6]])
