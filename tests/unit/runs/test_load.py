"""What is needed to use a run's networks on other images: scaling of pixels, names of classes, and clear refusals."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lasem.benchmarks import PixelScaling
from lasem.errors import DataError, RunError
from lasem.runs import RunFolder, RunOptions, load, prepare, resolve, run
from toys import write_photos

OWN = [
    "benchmark.kind=images", "benchmark.classes_per_task=2", "benchmark.train_per_class=6",
    "benchmark.valid_per_class=2", "network.name=synthetic-3", "training.epochs=2", "training.batch_size=6",
]  # fmt: skip
CPU = torch.device("cpu")
DATA = Path(os.environ.get("LASEM_DATA", "absent"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory, dataset_cache):
    """Four classes of small images, each with a brightness of its own."""
    del dataset_cache
    return write_photos(tmp_path_factory.mktemp("photos"), ("ant", "bee", "cat", "dog"), images=14, size=(6, 6))


def trained(photos, out, *settings):
    """A run on these images, and its stream."""
    spec = resolve("digits/hps", [*OWN, f"benchmark.source={photos}", *settings])
    run(spec, RunOptions(out=out, device="cpu"))
    return RunFolder.of(spec, out), prepare(spec, RunOptions(device="cpu"), device=CPU).stream


def unscaled(task, scaling):
    """The test images of a task as pixels from 0 to 1; exactly, because these are multiples of 1/255."""
    images = task.test.images
    if scaling.mean:
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (scaling.mean, scaling.deviation))
        images = images * deviation + mean
    return ((images - scaling.low) * 255).round().div(255)


@pytest.mark.parametrize(
    "settings", [["pixels=standardize"], ["pixels=standardize", "standardize=each"], ['pixels="[-0.5,0.5]"'], []]
)
def test_pixels_from_0_to_1_get_exactly_the_logits_of_the_stream(photos, tmp_path, settings, monkeypatch):
    folder, stream = trained(photos, tmp_path, *(f"benchmark.{setting}" for setting in settings))
    learned, seen = load(folder.path), []
    answer = learned.learner.logits
    monkeypatch.setattr(learned.learner, "logits", lambda images, task: seen.append(images) or answer(images, task))
    for position, task in enumerate(stream):
        scaling = learned.scaling(position)
        assert bool(scaling.mean) == ("pixels=standardize" in settings)
        images = unscaled(task, scaling)
        classes = learned.predict(images, position)
        assert torch.equal(seen[-1], task.test.images)
        right = (classes == task.test.labels).double().mean()
        assert right == pytest.approx(learned.result.accuracy[-1][position])
        torch.testing.assert_close(learned.network(position)(scaling.apply(images)).argmax(1), classes)
        assert learned.class_names(position) == list(stream.choices[position]["class_names"])
    assert {name for position in range(2) for name in learned.class_names(position)} == {"ant", "bee", "cat", "dog"}
    assert learned.image_shape == (3, 6, 6)


@pytest.fixture(scope="module")
def standardized(photos, tmp_path_factory):
    return trained(photos, tmp_path_factory.mktemp("runs"), "benchmark.pixels=standardize")[0]


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(1, 3, 6, 6, dtype=torch.uint8), r"must be float32 \(got torch.uint8\); .* images.float\(\) / 255"),
        (torch.zeros(1, 3, 6, 6, dtype=torch.float64), r"must be float32 \(got torch.float64\)"),
        (torch.full((1, 3, 6, 6), 255.0), r"pixels must be from 0 to 1 \(got 255 to 255\); divide"),
        (torch.full((1, 3, 6, 6), -0.5), r"got -0\.5 to -0\.5"),
        (torch.full((1, 3, 6, 6), float("nan")), "got nan to nan"),
        (torch.zeros(3, 6, 6), r"shape \(B, 3, 6, 6\) \(got \(3, 6, 6\)\); add the axis of the batch"),
        (torch.zeros(1, 6, 6, 3), r"got \(1, 6, 6, 3\)\); resize or transpose"),
        (torch.zeros(0, 3, 6, 6), r"got \(0, 3, 6, 6\)"),
        (np.zeros((1, 3, 6, 6), np.float32), r"must be a tensor .* \(got ndarray\)"),
    ],
    ids=range(9),
)
def test_images_of_another_kind_are_refused_with_the_remedy(standardized, images, words):
    with pytest.raises(DataError, match=words):
        load(standardized.path).predict(images, 0)


def test_a_run_of_an_older_version_says_what_it_lacks(standardized, tmp_path):
    values = standardized.read_json(standardized.stream_path)
    try:
        standardized.write_json(standardized.stream_path, {k: v for k, v in values.items() if k != "scaling"})
        learned = load(standardized.path)
        with pytest.raises(RunError, match="must have kept mean and standard deviation of each task"):
            learned.predict(torch.zeros(1, 3, 6, 6), 0)
        assert learned.network(0)(torch.zeros(1, 3, 6, 6)).shape == (1, 2)
    finally:
        standardized.write_json(standardized.stream_path, values)


@pytest.mark.parametrize(
    "change",
    [
        {"outline": 3}, {"outline": {}}, {"scaling": 5}, {"scaling": [{"low": 0}]}, {"choices": [{}]},
        {"scaling": [{"low": 0, "mean": [1.0], "deviation": [1.0]}] * 2},
        {"scaling": [{"low": 0, "mean": [1.0] * 3, "deviation": [0.0] * 3}] * 2},
    ],
)  # fmt: skip
def test_a_damaged_description_of_the_stream_is_named(standardized, change):
    before = standardized.stream_path.read_text()
    try:
        standardized.stream_path.write_text(json.dumps(json.loads(before) | change))
        with pytest.raises(RunError, match=r"stream\.json must describe the run's stream"):
            load(standardized.path)
    finally:
        standardized.stream_path.write_text(before)


def test_a_channel_without_variation_is_only_centered():
    images = torch.rand(4, 2, 3, 3)
    images[:, 1] = 0.25
    scaled = PixelScaling.standardizing(images).apply(images)
    assert torch.equal(scaled[:, 1], torch.zeros(4, 3, 3))
    torch.testing.assert_close(scaled[:, 0].std(correction=0), torch.tensor(1.0))


@pytest.mark.skipif(not (DATA / "cifar100").is_dir(), reason="LASEM_DATA has no folder 'cifar100'")
def test_real_images_get_exactly_the_logits_of_the_standardized_stream(tmp_path, dataset_cache):
    del dataset_cache
    settings = ["benchmark.first_tasks=2", "benchmark.max_test=40", "training.epochs=1", "benchmark.train_per_class=4"]
    spec = resolve("cifar100-10/hps", [*settings, "network.name=synthetic-3", "training.batch_size=20"])
    run(spec, RunOptions(out=tmp_path, data=DATA, device="cpu"))
    learned = load(tmp_path / spec.folder)
    stream = prepare(spec, RunOptions(data=DATA, device="cpu"), device=CPU).stream
    for position, task in enumerate(stream):
        images = unscaled(task, learned.scaling(position))
        scaled = learned.scaling(position).apply(images)
        assert torch.equal(scaled, task.test.images)
        logits = learned.learner.logits(task.test.images, stream.outline.identities[position])
        assert torch.equal(learned.predict(images, position), logits.argmax(1))
