"""What looks odd but is taken: image modes, duplicates with a note, another kind of benchmark over a preset."""

import io
import struct
import zlib

import data_cases
import pytest
from PIL import Image

from lasem.records import NoteRecord
from lasem.runs import resolve

pytestmark = pytest.mark.usefixtures("dataset_cache")


def deep_png(red, green, blue):
    """A PNG of 4 x 4 pixels of 16 bits per channel, written by hand."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + struct.pack(">HHH", red, green, blue) * 4) * 4
    parts = ((b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def palette():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    return image


@pytest.mark.parametrize(
    ("content", "color"),
    [
        (deep_png(0x8000, 0x4000, 0xFFFF), (128, 64, 255)),
        (encoded(Image.new("L", (4, 4), 77)), (77, 77, 77)),
        (encoded(Image.new("LA", (4, 4), (77, 10))), (77, 77, 77)),
        (encoded(Image.new("RGBA", (4, 4), (7, 8, 9, 0))), (7, 8, 9)),
        (encoded(palette()), (200, 100, 50)),
        (encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
    ],
    ids=["16-bit", "gray", "gray-alpha", "alpha", "palette", "cmyk"],
)
def test_other_modes_become_8_bit_color_without_clipping(tmp_path, content, color):
    data_cases.save(tmp_path / "own", images=[content] * 12)
    _, task = data_cases.read(tmp_path / "own")
    assert (task.train.images[0, :, 0, 0] * 255).round().tolist() == list(color)


def test_a_photo_is_turned_as_its_exif_data_says(tmp_path):
    image, exif = Image.new("RGB", (4, 2)), Image.Exif()
    image.putpixel((0, 0), (255, 0, 0))
    exif[0x112] = 6  # the first row is the right-hand side
    data_cases.save(tmp_path / "own", images=[encoded(image, exif=exif)] * 12)
    _, task = data_cases.read(tmp_path / "own")
    assert task.train.images.shape[2:] == (4, 2)
    assert task.train.images[0, 0, 0].tolist() == [0, 1]


def test_duplicates_across_splits_are_counted_in_a_note(tmp_path):
    data_cases.save(tmp_path / "own", images=data_cases.PICTURES)
    data_cases.save(tmp_path / "own", images=data_cases.PICTURES[:4], labels=[0, 1] * 2, split="test")
    stream, _ = data_cases.read(tmp_path / "own", train_per_class=4, valid_per_class=2)
    (note,) = stream.notes
    assert note.startswith("4 of 4 test images have the same pixels as an image in training or validation")


def test_a_note_on_the_data_comes_before_the_first_task():
    same = data_cases.split()
    events = data_cases.learned(data_cases.task(train=same, valid=same)).events
    assert isinstance(events[0], NoteRecord)
    assert events[0].text.startswith("6 of 6 validation images")
    assert sum(isinstance(event, NoteRecord) for event in events) == 1


def test_streams_without_duplicates_have_no_note():
    assert not any(isinstance(event, NoteRecord) for event in data_cases.learned(data_cases.task()).events)


def test_another_kind_of_benchmark_takes_neither_the_name_nor_the_options_of_the_preset():
    spec = resolve("stl10-20/stl", ["benchmark.kind=pacs", "benchmark.size=32"])
    assert spec.sections["benchmark"] == {"name": "pacs", "kind": "pacs", "size": 32}
    assert resolve("stl10-20/stl", ["benchmark.kind=stl10"]) == resolve("stl10-20/stl")
    assert resolve("digits/stl", ["benchmark.kind=pacs", "benchmark.name=own"]).benchmark.name == "own"
