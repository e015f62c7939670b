"""The digits stream."""

from collections import Counter

import pytest
import torch
from sklearn.datasets import load_digits

from lasem.benchmarks import Digits
from lasem.errors import SpecError
from toys import open_stream


def opened(*, stream_seed=0, data_seed=0, **options):
    return open_stream(Digits(**options), stream_seed=stream_seed, data_seed=data_seed)


def test_default_stream_has_ten_tasks_of_three_digits():
    stream = opened()
    assert stream.outline.classes == Digits().outline().classes == (3,) * 10
    assert stream.outline.shape == Digits().outline().shape == (1, 8, 8)
    for task in stream:
        assert task.train.labels.bincount().tolist() == [30] * 3
        assert task.valid.labels.bincount().tolist() == [10] * 3
        assert min(task.test.labels.bincount()) >= 87
        assert (task.train.images.min(), task.train.images.max()) == (0, 1)


def test_every_change_is_used_about_equally_often():
    changes = Counter(
        ("noise" if c["noise_sd"] else "permutation" if c["permutation_seed"] else "inversion" if c["inverted"] else "")
        for c in opened(tasks=12).choices
    )
    assert set(changes.values()) == {3}
    assert len(changes) == 4


def test_no_image_is_for_training_in_one_task_and_for_test_in_another():
    for data_seed in range(3):
        used = {"train": set(), "valid": set(), "test": set()}
        for choice in opened(data_seed=data_seed, tasks=16).choices:
            for split, rows in choice["rows"].items():
                used[split].update(rows)
        assert not used["train"] & used["valid"]
        assert not (used["train"] | used["valid"]) & used["test"]


def test_labels_are_the_digits_and_pixels_are_theirs():
    flat, digits = load_digits(return_X_y=True)
    stream = opened(changes=("none",))
    for choice, task in zip(stream.choices, stream, strict=True):
        rows = choice["rows"]["test"]
        assert [choice["classes"][label] for label in task.test.labels] == digits[rows].tolist()
        original = torch.tensor(flat[rows] / 16).float()
        torch.testing.assert_close(task.test.images.flatten(1), original, atol=0.51 / 255, rtol=0)


def test_tasks_with_a_digit_in_common_draw_different_training_images():
    drawn = [
        set(choice["rows"]["train"])
        for choice in opened(tasks=2, classes_per_task=10, changes=("none", "inversion")).choices
    ]
    assert drawn[0] != drawn[1]
    assert drawn[0] & drawn[1]


def test_seeds_decide_tasks_and_images(same_tensors):
    base = opened()
    assert same_tensors(base, opened())
    assert base.fingerprint == opened().fingerprint

    def tasks(stream):
        return [(c["name"], c["permutation_seed"], c["noise_seed"]) for c in stream.choices]

    assert tasks(opened(data_seed=1)) == tasks(base) != tasks(opened(stream_seed=1))
    assert opened(data_seed=1).choices[0]["rows"] != base.choices[0]["rows"]


def test_revisits_keep_identity_and_images():
    stream = opened(order=(0, 1, 0, 1, 2))
    assert stream.outline.identities == (0, 1, 0, 1, 2)
    assert stream.choices[0] == stream.choices[2] != stream.choices[1]
    assert torch.equal(stream[1].test.images, stream[3].test.images)


@pytest.mark.parametrize(
    "options",
    [
        {"tasks": 0},
        {"classes_per_task": 11},
        {"train_per_class": 71},
        {"valid_per_class": 18},
        {"changes": ()},
        {"noise_sd": -1.0},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(SpecError, match=next(iter(options))):
        Digits(**options)


def test_largest_sizes_can_be_had():
    stream = opened(tasks=1, classes_per_task=10, train_per_class=70, valid_per_class=17)
    assert stream[0].train.labels.bincount().tolist() == [70] * 10
    assert stream[0].valid.labels.bincount().tolist() == [17] * 10
