"""Folders of image files: which layouts are understood, as what, and which are refused with the remedy."""

import os
import sys

import pytest
from PIL import Image

from lasem.benchmarks import Images
from lasem.errors import DataError, RunError, SpecError

DOMAINS, CLASSES = ("art", "photo"), ("ant", "bee", "cat")
SPLITS = ("train", "val", "test")


def write(root, paths, *, number=4):
    """Write images of one color each into folders; the blue channel counts folders, the green one images."""
    for blue, path in enumerate(paths):
        (root / path).mkdir(parents=True, exist_ok=True)
        for green in range(number):
            Image.new("RGB", (4, 4), (0, green, blue)).save(root / path / f"{green}.png")
    return root


def read(root, **options):
    return Images(source=str(root), **options).stream(stream_seed=0, data_seed=0, data=None)


def blues(split):
    """Folders from which the images of a split come."""
    return sorted(set((split.images[:, 2, 0, 0] * 255).round().int().tolist()))


def test_folders_of_domains_become_tasks_domain_by_domain(tmp_path):
    stream = read(write(tmp_path, [f"{domain}/{name}" for domain in DOMAINS for name in CLASSES]))
    assert [(choice["domain"], choice["class_names"]) for choice in stream.choices] == [
        (domain, list(CLASSES)) for domain in DOMAINS
    ]
    assert [blues(task.test) for task in stream] == [[0, 1, 2], [3, 4, 5]]
    assert stream.about.endswith("is read as domain/class/file: 2 domains (art, photo), 3 classes, 24 train images")


@pytest.mark.parametrize("names", [SPLITS, ("training", "Validation", "testing"), ("train", "dev", "test")])
def test_folders_of_splits_become_the_splits(tmp_path, names):
    task = read(write(tmp_path, [f"{split}/{name}" for split in names for name in CLASSES]))[0]
    assert [blues(split) for split in task.splits.values()] in (
        [[0, 1, 2], [3, 4, 5], [6, 7, 8]],
        [[0, 1, 2], [3, 4, 5], [6, 7, 8]],
    )
    assert [len(split) for split in task.splits.values()] == [12, 12, 12]


def test_splits_and_domains_may_lie_in_any_order_with_other_folders_between(tmp_path):
    paths = [f"all/{domain}/{split}/{name}/images" for domain in DOMAINS for split in SPLITS for name in CLASSES]
    stream = read(write(tmp_path, paths, number=2))
    assert "domain/split/class/*/file: 2 domains" in stream.about
    assert [blues(split) for split in stream[1].splits.values()] == [[9, 10, 11], [12, 13, 14], [15, 16, 17]]


def test_validation_images_come_from_the_training_split_on_request(tmp_path):
    write(tmp_path, [f"{split}/{name}" for split in ("train", "val") for name in CLASSES])
    task = read(tmp_path, valid_split="train")[0]
    assert blues(task.valid) == blues(task.train) == [0, 1, 2]


def test_files_that_are_no_images_and_hidden_ones_are_left_out(tmp_path):
    write(tmp_path, [*CLASSES, "__MACOSX/ant", ".thumbnails"])
    (tmp_path / "ant" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "ant" / "._0.png").write_bytes(b"x")
    about = read(tmp_path).about
    assert about.endswith("3 classes, 12 train images, 1 file that ends like no image left out, such as ant/Thumbs.db")
    (tmp_path / "images.zip").write_bytes(b"x")
    assert "2 files that end like no image left out" in read(tmp_path).about


def test_names_of_classes_that_differ_only_in_their_spelling_are_told(tmp_path):
    names = ("dog", "Dog", "cat", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}")
    about = read(write(tmp_path / "all", names)).about
    assert "'Dog' and 'dog' are two classes" in about
    assert "'cafe\N{COMBINING ACUTE ACCENT}' and 'caf" in about
    assert "cat'" not in about
    same = [f"{domain}/{name}" for domain in ("photo", "sketch") for name in CLASSES]
    write(tmp_path / "two", [*same, "photo/dog", "sketch/Dog"])
    with pytest.raises(DataError, match=r"class 'Dog' must .*got 0 .* domain 'photo' .*; 'Dog' and 'dog' are two"):
        read(tmp_path / "two")


def test_a_class_that_a_domain_lacks_is_named_with_the_remedy(tmp_path):
    write(tmp_path, ["photo/ant", "photo/bee", "photo/cat", "sketch/ant", "sketch/bee"])
    with pytest.raises(DataError, match=r"class 'cat' must .*got 0 .* 'sketch' .* each domain as a folder of its own"):
        read(tmp_path)
    tasks = Images(source=(str(tmp_path / "photo"), str(tmp_path / "sketch")), size=4).count_tasks(None)
    assert tasks == 2


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("empty", r"folder of images must have images \(got none in .*empty, nor other files\)"),
        ("photo.zip", r"a source must be a folder of images \(got the file .*photo\.zip\); name the folder"),
        ("./photoz", r"got './photoz', and there is no folder .*photoz\); correct the path"),
        ("~/no/photoz", r"there is no folder /.*/no/photoz\)"),
        ("photoz/", r"got 'photoz/', and there is no folder"),
        ("/no/photoz", r"got '/no/photoz', and there is no folder"),
        ("photoz", r"photoz must be a folder, or readable as an image data set of the hub \(got no such folder, and "),
    ],
)
@pytest.mark.parametrize("rooted", [False, True])
def test_a_source_that_is_no_folder_of_images_is_named(tmp_path, monkeypatch, source, message, rooted):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty" / "ant").mkdir(parents=True)
    (tmp_path / "photo.zip").write_bytes(b"x")
    if rooted and source == "photoz":
        message = r"the data root must have a folder 'photoz'"
    with pytest.raises(DataError, match=message):
        Images(source=source).stream(stream_seed=0, data_seed=0, data=tmp_path / "root" if rooted else None)


def test_without_the_packages_for_the_hub_a_missing_folder_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        RunError, match=r"datasets must be installed for a data set of the hub, which photoz .* no folder"
    ):
        Images(source="photoz").stream(stream_seed=0, data_seed=0, data=None)


def test_an_image_that_cannot_be_decoded_is_named_with_its_folder(tmp_path):
    write(tmp_path / "x", CLASSES)
    (write(tmp_path / "y", CLASSES) / "bee" / "0.png").write_text("no image")
    with pytest.raises(DataError, match=rf"{tmp_path}/y/bee/0\.png of split 'train'\); repair"):
        Images(source=(str(tmp_path / "x"), str(tmp_path / "y")), size=4).stream(stream_seed=0, data_seed=0, data=None)


@pytest.mark.parametrize(
    ("paths", "layout", "message"),
    [
        (["bus", "car", "train"], "class", r"got 'train' beside folders that are no splits .*layout .* \"class\""),
        (["a/x", "a/y", "b/z", "b/w"], "*/class", r"2 folders with 4 different .* \"domain/class\" or .* \"\*/class\""),
        (["a/x", "a/y", "b/x", "b/y"], "class/domain", r"2 folders with 2 different .* \"class/domain\""),
        (["a/x/1", "a/y/2", "b/x/2", "b/y/1"], "*/class/*", r"got 3 levels of folders, such as 'a/x/1/0.png'"),
    ],
)
def test_what_can_mean_several_things_is_refused_until_the_layout_is_set(tmp_path, paths, layout, message):
    write(tmp_path, paths)
    with pytest.raises(DataError, match=message):
        read(tmp_path)
    assert f"read as {layout}/file: " in read(tmp_path, layout=layout, valid_per_class=1).about


@pytest.mark.parametrize(
    ("paths", "options", "message"),
    [
        (["."], {}, r"must lie in at least two folders, one for each class \(got '0.png' and 3 more .* labels.csv"),
        (["train", "test"], {}, r"must lie in at least two folders, one for each class \(got 'test/0.png'"),
        (["a", "b", "."], {}, r"must lie equally deep \(got '0.png' and 'a/0.png'"),
        (["a", "b"], {"layout": "domain/class"}, r"must lie 2 folders deep \(got 'a/0.png'"),
        (["a", "b"], {"label_column": "kind"}, r"must have a column 'kind' \(got folders class/file"),
        (["a\x1b[31m", "b"], {}, r"name of a class must be printable text \(got 'a\\x1b\[31m'"),
        ([os.fsdecode(b"caf\xe9"), "b"], {}, r"name of a class must be printable text \(got 'caf\\xe9'"),
    ],
)
def test_folders_without_a_meaning_are_named(tmp_path, paths, options, message):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, paths), **options)


@pytest.mark.parametrize("layout", ["domain", "class/class", "class/sort", ""])
def test_a_layout_has_a_class_and_known_levels(layout):
    with pytest.raises(SpecError, match="layout must be levels such as split/domain/class"):
        Images(source="any", layout=layout)


# Tables


def table(root, text, name="labels.csv"):
    (root / name).write_text(text, encoding="utf-8")
    return root


def test_a_table_gives_labels_splits_and_domains(tmp_path):
    write(tmp_path, ["pictures"], number=8)
    rows = [
        f"{'test' if k > 5 else 'train'},{'photo' if k % 3 else 'art'},{'ab'[k % 2]},pictures/{k}.png" for k in range(8)
    ]
    table(tmp_path, "\n".join(["split,style,kind,path", *rows]))
    stream = read(tmp_path, label_column="kind")
    assert "read as labels.csv: 2 classes, 6 train + 2 test images" in stream.about
    assert [len(split) for split in stream[0].splits.values()] == [4, 2, 2]
    green = (stream[0].train.images[:, 1, 0, 0] * 255).round().int()
    assert (green % 2).tolist() == stream[0].train.labels.tolist()


def test_files_of_a_table_are_found_by_name_and_without_their_ending(tmp_path):
    write(tmp_path, ["train"], number=9)
    table(tmp_path, "id,label\n" + "".join(f"{k},{10 - k % 2}\n" for k in range(8)))
    stream = read(tmp_path)
    assert "labels.csv, 1 image file is not in it" in stream.about
    assert stream.choices[0]["class_names"] == ["9", "10"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\n0.png,a\n", r"must have a column 'file_name' with paths of images \(got columns name, label"),
        ("file,kind\n0.png,a\n", r"must have a column 'label' \(got columns file, kind\); set label_column"),
        ("file,label\n0.pmg,a\n", r"must list images of its folder \(got '0.pmg' in row 1\); did you mean '0.png'"),
        ("file,label\n../0.png,a\n", r"must list images of its folder \(got '../0.png'"),
        ("file,label\n0.png,\n", r"must have a value in column 'label' \(got none for '0.png'"),
        ("file,label\n0.png,a\n0.png,b\n", r"must list an image once \(got '0.png' twice"),
        ("", r"must have a column 'file_name' .* \(got columns none"),
    ],
)
def test_wrong_tables_are_named(tmp_path, text, message):
    (tmp_path / "own").mkdir()
    write(tmp_path, ["."])
    with pytest.raises(DataError, match=message):
        read(table(write(tmp_path / "own", ["."]), text))


def test_a_table_of_another_encoding_is_named(tmp_path):
    (write(tmp_path, ["."]) / "labels.csv").write_bytes("file,label\n0.png,café".encode("latin-1"))
    with pytest.raises(DataError, match=r"labels.csv must be a readable table .* save it as CSV in UTF-8"):
        read(tmp_path)


def test_several_folders_become_tasks_with_the_classes_that_each_has(tmp_path):
    pets = write(tmp_path / "pets", ["cat", "dog"])
    birds = write(tmp_path / "birds", ["owl", "dog", "auk"], number=6)
    benchmark = Images(source=(str(pets), str(birds)), size=4, max_tasks=1)
    assert benchmark.count_tasks(None) == benchmark.count_visits(None) == 2
    stream = benchmark.stream(stream_seed=0, data_seed=0, data=None)
    assert [(choice["domain"], choice["class_names"]) for choice in stream.choices] == [
        ("pets", ["cat", "dog"]),
        ("birds", ["auk", "dog", "owl"]),
    ]
    for task, folder in zip(stream, ([0, 1], [2, 1, 0]), strict=True):  # blue counts folders as they were written
        for split in task.splits.values():
            found = (split.images[:, 2, 0, 0] * 255).round().int().tolist()
            assert found == [folder[label] for label in split.labels]
    assert "pets is read as class/file" in stream.about
    assert "birds is read as class/file" in stream.about


def test_folders_with_domains_become_a_task_for_each_domain(tmp_path):
    first = write(tmp_path / "a" / "set", [f"{domain}/{name}" for domain in DOMAINS for name in CLASSES])
    second = write(tmp_path / "b" / "set", ["ant", "bee"])
    stream = Images(source=(str(first), str(second)), size=4).stream(stream_seed=0, data_seed=0, data=None)
    assert [choice["domain"] for choice in stream.choices] == [f"{first}/art", f"{first}/photo", str(second)]


@pytest.mark.parametrize(
    ("paths", "options", "message"),
    [
        (["x/a", "y/a", "y/b"], {"size": 4}, r"images must lie in at least two folders"),
        (["x/a", "x/b", "y/train/a", "y/train/b"], {"size": 4}, None),
        (["x/a", "x/b", "y/train/a", "y/train/b", "y/test/a", "y/test/b"], {"size": 4}, r"must have the same splits"),
        (["x/a", "x/b", "y/a", "y/b"], {}, r"size must be set for several folders"),
        (["x/a", "x/b", "y"], {"size": 4, "source": ("x", "y/../x/.")}, r"must differ \(got x and y/\.\./x"),
        (
            ["x/a", "x/b", "y/a", "y/b"],
            {"size": 4, "classes_per_task": 2},
            r"class_groups and classes_per_task must be",
        ),
    ],
)
def test_several_folders_that_do_not_go_together_are_refused(tmp_path, monkeypatch, paths, options, message):
    monkeypatch.chdir(write(tmp_path, paths))
    options = {"source": (str(tmp_path / "x"), str(tmp_path / "y")), **options}
    if message is None:
        assert Images(**options).count_tasks(None) == 2
        return
    with pytest.raises((DataError, SpecError), match=message):
        Images(**options).stream(stream_seed=0, data_seed=0, data=None)


def test_the_images_of_a_task_can_be_limited_in_every_split(tmp_path):
    write(tmp_path, CLASSES, number=20)
    full, part = (read(tmp_path, **limits) for limits in ({}, {"max_train": 7, "max_valid": 4, "max_test": 5}))
    assert [len(split) for split in part[0].splits.values()] == [7, 4, 5]
    assert sorted(part[0].train.labels.bincount().tolist()) == [2, 2, 3]
    rows = [stream.choices[0]["rows"] for stream in (full, part)]
    assert all(set(rows[1][split]) <= set(rows[0][split]) for split in rows[0])


def test_broken_images_of_a_split_are_named_together(tmp_path):
    write(tmp_path, [f"{split}/{name}" for split in ("train", "val", "test") for name in CLASSES])
    for place in ("train/ant/1.png", "train/bee/1.png", "train/cat/3.png"):
        (tmp_path / place).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"ant/1\.png of split .*; so it is with 2 more: .*bee/1\.png, .*cat/3\.png$"):
        read(tmp_path)
