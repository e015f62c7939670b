"""Images that do not fit in memory are read from disk, with the same results to the last bit."""

import copy
import errno
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import lasem.benchmarks._assembly
import lasem.benchmarks._images
import lasem.benchmarks._memory as memory
import lasem.benchmarks._store
from lasem.benchmarks import Images, StoredImages
from lasem.errors import DataError, RunStopped
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Backbone, TransferModule, mlp
from lasem.runs import RunFolder, RunOptions, read_checkpoint, resolve, run
from lasem.search import Fixed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four classes of 12 images of 8 x 8 random pixels."""
    folder, generator = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    for label in "abcd":
        (folder / label).mkdir()
        for number in range(12):
            pixels = generator.integers(256, size=(8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number:02}.png")
    return folder


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    monkeypatch.setenv("LASEM_SCRATCH", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


@pytest.fixture
def little_memory(scratch, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda _: 1000)


def stream_of(folder, **options):
    return Images(source=str(folder), classes_per_task=2, **options).stream(stream_seed=1, data_seed=2, data=None)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pixels": "standardize", "channels": 1},
        {"pixels": "standardize", "standardize": "each", "rotations": (90,), "channel_orders": True},
        {"pixels": "[-0.5,0.5]", "noise": "paper", "permute_pixels": True},
        {"size": (5, 7), "noise": "release", "pixels": "standardize", "channel_orders": True, "rotations": (180,)},
    ],
)
def test_stored_tensors_equal_those_in_memory_to_the_last_bit(folder, scratch, options, monkeypatch):
    monkeypatch.setattr(lasem.benchmarks._store, "CHUNK", 7)
    there, stored = (stream_of(folder, images=images, **options) for images in ("memory", "disk"))
    assert (stored.fingerprint, stored.choices, stored.notes) == (there.fingerprint, there.choices, there.notes)
    assert [scaling() for scaling in stored.scalings] == [scaling() for scaling in there.scalings]
    for one, other in zip(there, stored, strict=True):
        for split, expected in one.splits.items():
            found = other.splits[split]
            assert type(found.images) is StoredImages
            assert torch.equal(found.labels, expected.labels)
            rows = torch.randperm(len(expected))[:5]
            pairs = [
                (found.images[rows], expected.images[rows]),
                (found.images[1], expected.images[1]),
                (found.images[1:6:2][:2] + 0, expected.images[1:6:2][:2] + 0),
                (found.select(rows).images[:3].in_memory(), expected.images[rows][:3]),
                *zip(found.images.split(4), expected.images.split(4), strict=True),
            ]
            for image, (read, known) in enumerate(pairs):
                assert type(read) is torch.Tensor
                assert torch.equal(read, known)
                assert read.stride() == known.stride() or image == 3


def test_every_operation_works_on_stored_images(folder, scratch):
    there, stored = (stream_of(folder, images=images)[0].train.images for images in ("memory", "disk"))
    layer = torch.nn.Conv2d(3, 2, 3)
    for images in (there, stored):
        layer.zero_grad()
        layer(images).square().sum().backward()
        images.gradient = layer.weight.grad
    assert torch.equal(there.gradient, stored.gradient)
    assert torch.equal(torch.stack(list(stored)), there)
    assert (stored.dtype, stored.device, stored.shape, stored.nbytes) == (
        there.dtype, there.device, there.shape, there.nbytes,
    )  # fmt: skip
    assert copy.deepcopy(stored) is stored
    assert torch.equal(pickle.loads(pickle.dumps(stored)), there)
    assert repr(stored) == f"StoredImages({len(there)} images of 3 x 8 x 8 for cpu)"


def test_disk_is_used_only_where_memory_does_not_suffice_and_leaves_no_file(folder, scratch, monkeypatch):
    need = 48 * 3 * 8 * 8 + 4 * 24 * 3 * 8 * 8
    for available, images, kind in (
        (need / 0.75, "auto", torch.Tensor),
        (need / 0.75 - 1, "auto", StoredImages),
        (need, "memory", torch.Tensor),
    ):
        monkeypatch.setattr(memory, "available_memory", lambda _, available=available: available)
        assert type(stream_of(folder, images=images)[0].train.images) is kind
    monkeypatch.setattr(memory, "available_memory", lambda _: need - 1)
    assert [*scratch.iterdir()] == []
    with pytest.raises(DataError, match=r'got 48 images of 3 x 8 x 8, .* 24 in a task, .*; set images = "disk"'):
        stream_of(folder, images="memory")


def test_a_folder_without_space_is_named(folder, little_memory, scratch, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(DataError, match=rf"must have space for 9\.0 KiB .*No space left .*{scratch.name}\); .*SCRATCH"):
        stream_of(folder)


def test_a_file_that_disappears_is_named(folder, little_memory, monkeypatch):
    def open_and_delete(*arguments, **options):
        source = lasem.benchmarks._open.open_source(*arguments, **options)

        def decode(split, rows):
            (folder / "a/03.png").rename(folder / "gone")
            try:
                return source.decode(split, rows)
            finally:
                (folder / "gone").rename(folder / "a/03.png")

        return replace(source, decode=decode)

    monkeypatch.setattr(lasem.benchmarks._images, "open_source", open_and_delete)
    file = re.escape(str(folder / "a/03.png"))
    with pytest.raises(DataError, match=rf"FileNotFoundError .*{file}.* in {file} of split 'train'\); repair"):
        stream_of(folder)


@pytest.fixture
def at_most_a_batch(monkeypatch):
    """No more than five stored images are read into memory at once."""
    whole = StoredImages.in_memory

    def in_memory(images):
        assert len(images) <= 5, "more than a batch was read at once"
        return whole(images)

    monkeypatch.setattr(StoredImages, "in_memory", in_memory)


def test_features_that_are_kept_of_stored_images_are_those_of_images_in_memory(folder, scratch, at_most_a_batch):
    def losses(images):
        source = torch.Generator().manual_seed(3)
        made = [nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh()) for _ in range(2)]
        for layer in made:
            for parameter in layer.parameters():
                parameter.data.normal_(generator=source)
                parameter.requires_grad_(layer is not made[0])
        backbone = Backbone(
            [TransferModule(lambda _, layer=layer: layer) for layer in made],
            shape=(3, 8, 8),
            head=lambda features, classes, source: mlp((features, classes), source=source),
        )
        learner = SelectiveTransfer(backbone, Fixed("all"), training=Training(batch_size=5, learning_rate=0.01))
        learner.begin_task(stream_of(folder, images=images)[0])
        assert len(learner.front) == 1
        return [learner.train_epoch() for _ in range(3)]

    assert losses("disk") == losses("memory")


LEARNERS = {
    "lasem-hps": ["search.held_out=half"],
    "lasem-hps-retained": [],
    "prognn": [],
    "den": [],
    "gating": [],
}


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_run_that_was_stopped_gives_the_same_bits_from_disk_and_from_memory(
    folder, tmp_path, learner, scratch, at_most_a_batch, monkeypatch
):
    spec = resolve(
        f"images/{learner}",
        [
            f"benchmark.source={folder}", "benchmark.max_tasks=2", "benchmark.size=8", "benchmark.pixels=standardize",
            "training.epochs=2", "training.batch_size=4", "network.name=synthetic-3", "evaluation.batch_size=5",
            *LEARNERS[learner],
        ],
    )  # fmt: skip
    in_memory, stored = (RunOptions(out=tmp_path / name, device="cpu", checkpoint_every=1) for name in "ms")
    expected = run(spec, in_memory)
    monkeypatch.setattr(memory, "available_memory", lambda _: 1000)
    ends = iter([False] * 2 + [True])
    with pytest.raises(RunStopped):
        run(spec, stored, stop=lambda: next(ends))
    found = run(spec, stored)
    times = {"seconds"}
    assert found.model_dump(exclude=times) == expected.model_dump(exclude=times)
    one, other = (read_checkpoint(RunFolder.of(spec, options.out)).state.tensors for options in (in_memory, stored))
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
