"""A finished run classifies files, images of Pillow, arrays and tensors exactly as it did its own images."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from lasem import cli
from lasem.benchmarks import Preprocessing, Transform, find_images
from lasem.errors import DataError, LasemError
from lasem.runs import RunFolder, RunOptions, load, prepare, resolve, run
from toys import write_photos

SETTINGS = [
    "benchmark.kind=images", "benchmark.classes_per_task=2", "benchmark.train_per_class=5", "network.name=synthetic-3",
    "benchmark.valid_per_class=1", "training.epochs=1", "training.batch_size=5", "benchmark.pixels=standardize",
    "benchmark.channel_orders=true", "benchmark.permute_pixels=true", "benchmark.rotations=[90]", "benchmark.size=6",
]  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Four classes of images of 9 x 7 pixels, which the run resizes."""
    return write_photos(tmp_path_factory.mktemp("photos"), ("ant", "bee", "cat", "=dog"), images=9, size=(9, 7))


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    """A finished run and its stream, whose tasks differ in the order of channels and pixels."""
    out = tmp_path_factory.mktemp("runs")
    spec = resolve("digits/hps", [*SETTINGS, f"benchmark.source={photos}"])
    run(spec, RunOptions(out=out, device="cpu"))
    return RunFolder.of(spec, out), prepare(spec, RunOptions(device="cpu"), device=CPU).stream


@pytest.fixture(scope="module")
def learned(trained):
    return load(trained[0].path)


def test_files_get_the_values_that_the_stream_made_of_them(photos, trained, learned):
    stream = trained[1]
    for task in range(2):
        choice = stream.choices[task]
        # rows of the source are the files in sorted order, class by class
        files = [path for folder in sorted(photos.iterdir()) for path in sorted(folder.iterdir())]
        chosen = [files[row] for row in choice["rows"]["test"]]
        steps = learned.preprocessing(task)
        values = steps.apply(torch.stack([steps.pixels(path) for path in chosen]))
        torch.testing.assert_close(values, stream[task].test.images, rtol=0, atol=1e-5)
        found = learned.classify(chosen, task=task, batch_size=3)
        logits = learned.learner.logits(stream[task].test.images, task)
        torch.testing.assert_close(found.probabilities, logits.softmax(1), rtol=0, atol=1e-5)
        assert found.labels == [choice["class_names"][label] for label in logits.argmax(1).tolist()]


def test_every_kind_of_image_gets_the_same_answer(photos, learned):
    path = photos / "ant" / "0.png"
    with Image.open(path) as opened:
        picture = opened.copy()
    small = learned.preprocessing(0).pixels(picture)
    array = np.asarray(picture)
    expected = learned.classify(path, task=0).probabilities
    for image in (str(path), picture, picture.convert("RGBA"), array, array[None]):
        torch.testing.assert_close(learned.classify(image, task=0).probabilities, expected, rtol=0, atol=0)
    for image in (
        small,
        small[None],
        small.double(),
        (small * 255).round().to(torch.uint8),
        small.permute(1, 2, 0).numpy(),
    ):
        torch.testing.assert_close(learned.classify(image, task=0).probabilities, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((6, 6, 2), np.uint8), r"must be an image \(H, W\) or \(H, W, C\).*got uint8 of shape \(6, 6, 2\)"),
        (np.zeros((6, 6, 3), np.int64), "got int64"),
        (torch.zeros(6, 6, 3), r"must have the run's image shape \(3, 6, 6\) \(got \(6, 6, 3\)"),
        (torch.zeros(3, 6, 6, dtype=torch.int64), "must be uint8 or floats"),
        (torch.full((3, 6, 6), 200.0), r"must be from 0 to 1 \(got 200 to 200 in image 0\)"),
        (torch.full((3, 6, 6), float("nan")), "got nan to nan"),
        (Image.new("I;16", (6, 6)), "8 bits per channel"),
        ("absent.png", "must be decodable.*absent.png"),
        ([], "must be at least one"),
    ],
    ids=range(9),
)  # fmt: skip
def test_a_wrong_kind_of_image_is_refused_with_its_remedy(learned, image, words):
    with pytest.raises(DataError, match=words):
        learned.classify(image, task=0)


def test_the_task_must_be_named_where_there_are_several(learned):
    with pytest.raises(
        LasemError, match=r"must be named, because the run has 2 \(got none\); choose --task 0 \(.*1 \("
    ):
        learned.classify(torch.zeros(3, 6, 6))
    with pytest.raises(LasemError, match="from 0 to 1"):
        learned.classify(torch.zeros(3, 6, 6), task=2)


def test_rearranging_floats_equals_rearranging_pixels():
    transform = Transform(rotation=270, permutation_seed=3, channel_order=(2, 0, 1), inverted=True)
    pixels = torch.randint(0, 256, (2, 3, 5, 5), dtype=torch.uint8)
    values = Preprocessing(shape=(3, 5, 5), transform=transform).apply(pixels.float() / 255)
    torch.testing.assert_close(values, transform.rearrange(pixels).float() / 255, rtol=0, atol=1e-6)


def test_folders_list_their_images_in_order(tmp_path):
    for name in ("b.PNG", "a/c.jpg", "a/.hidden/d.png", "__MACOSX/b.PNG", "notes.txt", "paper.pdf", "features.h5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in find_images([tmp_path, tmp_path / "notes.txt"])] == ["c.jpg", "b.PNG", "notes.txt"]
    assert [path.name for path in find_images(str(tmp_path / "a"))] == ["c.jpg"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="must have an image"):
        find_images([tmp_path / "empty"])
    with pytest.raises(DataError, match="must exist"):
        find_images([tmp_path / "absent"])


def test_the_command_prints_tables_csv_and_json(photos, trained, learned, tmp_path, capsys):
    def predict(*words):
        cli.app(["predict", str(trained[0].path), str(photos), "--task", "0", *words], standalone_mode=False)
        return capsys.readouterr().out

    found = learned.classify(find_images([photos]), task=0)
    assert len(predict().splitlines()) == len(found) == 36
    rows = list(csv.reader(io.StringIO(predict("--format", "csv"))))
    assert [float(cell) for cell in rows[1][2:]] == found.probabilities[0].tolist()
    assert not any(cell.startswith("=") for row in rows for cell in row)  # a spreadsheet would run it
    target = tmp_path / "found.json"
    assert "36 images" in predict("--format", "json", "--out", str(target))
    assert json.loads(target.read_text()) == found.records()
