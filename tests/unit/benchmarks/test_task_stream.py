"""Task, TaskStream and the registry."""

import dataclasses
import json
import typing

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lasem.benchmarks import BENCHMARKS, Digits, Images, Split, Task, TaskStream
from lasem.errors import DataError
from lasem.options import validate


def split(n=4, *, size=2, classes=2):
    return Split(images=torch.rand(n, 1, size, size), labels=torch.arange(n) % classes)


def task(**changes):
    return Task(**{"name": "t", "classes": 2, "train": split(), "valid": split(), "test": split(), **changes})


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            torch.zeros(2, 3, 4),
            torch.zeros(2).long(),
            r"shape \(N, C, H, W\) \(got \(2, 3, 4\)\); .* images\[:, None\]",
        ),
        (torch.zeros(178, 13), torch.zeros(178).long(), r"got \(178, 13\)\); .* images\[:, :, None, None\]"),
        (torch.zeros(2, 1, 4, 4).byte(), torch.zeros(2).long(), "got torch.uint8"),
        (torch.zeros(2, 1, 4, 4), torch.zeros(3).long(), "one per image"),
        (torch.zeros(2, 1, 4, 4), torch.zeros(2), "got torch.float32"),
        (torch.zeros(0, 1, 4, 4), torch.zeros(0).long(), "at least one image"),
    ],
)
def test_a_split_refuses_what_is_not_labeled_images(images, labels, message):
    with pytest.raises(DataError, match=message):
        Split(images=images, labels=labels)


def test_a_task_refuses_labels_beyond_its_classes_and_shapes_that_differ():
    with pytest.raises(DataError, match=r"must be from 0 to 1 \(got 0 to 2 in split 'test'"):
        task(test=split(classes=3))
    with pytest.raises(DataError, match="must have one shape"):
        task(valid=split(size=3))


def test_a_stream_of_tasks_in_memory_knows_its_outline():
    tasks = [task(identity=0), task(identity=1, train=split(6)), task(identity=0)]
    stream = TaskStream.of(tasks)
    assert list(stream) == tasks
    assert stream.outline.identities == (0, 1, 0)
    assert stream.outline.images == {"train": 6, "valid": 4, "test": 4}
    with pytest.raises(DataError, match="at least one task"):
        TaskStream.of([])


def test_every_kind_has_defaults_and_documents_every_option():
    for kind, benchmark in BENCHMARKS.items():
        made = benchmark(source="own") if benchmark is Images else benchmark()
        outline = made.outline()
        assert (outline is None) == (kind == "images")
        documented = " ".join(str(base.__doc__) for base in benchmark.__mro__)
        for option in dataclasses.fields(benchmark):
            assert f"        {option.name}: " in documented or f"    {option.name}: " in documented, option.name


def test_options_are_json_and_validate_with_their_types():
    for benchmark in BENCHMARKS.values():
        made = benchmark(source="own") if benchmark is Images else benchmark()
        options = json.loads(json.dumps(dataclasses.asdict(made)))
        assert validate(benchmark, options, section="benchmark") == made
        assert typing.get_type_hints(benchmark)


def test_choices_are_json():
    stream = Digits().stream(stream_seed=0, data_seed=0, data=None)
    assert json.loads(json.dumps(list(stream.choices))) == list(stream.choices)


def test_a_task_moves_to_a_device_whole():
    here = torch.device("cpu")
    moved = task(identity=3).to(here)
    assert moved.identity == 3
    assert split().to(torch.device("meta")).labels.device.type == "meta"


# Datasets of torch


class Endless(Dataset):
    """A dataset that, as many do, does not raise IndexError at its end."""

    def __init__(self, item=None):
        self.item = item

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.item or (torch.full((1, 2, 2), float(index)), index % 2)


def test_a_dataset_and_a_loader_of_it_make_the_same_split():
    one, other = Split.of(Endless()), Split.of(DataLoader(Endless(), batch_size=3))
    assert torch.equal(one.images, torch.arange(4.0)[:, None, None, None].expand(-1, 1, 2, 2))
    assert one.labels.tolist() == [0, 1, 0, 1]
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (torch.zeros(3, 1, 2, 2), r"from a torch Dataset or a DataLoader \(got Tensor\); .* Split\(images="),
        (3, "from a torch Dataset or a DataLoader .got int"),
        ([], "at least one image"),
        (TensorDataset(torch.zeros(3, 1, 2, 2)), r"must be an image .* \(got tuple in item 0\)"),
        (Endless((torch.zeros(5), 1)), r"got a tensor \(5,\) in item 0\); give the dataset a transform"),
        (Endless((torch.zeros(1, 2, 2), 0.5)), r"one label, a whole number \(got 0.5 in item 0"),
        (Endless((torch.zeros(2, 1, 2, 2), 1)), r"one label, a whole number \(got 1 in item 0"),
        ([(torch.zeros(1, 2, 2), 0), (torch.zeros(1, 2, 3), 0)], r"one shape \(got \(1, 2, 2\) and \(1, 2, 3\)"),
    ],
)
def test_a_dataset_of_something_else_is_refused(dataset, message):
    with pytest.raises(DataError, match=message):
        Split.of(dataset)


# How they are shown


def test_what_python_prints_of_streams_has_no_pixels():
    stream = TaskStream.of([task(), task(classes=3)])
    assert repr(split(3)) == "Split(3 images of 1 x 2 x 2, float32 on cpu)"
    assert repr(task()) == "Task('t', 2 classes, 4 train / 4 valid / 4 test images of 1 x 2 x 2)"
    assert repr(stream) == (
        "TaskStream(2 tasks of 2 to 3 classes, up to 4 train / 4 valid / 4 test images of 1 x 2 x 2)"
    )


def test_a_notebook_shows_a_stream_as_a_table_of_some_tasks():
    page = TaskStream.of([task(name="<b>")] * 41)._repr_html_()
    assert page.count("<tr>") == 1 + 40 + 1
    assert "<td>0</td><td>&lt;b&gt;</td><td>2</td><td>4</td>" in page
    assert "<b>" not in page
