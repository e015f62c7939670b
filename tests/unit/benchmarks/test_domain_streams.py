"""Office-Home and PACS on generated images: one color per image, blue spells the domain."""

from itertools import pairwise

import pytest

from lasem.benchmarks import OfficeHome, OfficeHomeIncremental, Pacs
from lasem.benchmarks._draw import evened, rounded
from lasem.errors import DataError, SpecError
from toys import open_stream


def test_office_home_has_five_groups_of_thirteen_classes_in_two_domains(data_root, read_colors):
    stream = open_stream(OfficeHome(size=8), data_root)
    assert stream.outline.classes == OfficeHome().outline().classes == (13,) * 10
    assert stream.outline.images == {"train": 78, "valid": 13, "test": 39}
    groups = [choice["classes"] for choice in stream.choices]
    assert sorted(label for group in groups[:5] for label in group) == list(range(65))
    assert groups[:5] == groups[5:]
    for position, blue in ((0, 1), (4, 1), (5, 2), (9, 2)):
        assert {domain for _, _, domain in read_colors(stream[position].train.images)} == {blue}


def test_office_home_is_resized_to_128_pixels_in_the_unit_range(data_root):
    task = open_stream(OfficeHome(first_tasks=1), data_root)[0]
    assert task.train.images.shape[1:] == OfficeHome().outline().shape == (3, 128, 128)
    assert task.train.images.min() >= 0
    assert task.train.images.max() <= 1


def test_office_home_splits_are_disjoint(data_root):
    for choice in open_stream(OfficeHome(size=8), data_root).choices:
        rows = [set(choice["rows"][split]) for split in ("train", "valid", "test")]
        assert len(rows[0] | rows[1] | rows[2]) == sum(map(len, rows)) == 130


@pytest.mark.parametrize("spelling", ["Real World", "Real-World", "real_world", "RealWorld"])
def test_domains_are_found_in_any_spelling(tmp_path, save_parquet, encode, spelling):
    labels = [k for k in range(65) for _ in range(4)] * 2
    save_parquet(
        tmp_path / "office-home/train-0.parquet",
        {
            "image": [encode((1, 2, 3))] * len(labels),
            "domain": ["Product"] * 260 + [spelling] * 260,
            "label": labels,
        },
        names={"label": [f"k{k}" for k in range(65)]},
    )
    stream = open_stream(OfficeHome(size=4, first_tasks=6), tmp_path)
    assert [choice["domain"] for choice in stream.choices][4:] == ["Product", spelling]


def test_incremental_tasks_grow_from_three_to_eight_classes(data_root, read_colors):
    stream = open_stream(OfficeHomeIncremental(size=8), data_root)
    assert stream.outline.classes == OfficeHomeIncremental().outline().classes == (3, 4, 5, 6, 7, 8)
    longest = ["Couch", "Table", "Paper_Clip", "Clipboards", "Bucket", "Notebook", "Bed", "Trash_Can"]
    assert [choice["class_names"] for choice in stream.choices] == [longest[:n] for n in range(3, 9)]
    assert {domain for _, _, domain in read_colors(stream[5].test.images)} == {1}
    drawn = [set(choice["rows"]["train"]) for choice in stream.choices]
    assert all(smaller < larger for smaller, larger in pairwise(drawn))


def test_pacs_goes_domain_by_domain(data_root, read_colors):
    stream = open_stream(Pacs(size=8), data_root)
    assert [choice["domain"] for choice in stream.choices] == ["photo", "art_painting", "cartoon", "sketch"]
    assert [read_colors(task.test.images)[0][2] for task in stream] == [2, 0, 1, 3]
    assert stream.outline.classes == Pacs().outline().classes == (7, 7, 7, 7)
    assert stream.outline.images == {"train": 42, "valid": 7, "test": 21}


def test_pacs_in_eight_tasks_has_the_same_two_groups_in_every_domain(data_root):
    stream = open_stream(Pacs(tasks=8, size=8), data_root, stream_seed=3)
    groups = [choice["classes"] for choice in stream.choices]
    assert sorted(groups[0] + groups[1]) == list(range(7))
    assert all(groups[k] == groups[k % 2] for k in range(8))
    assert stream.outline.classes == Pacs(tasks=8).outline().classes == (4, 3) * 4


def test_data_seed_changes_images_and_not_classes(data_root):
    one, other = (open_stream(Pacs(tasks=8, size=8), data_root, data_seed=seed) for seed in (0, 1))
    assert [c["classes"] for c in one.choices] == [c["classes"] for c in other.choices]
    assert [c["rows"] for c in one.choices] != [c["rows"] for c in other.choices]
    assert one.fingerprint != other.fingerprint


def test_a_missing_domain_is_named(tmp_path, save_parquet, encode):
    save_parquet(
        tmp_path / "pacs/train-0.parquet",
        {"image": [encode((1, 2, 3))] * 7, "domain": ["photo"] * 7, "label": list(range(7))},
        names={"label": [f"k{k}" for k in range(7)]},
    )
    with pytest.raises(DataError, match=r"a domain must be one of those in .* \(got 'art_painting'\); known: photo"):
        open_stream(Pacs(), tmp_path)


@pytest.mark.parametrize("images", [1, 2, 3])
def test_a_class_of_three_images_is_too_few(images, tmp_path, save_parquet, encode):
    labels = [k for k in range(7) for _ in range(images)]
    domains = ["photo", "art_painting", "cartoon", "sketch"]
    save_parquet(
        tmp_path / "pacs/train-0.parquet",
        {
            "image": [encode((1, 2, 3))] * 28 * images,
            "domain": [domain for domain in domains for _ in labels],
            "label": labels * 4,
        },
        names={"label": [f"k{k}" for k in range(7)]},
    )
    with pytest.raises(
        DataError, match=rf"class 'k0' must have at least 4 images .got {images} in split 'train', domain 'photo'"
    ):
        open_stream(Pacs(), tmp_path)


@pytest.mark.parametrize("benchmark", [Pacs, OfficeHome, OfficeHomeIncremental])
def test_impossible_shares_are_refused(benchmark):
    with pytest.raises(SpecError, match="train_per_class must be a whole number of at least 1 or a share"):
        benchmark(train_per_class=1.0)


def test_shares_are_rounded_halves_up_and_never_to_nothing():
    for images in range(1, 400):
        tenth = (2 * images + 10) // 20
        assert rounded(0.1, images) == max(1, tenth)
    assert [rounded(0.6, n) for n in (1, 2, 3, 4, 5)] == [1, 1, 2, 2, 3]


def test_evened_shares_are_as_even_as_the_available_images_allow(rng):
    for _ in range(50):
        available = rng.integers(1, 20, size=4).tolist()
        total = int(rng.integers(1, sum(available) + 1))
        shares = evened(available, total)
        assert sum(shares) == total
        assert all(share <= most for share, most in zip(shares, available, strict=True))
        open_shares = [share for share, most in zip(shares, available, strict=True) if share < most]
        assert not open_shares or max(shares) - min(open_shares) <= 1
