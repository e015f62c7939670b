"""CIFAR-100's tasks, on generated images whose colors spell class, number and split."""

from collections import Counter

import pytest
import torch

from lasem.benchmarks import Cifar100
from lasem.benchmarks._cifar100 import SUPERCLASSES, reuse_classes, superclass_tasks
from lasem.errors import DataError, SpecError

BASE = [tuple(range(10 * task, 10 * task + 10)) for task in range(10)]


def open_stream(data_root, *, stream_seed=0, data_seed=0, **options):
    return Cifar100(**options).stream(stream_seed=stream_seed, data_seed=data_seed, data=data_root)


def test_superclasses_hold_every_class_once():
    names = [name for group in SUPERCLASSES for fine in group.values() for name in fine]
    assert len(names) == len(set(names)) == 100
    assert [len(group) for group in SUPERCLASSES] == [10, 10]
    assert all(list(fine) == sorted(fine) for group in SUPERCLASSES for fine in group.values())


def test_base_task_takes_one_class_of_each_superclass():
    tasks = superclass_tasks()
    for task, names in enumerate(tasks):
        assert [name in fine for name, fine in zip(names, SUPERCLASSES[task // 5].values(), strict=True)] == [True] * 10
    assert tasks[0][:3] == ("beaver", "aquarium fish", "orchid")
    assert tasks[9][-2:] == ("willow tree", "tractor")


@pytest.mark.parametrize(("num_tasks", "times"), [(10, 1), (20, 2), (40, 4)])
def test_each_class_appears_in_equally_many_distinct_tasks(num_tasks, times):
    tasks = reuse_classes(BASE, num_tasks=num_tasks)
    counts = Counter(label for task in tasks for label in task)
    assert set(counts.values()) == {times}
    assert len(counts) == 100
    assert len({frozenset(task) for task in tasks}) == len(tasks) == num_tasks
    assert all(len(set(task)) == 10 for task in tasks)


def test_twenty_tasks_alternate_base_and_mixed_tasks():
    tasks = reuse_classes(BASE, num_tasks=20)
    assert tasks[0::2] == [BASE[k] for k in (0, 5, 1, 6, 2, 7, 3, 8, 9, 4)]
    assert tasks[1] == (0, 2, 4, 6, 8, 51, 53, 55, 57, 59)
    assert tasks[19] == (40, 42, 44, 46, 48, 1, 3, 5, 7, 9)


def test_last_twenty_of_forty_tasks_pair_half_tasks():
    tasks = reuse_classes(BASE, num_tasks=40)
    assert tasks[20] == (0, 50, 2, 52, 4, 54, 6, 56, 8, 58)
    assert tasks[21] == (1, 51, 3, 53, 5, 54, 6, 56, 8, 58)
    assert tasks[39] == (0, 50, 2, 52, 4, 95, 47, 97, 49, 99)


def test_sizes_are_those_of_the_table():
    for tasks in (10, 20, 40):
        outline = Cifar100(tasks=tasks).outline()
        assert outline.images == {"train": 170, "valid": 30, "test": 1000}
        assert (outline.shape, outline.classes) == ((3, 32, 32), (10,) * tasks)


def test_a_task_gets_images_of_its_own_classes_and_splits(data_root):
    stream = open_stream(data_root)
    for choice, task in zip(stream.choices, stream, strict=True):
        assert [len(split) for split in task.splits.values()] == [170, 30, 40]
        assert [split.labels.bincount().tolist() for split in task.splits.values()] == [[17] * 10, [3] * 10, [4] * 10]
        per_class = 25
        for name, number in (("train", per_class), ("valid", per_class), ("test", 4)):
            classes = [choice["classes"][label] for label in task.splits[name].labels]
            assert [row // number for row in choice["rows"][name]] == classes
        assert not set(choice["rows"]["train"]) & set(choice["rows"]["valid"])


def test_pixels_are_standardized_by_training_images_of_the_task(data_root):
    task = open_stream(data_root)[3]
    spread, mean = torch.std_mean(task.train.images, dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(mean[:2], torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(spread[:2], torch.ones(2), atol=1e-5, rtol=0)
    assert (task.train.images[:, 2] == 0).all(), "a channel without spread is only centered"
    assert task.test.images[:, 1].mean().abs() > 0.5, "test images keep their own statistics"


def test_each_split_is_standardized_by_itself_on_request(data_root):
    task = open_stream(data_root, standardize="each")[3]
    for split in task.splits.values():
        spread, mean = torch.std_mean(split.images[:, :2], dim=(0, 2, 3), correction=0)
        torch.testing.assert_close(mean, torch.zeros(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(spread, torch.ones(2), atol=1e-5, rtol=0)


def test_equal_seeds_give_equal_streams(data_root, same_tensors):
    one, other = open_stream(data_root, first_tasks=3), open_stream(data_root, first_tasks=3)
    assert one.fingerprint == other.fingerprint
    assert one.choices == other.choices
    assert same_tensors(one, other)
    assert torch.equal(one[1].test.images, one[1].test.images)


def test_data_seed_changes_images_and_not_classes(data_root):
    one, other = open_stream(data_root, split="random"), open_stream(data_root, split="random", data_seed=1)
    assert [c["classes"] for c in one.choices] == [c["classes"] for c in other.choices]
    assert all(a["rows"] != b["rows"] for a, b in zip(one.choices, other.choices, strict=True))
    assert one.fingerprint != other.fingerprint


def test_stream_seed_changes_random_classes_and_not_which_images_a_class_has(data_root):
    one, other = (open_stream(data_root, split="random", stream_seed=seed) for seed in (0, 1))
    groups = [[choice["classes"] for choice in stream.choices] for stream in (one, other)]
    assert groups[0] != groups[1]
    rows = [sorted(row for choice in stream.choices for row in choice["rows"]["train"]) for stream in (one, other)]
    assert rows[0] == rows[1]


def test_a_class_has_the_same_images_in_each_of_its_tasks(data_root):
    stream = open_stream(data_root, tasks=40)
    drawn = {}
    for choice in stream.choices:
        for split in ("train", "valid"):
            for row in choice["rows"][split]:
                drawn.setdefault((split, row // 25), set()).add(row)
    assert {len(rows) for (split, _), rows in drawn.items() if split == "train"} == {17}
    assert {len(rows) for (split, _), rows in drawn.items() if split == "valid"} == {3}


def test_disjoint_draws_share_no_image(data_root):
    options = {"train_per_class": 4, "valid_per_class": 1, "disjoint_draws": True}
    seen = []
    for data_seed in range(5):
        choices = open_stream(data_root, data_seed=data_seed, **options).choices
        seen += [row for choice in choices for split in ("train", "valid") for row in choice["rows"][split]]
    assert len(seen) == len(set(seen)) == 2500
    with pytest.raises(DataError, match=r"at least 30 images for 6 disjoint draws .got 25"):
        open_stream(data_root, data_seed=5, **options)


def test_max_test_takes_the_same_number_of_each_class(data_root):
    stream = open_stream(data_root, max_test=20)
    assert stream[0].test.labels.bincount().tolist() == [2] * 10
    assert stream.outline.images["test"] == 20
    assert Cifar100(max_test=20).outline().images["test"] == 20


def test_revisits_bring_the_same_task_back(data_root):
    stream = open_stream(data_root, order=(2, 0, 2))
    assert stream.outline.identities == (2, 0, 2)
    assert [task.identity for task in stream] == [2, 0, 2]
    assert torch.equal(stream[0].train.images, stream[2].train.images)
    assert Cifar100(order=(2, 0, 2)).outline() == Cifar100(order=(2, 0, 2, 1), first_tasks=3).outline()


def test_too_few_images_are_named(data_root):
    with pytest.raises(
        DataError, match=r"class 'beaver' must have at least 103 images .got 25 in split 'train' .* fewer per class"
    ):
        open_stream(data_root, train_per_class=100)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_per_class": 0}, "train_per_class must be at least 1 or a list .got 0"),
        ({"max_test": 0}, "max_test must be at least 1"),
        ({"first_tasks": 0}, "first_tasks must be at least 1"),
        ({"order": ()}, "order must be a list of at least 1"),
        ({"order": (0, -1)}, "order.1. must be at least 0"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        Cifar100(**options)


def test_an_order_beyond_the_stream_is_refused():
    with pytest.raises(SpecError, match=r"base tasks of this stream, 0 to 9 \(got \(0, 10\)"):
        Cifar100(order=(0, 10)).outline()
    with pytest.raises(SpecError, match=r"at most 10, the number of tasks in this stream \(got 11"):
        Cifar100(first_tasks=11).outline()
