"""Streams of real images, from the folder that LASEM_DATA names."""

import os
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from lasem.benchmarks import BENCHMARKS, Cifar100, Images, Pacs, TinyImageNet10
from lasem.benchmarks._cifar100 import SUPERCLASSES
from lasem.benchmarks._classes import folded
from lasem.benchmarks._decode import Decoding
from lasem.benchmarks._open import open_source
from lasem.benchmarks._source import Columns
from lasem.runs import check, resolve
from toys import open_stream

ROOT = Path(os.environ.get("LASEM_DATA", "absent"))


def folder(name):
    if not (ROOT / name).is_dir():
        pytest.skip(f"LASEM_DATA has no folder '{name}'" if "LASEM_DATA" in os.environ else "LASEM_DATA is not set")
    return ROOT


def test_superclass_table_agrees_with_the_coarse_labels():
    place = folder("cifar100") / "cifar100"
    sources = [
        open_source(place, columns=Columns(label=label), decoding=Decoding())
        for label in ("fine_label", "coarse_label")
    ]
    fine, coarse = (source.split("test").labels for source in sources)
    found = {}
    for fine_id, coarse_id in sorted(set(zip(fine.tolist(), coarse.tolist(), strict=True))):
        found.setdefault(folded(sources[1].class_names[coarse_id]), []).append(folded(sources[0].class_names[fine_id]))
    table = {folded(name): list(map(folded, names)) for group in SUPERCLASSES for name, names in group.items()}
    assert found == table


def test_each_class_appears_in_exactly_four_of_forty_tasks():
    stream = open_stream(Cifar100(tasks=40), folder("cifar100"))
    counts = Counter(label for choice in stream.choices for label in choice["classes"])
    assert set(counts.values()) == {4}
    assert len(counts) == 100
    assert len({frozenset(choice["classes"]) for choice in stream.choices}) == 40


def test_cifar_tasks_have_the_sizes_of_the_table_and_are_standardized():
    for task in open_stream(Cifar100(), folder("cifar100")):
        assert [len(split) for split in task.splits.values()] == [170, 30, 1000]
        spread, mean = torch.std_mean(task.train.images, dim=(0, 2, 3), correction=0)
        torch.testing.assert_close(mean, torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(spread, torch.ones(3), atol=1e-5, rtol=0)
        assert 0.001 < task.test.images.mean().abs() < 0.5


@pytest.mark.slow
def test_five_data_seeds_draw_disjoint_cifar_images():
    seen = set()
    for data_seed in range(5):
        stream = open_stream(Cifar100(disjoint_draws=True, max_test=10), folder("cifar100"), data_seed=data_seed)
        drawn = {row for choice in stream.choices for split in ("train", "valid") for row in choice["rows"][split]}
        assert len(drawn) == 2000
        assert not drawn & seen
        seen |= drawn


def test_tiny_imagenet_tasks_have_the_sizes_of_the_table():
    stream = open_stream(TinyImageNet10(), folder("tiny-imagenet-10"))
    assert stream.outline == TinyImageNet10().outline()
    task = stream[19]
    assert [len(split) for split in task.splits.values()] == [318, 57, 750]
    assert task.test.images.shape[1:] == (3, 96, 96)
    assert task.test.images.abs().max() <= 0.5


def test_pacs_splits_every_class_sixty_ten_thirty():
    stream = open_stream(Pacs(size=32), folder("pacs"))
    totals = {"photo": 1670, "art_painting": 2048, "cartoon": 2344, "sketch": 3929}
    for choice, task in zip(stream.choices, stream, strict=True):
        counts = torch.stack([split.labels.bincount() for split in task.splits.values()]).T.double()
        assert counts.sum() == totals[choice["domain"]]
        shares = counts / counts.sum(1, keepdim=True)
        assert (shares - torch.tensor([0.6, 0.1, 0.3])).abs().max() < 1 / counts.sum(1).min()


@pytest.mark.slow
def test_the_general_constructor_makes_the_stream_of_the_paper():
    root = folder("pacs")
    own = Images(source="pacs", domain_column="domain", domains=("photo", "cartoon"), size=32)
    named = Pacs(size=32, order=(0, 2))
    general, paper = open_stream(own, root), open_stream(named, root)
    for one, other in zip(general, paper, strict=True):
        assert one.name == other.name
        assert sorted(one.train.labels.tolist()) == sorted(other.train.labels.tolist())
    assert torch.equal(general[0].train.images, paper[0].train.images)


@pytest.mark.parametrize("kind", ["cifar100", "pacs", "tiny-imagenet-10"])
def test_real_streams_are_functions_of_their_seeds(kind):
    root = folder(kind)
    benchmark = BENCHMARKS[kind](first_tasks=2, max_test=30)
    prints = [open_stream(benchmark, root, stream_seed=s, data_seed=d).fingerprint for s, d in ((0, 0), (0, 0), (0, 1))]
    assert prints[0] == prints[1] != prints[2]


def test_a_folder_of_pacs_as_it_is_published_is_a_stream_of_domains(tmp_path):
    place = folder("pacs") / "pacs"
    split = datasets.load_dataset(str(place))["train"].cast_column("image", datasets.Image(decode=False))
    domains, classes = np.asarray(split["domain"]), np.asarray(split["label"])
    for domain in ("photo", "sketch"):
        for label in (0, 1, 2):
            path = tmp_path / "PACS" / domain / split.features["label"].names[label]
            path.mkdir(parents=True)
            for row in np.flatnonzero((domains == domain) & (classes == label))[:10]:
                (path / f"{row}.jpg").write_bytes(split[int(row)]["image"]["bytes"])
    spec = resolve("images/lasem-hps", [f"benchmark.source={tmp_path}"])
    stream = check(spec).stream(stream_seed=0, data_seed=0, data=None)
    assert "is read as */domain/class/file: 2 domains (photo, sketch), 3 classes, 60 train images" in stream.about
    assert [task.name for task in stream] == [f"{domain}: dog / elephant / giraffe" for domain in ("photo", "sketch")]
    assert stream.outline.shape == (3, 32, 32)
    assert all([len(split) for split in task.splits.values()] == [18, 3, 9] for task in stream)
