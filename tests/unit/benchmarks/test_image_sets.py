"""The general constructor, and how it reads folders: columns, splits, colors, sizes and errors."""

import re
import socket

import pytest
import torch
from PIL import Image

from lasem.benchmarks import Images
from lasem.errors import DataError, SpecError


@pytest.fixture(scope="module")
def root(tmp_path_factory, save_parquet, encode):
    """`plain`: 6 classes, 10 train and 5 test images; `mixed`: sizes and colors differ; `gray`: gray only."""
    root = tmp_path_factory.mktemp("sets")
    names = {"label": [f"c{k}" for k in range(6)]}
    for blue, (split, number) in enumerate({"train": 10, "test": 5}.items()):
        pairs = [(c, i) for c in range(6) for i in range(number)]
        cells = [encode((c, i, blue)) for c, i in pairs]
        save_parquet(root / f"plain/{split}-0.parquet", {"image": cells, "label": [c for c, _ in pairs]}, names=names)
    cells = [encode((9, 8, 7)), encode(50, mode="L", size=(8, 6)), encode((1, 2, 3, 128), mode="RGBA")] * 4
    save_parquet(root / "mixed/train-0.parquet", {"picture": cells, "kind": ["a", "b"] * 6}, names={}, image="picture")
    gray = [encode(k, mode="L") for k in range(20)]
    save_parquet(root / "gray/train-0.parquet", {"image": gray, "labels": [3, 8] * 10}, names={})
    return root


def open_stream(root, source, *, stream_seed=0, data_seed=0, **options):
    return Images(source=source, **options).stream(stream_seed=stream_seed, data_seed=data_seed, data=root)


def test_random_groups_are_disjoint_and_drawn_by_the_stream_seed(root):
    groups = [
        [choice["classes"] for choice in open_stream(root, "plain", classes_per_task=2, stream_seed=seed).choices]
        for seed in (0, 1)
    ]
    assert all(sorted(label for group in drawn for label in group) == list(range(6)) for drawn in groups)
    assert groups[0] != groups[1]


def test_pixels_come_from_the_rows_and_splits_that_choices_record(root, read_colors):
    stream = open_stream(root, "plain", classes_per_task=3, train_per_class=4, valid_per_class=2)
    for choice, task in zip(stream.choices, stream, strict=True):
        for name, per_class, blue in (("train", 10, 0), ("valid", 10, 0), ("test", 5, 1)):
            expected = [(row // per_class, row % per_class, blue) for row in choice["rows"][name]]
            assert read_colors(task.splits[name].images) == expected
            labels = [choice["classes"].index(row // per_class) for row in choice["rows"][name]]
            assert task.splits[name].labels.tolist() == labels


def test_groups_are_taken_by_name_or_id_in_the_order_given(root):
    stream = open_stream(root, "plain", class_groups=(("C5", 0), ("c1", "c2", 3)))
    assert [choice["classes"] for choice in stream.choices] == [[5, 0], [1, 2, 3]]
    assert stream.outline.classes == (2, 3)


def test_shares_without_a_test_split_are_rounded_halves_up(root):
    stream = open_stream(root, "gray", channels=1, train_per_class=0.6, valid_per_class=0.15)
    assert {name: split.labels.bincount().tolist() for name, split in stream[0].splits.items()} == {
        "train": [6, 6],
        "valid": [2, 2],
        "test": [2, 2],
    }


def test_gray_images_stay_gray_on_request_and_become_rgb_otherwise(root):
    gray, color = (open_stream(root, "gray", channels=channels)[0].train for channels in (1, 3))
    assert (gray.images.shape[1], color.images.shape[1]) == (1, 3)
    assert torch.equal(gray.images.expand(-1, 3, -1, -1), color.images)


def test_color_becomes_gray_on_request(tmp_path, save_parquet, encode):
    cells = [encode((200, 100, 50))] * 12
    save_parquet(tmp_path / "own/train-0.parquet", {"image": cells, "label": [0, 1] * 6}, names={"label": ["a", "b"]})
    images = open_stream(tmp_path, "own", channels=1)[0].train.images
    luma = (299 * 200 + 587 * 100 + 114 * 50) / 1000
    assert images.shape[1] == 1
    assert torch.equal((images * 255).round(), torch.full_like(images, luma).round())


def test_images_get_the_height_and_the_width_that_are_set(root):
    options = {"label_column": "kind", "size": (3, 5)}
    assert open_stream(root, "mixed", **options)[0].train.images.shape[1:] == (3, 3, 5)
    assert len(open_stream(root, "mixed", rotations=(0, 180), **options)) == 1
    with pytest.raises(SpecError, match=r"rotations must be multiples of 180 for images of 3 x 5 pixels"):
        open_stream(root, "mixed", rotations=(90,), **options)


@pytest.mark.parametrize(("most", "sizes"), [(1, [6]), (2, [3, 3]), (4, [2, 2, 2]), (100, [2, 2, 2])])
def test_classes_are_divided_evenly_among_at_most_so_many_tasks(root, most, sizes):
    choices = open_stream(root, "plain", max_tasks=most).choices
    assert [len(choice["classes"]) for choice in choices] == sizes
    assert sorted(label for choice in choices for label in choice["classes"]) == list(range(6))


@pytest.mark.parametrize(("most", "sizes"), [(3, [7] * 4), (8, [4, 3] * 4)])
def test_domains_share_the_tasks(data_root, most, sizes):
    stream = open_stream(data_root, "pacs", domain_column="domain", max_tasks=most)
    assert [len(choice["classes"]) for choice in stream.choices] == sizes


# Files outside, and what Pillow warns of


@pytest.mark.parametrize("pattern", ["../other/**", "https://example.org/x.parquet", "/etc/*", "zip://x::http://y"])
def test_a_local_folder_reads_no_other_folder_and_no_network(root, tmp_path, pattern):
    card = f"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {pattern}\n---\n"
    (tmp_path / "own").mkdir()
    (tmp_path / "own/train-0.parquet").write_bytes((root / "plain/train-0.parquet").read_bytes())
    (tmp_path / "own/README.md").write_text(card)
    with pytest.raises(DataError, match=r"README.md must name files of its own folder only \(got"):
        open_stream(tmp_path, "own")
    (tmp_path / "own/README.md").write_text(card.replace(pattern, "'train-*'"))
    assert len(open_stream(tmp_path, "own", train_per_class=2)) == 1


def test_images_of_a_table_lie_in_its_folder(tmp_path, encode):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "own").mkdir()
    for place in (tmp_path, tmp_path / "own"):
        (place / "x.png").write_bytes(encode((1, 2, 3)))
    info = '{"info": {"features": {"image": {"_type": "Image"}, "label": {"_type": "Value", "dtype": "int64"}}}}'
    for path, inside in (("x.png", True), ("../x.png", False), (str(tmp_path / "x.png"), False)):
        cells = pa.array(
            [{"bytes": None, "path": path}] * 12, type=pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        )
        table = pa.table({"image": cells, "label": [0, 1] * 6}).replace_schema_metadata({"huggingface": info})
        pq.write_table(table, tmp_path / "own/train.parquet")
        if inside:
            assert len(open_stream(tmp_path, "own")) == 1
        else:
            with pytest.raises(DataError, match=r"must lie in its folder \(got '.*x.png'"):
                open_stream(tmp_path, "own")


def test_an_image_of_too_many_pixels_is_an_error_and_damaged_metadata_is_silent(tmp_path, monkeypatch, recwarn):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for k in range(3):
            exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01"
            Image.new("RGB", (4, 5)).save(tmp_path / name / f"{k}.jpg", exif=exif)
    assert len(open_stream(None, str(tmp_path), train_per_class=1)) == 1
    assert not recwarn.list
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12)
    place = re.escape(str(tmp_path))
    with pytest.raises(
        DataError, match=rf"an image must have at most 12 pixels \(got more in {place}/a/\d.jpg of split 'train'"
    ):
        open_stream(None, str(tmp_path), train_per_class=1)


def test_integer_labels_without_names_are_named_by_their_numbers(root):
    assert open_stream(root, "gray").choices[0]["class_names"] == ["3", "8"]


def test_text_labels_and_mixed_images_are_read_with_a_size(root):
    task = open_stream(root, "mixed", label_column="kind", size=5)[0]
    assert task.train.images.shape[1:] == (3, 5, 5)
    colors = {tuple(color) for color in (task.train.images[:, :, 0, 0] * 255).round().int().tolist()}
    assert colors <= {(9, 8, 7), (50, 50, 50), (1, 2, 3)}


def test_pixel_ranges_shift_and_standardize(root):
    unit, centered = (open_stream(root, "plain", pixels=pixels)[0] for pixels in ("[0,1]", "[-0.5,0.5]"))
    torch.testing.assert_close(unit.train.images - 0.5, centered.train.images)
    standard = open_stream(root, "plain", pixels="standardize")[0].train.images[:, :2]
    torch.testing.assert_close(standard.mean((0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)


def test_a_folder_of_one_folder_per_class_is_read(tmp_path):
    for split, number in (("train", 6), ("test", 2)):
        for k, name in enumerate(("ant", "bee")):
            (tmp_path / "own" / split / name).mkdir(parents=True)
            for i in range(number):
                Image.new("RGB", (4, 4), (k, i, 0)).save(tmp_path / "own" / split / name / f"{i}.png")
    task = open_stream(tmp_path, "own", train_per_class=4, valid_per_class=1)[0]
    assert task.name == "ant / bee"
    assert [len(split) for split in task.splits.values()] == [8, 2, 4]
    assert (task.train.images[:, 0, 0, 0] * 255).round().long().tolist() == task.train.labels.tolist()


def test_a_path_needs_no_data_root(root):
    one, other = open_stream(None, str(root / "plain")), open_stream(root, "plain")
    assert one.fingerprint == other.fingerprint


def test_local_folders_are_read_without_a_connection(root, monkeypatch):
    def refuse(*_):
        raise AssertionError("a local folder was looked up on the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert len(open_stream(root, "plain", classes_per_task=2)) == 3


def test_domains_become_tasks_of_their_own_with_the_same_groups(data_root, read_colors):
    stream = open_stream(data_root, "pacs", domain_column="domain", domains=("Photo", "cartoon"), classes_per_task=4)
    assert [choice["domain"] for choice in stream.choices] == ["photo", "photo", "cartoon", "cartoon"]
    assert stream.choices[0]["classes"] == stream.choices[2]["classes"]
    assert {blue for _, _, blue in read_colors(stream[0].test.images)} == {2}
    assert {blue for _, _, blue in read_colors(stream[2].test.images)} == {1}


def test_overlapping_groups_never_mix_training_and_test_images(data_root):
    groups = (("animal 0", "animal 1"), ("animal 1", "animal 2"), ("animal 0", "animal 2"))
    stream = open_stream(data_root, "pacs", class_groups=groups)
    rows = {split: {row for choice in stream.choices for row in choice["rows"][split]} for split in ("train", "valid")}
    tested = {row for choice in stream.choices for row in choice["rows"]["test"]}
    assert not rows["train"] & rows["valid"]
    assert not (rows["train"] | rows["valid"]) & tested


def test_transforms_are_the_same_for_all_splits_and_recorded(root):
    stream = open_stream(root, "plain", classes_per_task=2, channel_orders=True)
    for choice, task in zip(stream.choices, stream, strict=True):
        order, rows = choice["channel_order"], choice["rows"]
        for name, per_class, blue in (("train", 10, 0), ("test", 5, 1)):
            original = torch.tensor([(row // per_class, row % per_class, blue) for row in rows[name]])
            assert torch.equal((task.splits[name].images[:, :, 0, 0] * 255).round().long(), original[:, order])


def test_max_test_keeps_a_part_of_the_test_images(root):
    full, part = (open_stream(root, "plain", max_test=limit).choices[0]["rows"] for limit in (None, 8))
    assert set(part["test"]) < set(full["test"])
    assert sorted(sum(row // 5 == k for row in part["test"]) for k in range(6)) == [1, 1, 1, 1, 2, 2]
    assert part["train"] == full["train"]


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("absent", {}, r"must have a folder 'absent' \(got none at .*absent"),
        ("plain", {"label_column": "class"}, "must have a column 'class' .got columns image, label"),
        ("plain", {"domain_column": "style"}, "must have a column 'style' .got columns image, label"),
        ("mixed", {}, "must have a column 'label' .got columns picture, kind"),
        ("mixed", {"label_column": "kind", "image_column": "kind"}, "row .* of split 'train'"),
        ("mixed", {"label_column": "kind"}, r"must have one size \(got . x . in row \d+ .* set size"),
        (
            "plain",
            {"train_per_class": 10},
            r"class 'c0' must have at least 11 images \(got 10 in split 'train' of .*plain",
        ),
        ("plain", {"test_per_class": 6}, r"class 'c0' must have at least 6 images \(got 5 in split 'test' of .*plain"),
        ("plain", {"valid_split": "dev"}, "split must be one of train, test, .* .got 'dev'"),
        ("plain", {"classes_per_task": 5}, "leaves one class alone"),
        ("plain", {"class_groups": (("c1", "c9"),)}, "a class must be one of those in .* .got 'c9'.; known: c0, c1"),
        ("plain", {"class_groups": (("c1", 6),)}, "class ids of .* must be between 0 and 5 .got 6"),
    ],
)
def test_bad_data_is_named(root, source, options, message):
    with pytest.raises(DataError, match=message):
        open_stream(root, source, **options)


def test_an_undecodable_image_is_named_by_row_and_split(tmp_path, save_parquet, encode):
    cells = [encode((1, 1, 1))] * 11 + [b"not an image"]
    save_parquet(tmp_path / "own/train-0.parquet", {"image": cells, "label": [0, 1] * 6}, names={"label": ["a", "b"]})
    with pytest.raises(DataError, match=r"must be decodable \(got UnidentifiedImageError .* row 11 of split 'train'"):
        open_stream(tmp_path, "own")


def test_a_missing_image_is_named_by_row_and_split(tmp_path, save_parquet, encode):
    cells = [encode((1, 1, 1))] * 11 + [None]
    save_parquet(tmp_path / "own/train-0.parquet", {"image": cells, "label": [0, 1] * 6}, names={"label": ["a", "b"]})
    with pytest.raises(DataError, match="neither bytes nor a path"):
        open_stream(tmp_path, "own")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, r"a folder of images must have images \(got none in .*own, .*put them there"),
        (b"PAR1 but broken", r"own must be readable as an image data set \(got .* check that it holds"),
    ],
)
def test_an_unreadable_folder_is_a_data_error(tmp_path, content, text):
    (tmp_path / "own").mkdir()
    if content:
        (tmp_path / "own/train.parquet").write_bytes(content)
    with pytest.raises(DataError, match=text):
        open_stream(tmp_path, "own")


def test_an_unreachable_hub_says_how_to_give_local_data(monkeypatch):
    import datasets

    def refuse(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(
        DataError, match=r"some/set must be a folder, or .* ConnectionError: no route to host\); .* give --data"
    ):
        open_stream(None, "some/set")


def test_progress_bars_are_left_as_they_were(root):
    import datasets

    before = datasets.utils.are_progress_bars_disabled()
    open_stream(root, "plain")
    assert datasets.utils.are_progress_bars_disabled() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_per_class": 1.5}, "train_per_class must be a whole number of at least 1 or a share"),
        ({"valid_per_class": 0}, "valid_per_class must be a whole number"),
        ({"classes_per_task": 1}, "classes_per_task must be at least 2"),
        ({"classes_per_task": 2, "class_groups": ((0, 1),)}, "not both"),
        ({"class_groups": ((0,),)}, "class_groups.0. must be a list of at least 2 classes"),
        ({"class_groups": ()}, "class_groups must be a list of at least 1"),
        ({"rotations": (45,)}, "a multiple of 90"),
        ({"size": 0}, "size must be at least 1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        Images(source="any", **options)


def test_outline_is_unknown_before_the_data_is_read():
    assert Images(source="any").outline() is None


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, (9, 1, 5)),
        ({"test_split": "train"}, (6, 1, 3)),
        ({"train_per_class": "all", "valid_per_class": 2}, (8, 2, 5)),
        ({"train_per_class": 1.0, "valid_per_class": 0.25}, (7, 3, 5)),
        ({"train_per_class": "all", "test_split": "train", "test_per_class": 3}, (6, 1, 3)),
        ({"train_per_class": 1, "valid_split": "test"}, (1, 5, 5)),
    ],
)
def test_all_images_of_a_class_are_those_that_the_other_splits_leave(root, options, sizes):
    task = open_stream(root, "plain", **options)[0]
    assert [split.labels.bincount().tolist() for split in task.splits.values()] == [[size] * 6 for size in sizes]


def test_training_and_test_cannot_both_take_all_images(root):
    with pytest.raises(
        SpecError, match=r"only one split must take all .* train_per_class = .all., test_per_class = .all."
    ):
        open_stream(root, "gray", train_per_class="all")
