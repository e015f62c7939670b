"""Task, TaskStream and the registry."""

import dataclasses
import json
import typing

import pytest
import torch

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
        (torch.zeros(2, 3, 4), torch.zeros(2).long(), "floating-point tensor"),
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
