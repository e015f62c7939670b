"""STL-10 and its stand-in on generated images, and the transforms themselves."""

import numpy as np
import pytest
import torch

from lasem.benchmarks import Stl10, TinyImageNet10
from lasem.benchmarks._transforms import Transform, TransformChoice
from lasem.errors import DataError, SpecError
from toys import open_stream

SMALL = {"train_per_class": 6, "valid_per_class": 2}


def test_sizes_are_those_of_the_table():
    outline = Stl10().outline()
    assert (outline.num_tasks, set(outline.classes), outline.shape) == (20, {3}, (3, 96, 96))
    assert outline.images == {"train": 318, "valid": 57, "test": 2400}
    outline = Stl10(tasks=15, classes_per_task=5, train_per_class=25, valid_per_class=25).outline()
    assert (outline.num_tasks, set(outline.classes)) == (15, {5})
    assert outline.images == {"train": 125, "valid": 125, "test": 4000}
    assert TinyImageNet10().outline().images == {"train": 318, "valid": 57, "test": 750}


@pytest.mark.parametrize(("benchmark", "tests"), [(Stl10, 8), (TinyImageNet10, 5)])
def test_a_stream_has_the_sizes_asked_for(data_root, benchmark, tests):
    stream = open_stream(benchmark(**SMALL), data_root)
    assert stream.outline.num_tasks == 20
    assert stream.outline.images == {"train": 18, "valid": 6, "test": 3 * tests}
    assert [len(split) for split in stream[7].splits.values()] == [18, 6, 3 * tests]


def signature(choice):
    order = tuple(choice["channel_order"]) if choice["channel_order"] else None
    return (tuple(choice["classes"]), choice["noise_mean"], choice["noise_sd"], order)


def test_any_two_tasks_differ(data_root):
    for options in ({}, {"noise": "none", "channel_orders": False, "tasks": 120}):
        stream = open_stream(Stl10(**SMALL, **options), data_root)
        assert len({signature(choice) for choice in stream.choices}) == len(stream)


def test_more_tasks_than_can_differ_are_refused(data_root):
    with pytest.raises(SpecError, match=r"any two tasks of a stream must differ \(got 2 tasks"):
        open_stream(Stl10(**SMALL, tasks=2, classes_per_task=10, noise="none", channel_orders=False), data_root)


def test_noise_takes_the_values_of_paper_and_release(data_root):
    drawn = {"paper": set(), "release": set()}
    for noise, pairs in drawn.items():
        for seed in range(10):
            choices = open_stream(Stl10(**SMALL, noise=noise), data_root, stream_seed=seed).choices
            pairs.update((choice["noise_mean"], choice["noise_sd"]) for choice in choices)
    assert drawn["paper"] == {(m, s) for m in (-0.1, -0.05, 0.0, 0.05, 0.1) for s in (0.0, 0.05, 0.1)}
    assert drawn["release"] == {(m, s) for m in (-0.05, -0.025, 0.0, 0.025) for s in (0.0, 0.025)}


def test_pixels_stay_in_range_and_some_are_clipped(data_root):
    stream = open_stream(Stl10(**SMALL), data_root)
    for choice, task in zip(stream.choices, stream, strict=True):
        if choice["noise_sd"]:
            assert task.test.images.min() == -0.5, "the generated images are nearly black"
        assert task.test.images.min() >= -0.5
        assert task.test.images.max() <= 0.5


def test_noise_has_its_mean_and_standard_deviation():
    images = torch.zeros(300, 3, 16, 16)
    noisy = Transform(noise_mean=0.05, noise_sd=0.1)
    noisy.add_noise(images, low=-0.5, high=0.5, generator=np.random.default_rng(0))
    count = images.numel()
    assert abs(images.mean() - 0.05) < 5 * 0.1 / count**0.5
    assert abs(images.std() - 0.1) < 5 * 0.1 / (2 * count) ** 0.5
    splits = images.flatten()[:-1] - 0.05, images.flatten()[1:] - 0.05
    assert abs((splits[0] * splits[1]).mean()) < 5 * 0.01 / count**0.5, "neighbors are independent"


def test_noise_is_clipped_to_the_pixel_range():
    images = torch.full((10, 1, 8, 8), 0.5)
    Transform(noise_sd=0.1).add_noise(images, low=-0.5, high=0.5, generator=np.random.default_rng(0))
    assert images.max() == 0.5
    assert 0.4 < (images == 0.5).float().mean() < 0.6


def test_stream_seed_decides_tasks_and_data_seed_decides_images(data_root, same_tensors):
    base = open_stream(Stl10(**SMALL, first_tasks=3), data_root)
    again = open_stream(Stl10(**SMALL, first_tasks=3), data_root)
    assert base.fingerprint == again.fingerprint
    assert same_tensors(base, again)
    images = open_stream(Stl10(**SMALL, first_tasks=3), data_root, data_seed=1)
    assert [signature(c) for c in images.choices] == [signature(c) for c in base.choices]
    assert [c["noise_seed"] for c in images.choices] == [c["noise_seed"] for c in base.choices]
    assert images.fingerprint != base.fingerprint
    tasks = open_stream(Stl10(**SMALL, first_tasks=3), data_root, stream_seed=1)
    assert [signature(c) for c in tasks.choices] != [signature(c) for c in base.choices]


def test_first_tasks_keeps_the_tasks_as_they_are(data_root, same_tensors):
    long, short = (open_stream(Stl10(**SMALL, first_tasks=n), data_root) for n in (5, 2))
    assert same_tensors(list(long)[:2], short)


def test_the_stand_in_needs_a_local_folder(tmp_path):
    with pytest.raises(DataError, match=r"not on the hub \(got no data root\); give --data"):
        open_stream(TinyImageNet10(), None)
    with pytest.raises(DataError, match=r"must have a folder 'stl10' .* leave out --data to load tanganke/stl10"):
        open_stream(Stl10(), tmp_path)


@pytest.mark.parametrize("options", [{"classes_per_task": 11}, {"classes_per_task": 1}, {"tasks": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(SpecError, match=r"classes|tasks must be at least 1"):
        Stl10(**options)


PIXELS = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4).to(torch.uint8)


def test_rotation_turns_counterclockwise():
    for turns in range(4):
        turned = Transform(rotation=90 * turns).rearrange(PIXELS)
        assert np.array_equal(turned.numpy(), np.rot90(PIXELS.numpy(), turns, axes=(2, 3)))


def test_permutation_moves_pixels_alike_in_all_images_and_channels():
    moved = Transform(permutation_seed=5).rearrange(PIXELS).flatten(2)
    flat = PIXELS.flatten(2)
    source = [flat[0, 0].tolist().index(value) for value in moved[0, 0].tolist()]
    assert sorted(source) == list(range(16)) != source
    assert torch.equal(moved, flat[:, :, source])


def test_channel_order_and_inversion_undo_themselves():
    swap = Transform(channel_order=(2, 1, 0), inverted=True)
    assert torch.equal(swap.rearrange(PIXELS), 255 - PIXELS.flip(1))
    assert torch.equal(swap.rearrange(swap.rearrange(PIXELS)), PIXELS)


def test_drawn_transforms_use_every_channel_order():
    choice = TransformChoice(channel_orders=True, rotations=(0, 90))
    drawn = choice.draw_all(60, channels=3, stream_seed=0)
    assert len({transform.channel_order for transform in drawn}) == 6
    assert {transform.rotation for transform in drawn} == {0, 90}
    assert all(transform.permutation_seed is None and not transform.is_noisy for transform in drawn)
