"""The contract of benchmarks: a stream is a pure function of options and two seeds, and fits its outline."""

from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from lasem.benchmarks import AbstractBenchmark, Task, TaskStream
from lasem.errors import SpecError


class BenchmarkContract(ABC):
    """Claims about a benchmark of at least two base tasks; choose a small one.

    Derive a class and fill in `make`, which passes the options that all benchmarks have on::

        class TestMyBenchmark(BenchmarkContract):
            def make(self, **options):
                return MyBenchmark(tasks=3, **options)

    Attributes:
        data: Folder of the data sets; None for a benchmark that reads none.
        approximately: Relative error that numbers of images in the outline may have before the data is read.
    """

    data: Path | None = None
    approximately: float = 0.1

    @abstractmethod
    def make(self, **options: Any) -> AbstractBenchmark:  # noqa: ANN401
        """Return the benchmark with given values of `order`, `first_tasks` and `max_test`."""

    def open(self, *, stream_seed: int = 0, data_seed: int = 0, **options: Any) -> TaskStream:  # noqa: ANN401
        """Construct the stream with the options and two seeds."""
        return self.make(**options).stream(stream_seed=stream_seed, data_seed=data_seed, data=self.data)

    # The outline

    def test_the_outline_agrees_with_the_stream(self) -> None:
        """What the outline says before data is read is what the stream then has."""
        outline, stream = self.make().outline(), self.open()
        if outline is None:
            pytest.skip("only the data of this benchmark can tell its outline")
        assert outline.shape == stream.outline.shape
        assert outline.classes == stream.outline.classes
        assert outline.identities == stream.outline.identities
        assert outline.images == pytest.approx(dict(stream.outline.images), rel=self.approximately)

    def test_tasks_are_those_that_the_outline_of_the_stream_announces(self) -> None:
        """Every task has the announced shape, classes, identity and numbers of images, and all classes occur."""
        stream = self.open()
        tasks = list(stream)
        assert len(tasks) == len(stream) == stream.outline.num_tasks >= 2
        assert [task.classes for task in tasks] == list(stream.outline.classes)
        assert all(task.train.images.shape[1:] == stream.outline.shape for task in tasks)
        assert [len(task.train) for task in tasks] == list(stream.train_images)
        for position, (task, identity) in enumerate(zip(tasks, stream.outline.identities, strict=True)):
            assert task.identity == identity or (task.identity is None and identity == position)
            assert set(task.train.labels.tolist()) == set(range(task.classes))
        for split, number in stream.outline.images.items():
            assert max(len(task.splits[split]) for task in tasks) == number

    # Seeds

    def test_equal_seeds_give_equal_streams(self) -> None:
        """Two streams with equal options and seeds are equal, whatever the global generator of torch has drawn."""
        torch.manual_seed(0)
        one = self.open(stream_seed=1, data_seed=2)
        torch.manual_seed(1)
        other = self.open(stream_seed=1, data_seed=2)
        assert one.fingerprint == other.fingerprint
        assert one.outline == other.outline
        assert list(one.choices) == list(other.choices)
        assert all(_equal(*pair) for pair in zip(one, other, strict=True))

    def test_a_task_is_the_same_whenever_it_is_built(self) -> None:
        """Accessing a position twice gives equal tensors, also after other positions."""
        stream = self.open()
        first = stream[0]
        assert not _equal(stream[1], first)
        assert _equal(stream[0], first)

    def test_the_data_seed_chooses_images_and_not_tasks(self) -> None:
        """Another data seed gives other training images of the same tasks, and another fingerprint."""
        one, other = self.open(data_seed=0), self.open(data_seed=1)
        assert one.fingerprint != other.fingerprint
        assert one.outline == other.outline
        assert [task.name for task in one] == [task.name for task in other]
        assert any(not _equal(*pair) for pair in zip(one, other, strict=True))

    # Options of all benchmarks

    def test_order_chooses_among_the_base_tasks(self) -> None:
        """With an order the same base tasks come in that order, and visits of one task are equal."""
        base, stream = self.open(), self.open(order=(1, 0, 1))
        outline = self.make(order=(1, 0, 1)).outline()
        assert outline is None or outline.identities == (1, 0, 1)
        assert stream.outline.identities == (1, 0, 1)
        assert [task.identity for task in stream] == [1, 0, 1]
        assert all(_equal(task, base[position]) for task, position in zip(stream, (1, 0, 1), strict=True))

    def test_first_tasks_ends_the_stream(self) -> None:
        """With `first_tasks` the stream ends after so many tasks, which are as they were."""
        base, stream = self.open(), self.open(first_tasks=1)
        outline = self.make(first_tasks=1).outline()
        assert outline is None or outline.num_tasks == 1
        assert len(stream) == 1
        assert _equal(stream[0], base[0])

    def test_the_number_of_tasks_is_known_before_the_stream_is(self) -> None:
        """Where the number of tasks is told before images are read, it is that of the stream."""
        given: tuple[dict[str, Any], ...] = ({}, {"order": (1, 0, 1)}, {"first_tasks": 1})
        for options in given:
            assert self.make(**options).count_visits(self.data) in (None, len(self.open(**options)))

    def test_max_test_limits_test_images_evenly_over_classes(self) -> None:
        """With `max_test` a task has at most so many test images, equally many of each class; nothing else changes."""
        base = self.open()
        limit = max(base.outline.classes)
        stream = self.open(max_test=limit)
        for task, whole in zip(stream, base, strict=True):
            counts = Counter(task.test.labels.tolist())
            assert len(task.test) <= limit
            assert max(counts.values()) - min(counts.values()) <= 1
            for split in ("train", "valid"):
                assert torch.equal(task.splits[split].images, whole.splits[split].images)

    @pytest.mark.parametrize("options", [{"order": (1000,)}, {"first_tasks": 1000}])
    def test_more_tasks_than_there_are_are_refused(self, options: dict[str, Any]) -> None:
        """An order or a number of tasks beyond the base tasks raises a SpecError that says so."""
        with pytest.raises(SpecError, match="must"):
            self.open(**options)

    def test_the_fingerprint_tells_streams_apart(self) -> None:
        """Streams that differ in their tasks or images have different fingerprints."""
        streams = (self.open(), self.open(data_seed=1), self.open(first_tasks=1), self.open(order=(1, 0)))
        fingerprints = [stream.fingerprint for stream in streams]
        assert all(fingerprints)
        assert len(set(fingerprints)) == len(fingerprints)


def _equal(one: Task, other: Task) -> bool:
    """Return whether two tasks have the same images and labels."""
    return one.classes == other.classes and all(
        torch.equal(split.labels, other.splits[name].labels) and torch.equal(split.images, other.splits[name].images)
        for name, split in one.splits.items()
    )
