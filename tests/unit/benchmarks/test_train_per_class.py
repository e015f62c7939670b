"""Lists of training images per class, one value for each base task."""

import pytest
import torch

from lasem.benchmarks import Cifar100, Digits, Images, Pacs, Synthetic, TinyImageNet10
from lasem.errors import DataError, SpecError
from toys import open_stream

NUMBERS = (2, 5, 3)


def synthetic(train_per_class):
    return Synthetic(
        tasks=3, ranks=(4, 1), image_channels=8, train_per_class=train_per_class, valid_per_class=2, test_per_class=3
    )


def images(train_per_class):
    return Images(source="pacs", class_groups=((0, 1), (1, 2), (2, 0)), train_per_class=train_per_class)


@pytest.mark.parametrize(
    "make", [lambda n: Digits(tasks=3, train_per_class=n), synthetic, images], ids=("digits", "synthetic", "images")
)
def test_each_task_has_its_number_of_training_images_and_nothing_else_changes(data_root, make):
    listed, most = (open_stream(make(numbers), data_root) for numbers in (NUMBERS, max(NUMBERS)))
    for number, task, larger in zip(NUMBERS, listed, most, strict=True):
        assert task.train.labels.bincount().tolist() == [number] * task.classes
        assert task.name == larger.name
        for split in ("valid", "test"):
            assert torch.equal(task.splits[split].images, larger.splits[split].images)
            assert torch.equal(task.splits[split].labels, larger.splits[split].labels)
    assert listed.train_images == [
        number * classes for number, classes in zip(NUMBERS, most.outline.classes, strict=True)
    ]
    assert listed.fingerprint != most.fingerprint


def test_a_class_with_fewer_images_in_one_task_has_some_of_those_of_another(data_root, read_colors):
    first, second, third = (set(read_colors(task.train.images)) for task in open_stream(images(NUMBERS), data_root))
    assert [sum(color[0] == 1 for color in colors) for colors in (first, second)] == [2, 5]
    for smaller, larger in ((first, second), (third, second), (first, third)):
        common = {color[0] for color in smaller} & {color[0] for color in larger}
        assert {color for color in smaller if color[0] in common} < larger


def test_a_list_may_have_shares(data_root):
    stream = open_stream(Pacs(size=8, train_per_class=(0.6, 3, 0.1, 1)), data_root)
    assert [split.labels.bincount()[0] for split in (task.train for task in stream)] == [6, 3, 1, 1]
    assert all(len(task.test) == 3 * 7 for task in stream)


@pytest.mark.parametrize(
    ("benchmark", "train"),
    [
        (Digits(tasks=3, train_per_class=NUMBERS), 15),
        (Digits(tasks=3, train_per_class=NUMBERS, order=(2, 0)), 9),
        (synthetic(NUMBERS), 20),
        (Cifar100(train_per_class=(*range(1, 11),), first_tasks=4), 40),
        (TinyImageNet10(tasks=3, train_per_class=NUMBERS, first_tasks=1), 6),
        (Pacs(train_per_class=(3, 20, 0.5, 0.1), first_tasks=2), 140),
    ],
    ids=lambda value: None if isinstance(value, int) else type(value).__name__,
)
def test_the_outline_has_the_largest_of_the_tasks_that_arrive(benchmark, train):
    assert benchmark.outline().images["train"] == train


def test_a_list_of_another_length_is_refused_before_images_are_read(data_root):
    rule = r"train_per_class must be one value, or a list of 3, one for each base task \(got \[5, 6\] in \[benchmark\]"
    for benchmark in (Digits(tasks=3, train_per_class=(5, 6)), synthetic((5, 6))):
        with pytest.raises(SpecError, match=rule):
            benchmark.outline()
    with pytest.raises(SpecError, match=rule):
        open_stream(images((5, 6)), data_root)


def test_a_list_asks_for_images_that_must_be_there(data_root):
    with pytest.raises(DataError, match=r"class 'animal \d' must have at least 12 images \(got 10"):
        open_stream(Pacs(size=8, train_per_class=(1, 1, 10, 1)), data_root)


def test_wrong_values_of_a_list_are_named():
    with pytest.raises(SpecError, match=r"^train_per_class\[1\] must be at least 1 \(got 0 in Digits\)[^\n]*$"):
        Digits(train_per_class=(5, 0))
    with pytest.raises(SpecError, match=r"train_per_class must be .* or a list of at least 1"):
        Images(source="any", train_per_class=())
