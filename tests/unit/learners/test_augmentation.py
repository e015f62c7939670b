"""Random changes of training images: what each does, that it follows from the place, and where it is left out."""

import pytest
import torch

from lasem.errors import SpecError
from lasem.learners import Training
from lasem.training import TaskTraining
from lasem.training._augment import augment
from toys import make_task

IMAGES = torch.rand(64, 3, 5, 6, generator=torch.Generator().manual_seed(0))


def is_in(image, candidates):
    return any(torch.equal(image, candidate) for candidate in candidates)


def test_a_flip_mirrors_about_half_of_the_images():
    changed = augment(IMAGES, Training(random_flip=True), seed=1)
    flipped = [torch.equal(one, image.flip(-1)) for one, image in zip(changed, IMAGES, strict=True)]
    assert all(is_in(one, (image, image.flip(-1))) for one, image in zip(changed, IMAGES, strict=True))
    assert 16 < sum(flipped) < 48


def test_a_crop_is_a_window_of_the_padded_image():
    changed = augment(IMAGES, Training(random_crop=2), seed=1)
    seen = set()
    for one, image in zip(changed, IMAGES, strict=True):
        padded = torch.nn.functional.pad(image, (2, 2, 2, 2), mode="reflect")
        windows = {(r, c): padded[:, r : r + 5, c : c + 6] for r in range(5) for c in range(5)}
        found = [place for place, window in windows.items() if torch.equal(one, window)]
        assert found
        seen.update(found)
    assert {row for row, _ in seen} == {column for _, column in seen} == set(range(5))


def test_colors_do_not_depend_on_the_scale_of_pixels():
    training = Training(color_jitter=0.4)
    changed = augment(IMAGES.double(), training, seed=1)
    assert not torch.allclose(changed, IMAGES.double(), atol=0.01)
    torch.testing.assert_close(augment(3 * IMAGES.double() - 1, training, seed=1), 3 * changed - 1)


def batches_of(epochs, **options):
    training = Training(batch_size=4, learning_rate=0.1, random_flip=True, color_jitter=0.5, **options)
    task = TaskTraining(training, seed=0, shape=(1, 6, 6), like=torch.zeros(1))
    task.begin(make_task(), [torch.nn.Parameter(torch.zeros(1))])
    found = []
    for _ in range(epochs):
        found.append([images for images, _ in task.batches()])
        task.end_epoch([torch.zeros(())])
    return torch.cat([torch.stack(epoch) for epoch in found]), task


def test_changes_follow_from_the_place_and_leave_other_images_alone():
    (one, task), (other, _) = batches_of(2), batches_of(2)
    assert torch.equal(one, other)
    assert len({float(images.sum()) for images in one}) == len(one)
    assert all(is_in(image, task.task.train.images) for images in task.unlabeled_batches() for image in images)


def test_padding_must_be_smaller_than_images():
    with pytest.raises(SpecError, match=r"random_crop must be below .* 6 x 6 here \(got 6 in \[training\]\)"):
        batches_of(1, random_crop=6)
