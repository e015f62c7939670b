"""The synthetic stream: planted configurations, knowledge, labels."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lasem.benchmarks import Synthetic
from lasem.benchmarks._teacher import TeacherLayers, fit_head, mixed_knowledge, planted_layers, truncated_normal
from lasem.errors import DataError, SpecError
from toys import open_stream

SMALL = {"train_per_class": 5, "valid_per_class": 2, "test_per_class": 3, "out_channels": (4, 4, 4)}


NARROW = {
    "train_per_class": 30,
    "image_size": 12,
    "image_channels": 3,
    "out_channels": (8, 16, 16),
    "kernel_sizes": (3, 3, 3),
    "pools": (2, 2, 1),
    "ranks": (0, 0, 0),
    "planted": "random",
    "kernel_scale": 1.0,
    "head_rank": 8,
    "candidates": 3.0,
}


def small(**options):
    """Three narrow layers that read all of their input."""
    return Synthetic(**(NARROW | options))


def opened(*, stream_seed=0, data_seed=0, **options):
    return open_stream(small(**options), stream_seed=stream_seed, data_seed=data_seed)


def layers(seed, **options):
    table = {"in_channels": 3, "out_channels": (8, 16), "kernel_sizes": (3, 5), "pools": (2, 1), "ranks": (0, 0)}
    return TeacherLayers(**table, kernel_scale=1.0, bias_scale=0.1, **options).draw(seed, "layers")


def test_outline_is_exact():
    assert opened(first_tasks=2).outline == small(first_tasks=2).outline()
    assert opened(max_test=40, order=(1, 1, 0)).outline == small(max_test=40, order=(1, 1, 0)).outline()


def test_labels_are_balanced_in_every_split():
    for task in opened(first_tasks=2):
        for split, number in zip(task.splits.values(), (30, 10, 100), strict=True):
            assert split.labels.bincount().tolist() == [number] * 4
            assert split.images.min() >= -0.5
            assert split.images.max() <= 0.5


def test_knowledge_at_full_strength_is_the_shared_layers():
    stream = opened(bias_scale=0.2, first_tasks=1)
    weak = opened(bias_scale=0.2, strength=0.6, first_tasks=1)
    assert list(stream.knowledge) == [f"stages.{k}.shared.{part}" for k in range(3) for part in ("weight", "bias")]
    for name, value in stream.knowledge.items():
        other = (weak.knowledge[name] - 0.6 * value) / 0.8
        torch.testing.assert_close(other.norm(), value.norm())
        if value.numel() > 1000:
            assert F.cosine_similarity(other.flatten(), value.flatten(), dim=0).abs() < 0.1


def test_mixing_without_strength_leaves_unrelated_layers_of_equal_norm():
    shared, unrelated = layers(0), layers(1)
    knowledge = mixed_knowledge(shared, unrelated, strength=0.0)
    for k, (common, other) in enumerate(zip(shared, unrelated, strict=True)):
        torch.testing.assert_close(
            knowledge[f"stages.{k}.shared.weight"], other[0] * common[0].norm() / other[0].norm()
        )


def test_planted_layers_are_shared_and_others_are_of_equal_norm():
    shared, own = layers(0), layers(1)
    first, second = planted_layers(shared, own, bits=(1, 0))
    assert torch.equal(first[0], shared[0][0])
    assert F.cosine_similarity(second[0].flatten(), own[1][0].flatten(), dim=0) > 0.9999
    torch.testing.assert_close(second[0].norm(), shared[1][0].norm())
    torch.testing.assert_close(second[1].norm(), shared[1][1].norm())


def test_kernels_are_truncated_normal_of_the_scale_asked_for():
    values = truncated_normal((100_000,), generator=np.random.default_rng(0))
    assert abs(values).max() <= 2
    assert abs(values.std() - 0.8796) < 0.01  # of a standard normal cut at two
    kernel = layers(0)[1][0]
    assert kernel.abs().max() <= 2 * (2 / (8 * 25)) ** 0.5


def test_head_gives_every_class_the_same_variance_without_correlation(rng):
    features = torch.from_numpy(rng.standard_normal((500, 12)) @ rng.standard_normal((12, 12))).float() + 3
    logits = fit_head(features, classes=3, rank=8, generator=rng).logits(features)
    torch.testing.assert_close(logits.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(logits.T @ logits / 500, torch.eye(3), atol=1e-3, rtol=0)


def accuracy_of_linear_head(task, kernels):
    """Least squares on frozen features of the default teacher."""
    options = small()
    table = TeacherLayers(
        in_channels=3,
        out_channels=options.out_channels,
        kernel_sizes=options.kernel_sizes,
        pools=options.pools,
        kernel_scale=1.0,
        bias_scale=0.0,
        ranks=options.ranks,
    )
    train, test = (F.pad(table.features(split.images, kernels), (1, 0), value=1.0) for split in (task.train, task.test))
    targets = F.one_hot(task.train.labels).float() - 0.25
    weight = train.T @ torch.linalg.solve(train @ train.T + 0.1 * torch.eye(len(train)), targets)
    return float(((test @ weight).argmax(1) == task.test.labels).float().mean())


def test_shared_layers_explain_the_labels_of_tasks_that_share_them():
    stream = opened(planted="111", first_tasks=3)
    names = [f"stages.{k}.shared.weight" for k in range(3)]
    shared = [(stream.knowledge[name], torch.zeros(len(stream.knowledge[name]))) for name in names]
    unrelated = opened(planted="111", first_tasks=1, strength=0.0).knowledge
    other = [(unrelated[name], torch.zeros(len(unrelated[name]))) for name in names]
    for task in stream:
        assert accuracy_of_linear_head(task, shared) > accuracy_of_linear_head(task, other) + 0.2


def test_configurations_follow_the_option():
    assert set(opened(planted="101", **SMALL).planted) == {(1, 0, 1)}
    assert len(set(opened(planted="same", tasks=6, **SMALL).planted)) == 1
    assert len(set(opened(planted="random", tasks=6, **SMALL).planted)) > 1
    assert opened(order=(2, 0, 2), **SMALL).planted == [opened(**SMALL).planted[k] for k in (2, 0, 2)]


def test_seeds_decide_teachers_and_images(same_tensors):
    base = opened(first_tasks=2)
    assert same_tensors(base, opened(first_tasks=2))
    assert same_tensors(base, list(opened(first_tasks=3))[:2])
    images, teachers = opened(data_seed=1, first_tasks=2), opened(stream_seed=1, first_tasks=2)
    assert images.planted == base.planted
    assert all(torch.equal(images.knowledge[name], value) for name, value in base.knowledge.items())
    assert images.fingerprint != base.fingerprint != teachers.fingerprint
    assert not torch.equal(teachers.knowledge["stages.0.shared.weight"], base.knowledge["stages.0.shared.weight"])


def test_too_few_candidates_are_named():
    with pytest.raises(DataError, match=r"140 of the images .* \(got \d+ of 560 .* in task 0 .* raise candidates"):
        opened(candidates=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"planted": "11"}, "or 3 bits .got '11'"),
        ({"planted": "112"}, "or 3 bits"),
        ({"strength": 1.1}, "strength must be at most 1"),
        ({"kernel_sizes": (3, 3)}, "kernel_sizes must have one number per layer"),
        ({"kernel_sizes": (3, 4, 3)}, "must be odd"),
        ({"pools": (5, 1, 1)}, "image_size must be a multiple of 5"),
        ({"pools": (0, 1, 1)}, "must be at least 1"),
        ({"head_rank": 3}, "head_rank must be between"),
        ({"kernel_scale": 0.0}, "kernel_scale must be above 0"),
        ({"tasks": 0}, "tasks must be at least 1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        small(**options)


@pytest.mark.parametrize("layer", [0, 1])
def test_own_kernels_read_nothing_of_what_shared_kernels_read(layer):
    layers = Synthetic()._layers
    shared, own = layers.draw(3, "shared kernels")[layer][0], layers.draw(3, "own kernels", 2)[layer][0]
    spans = [kernel.movedim(1, 0).flatten(1).double() for kernel in (shared, own)]  # (in, out k k)
    assert [int(torch.linalg.matrix_rank(span, rtol=1e-5)) for span in spans] == [Synthetic().ranks[layer]] * 2
    assert (spans[0].T @ spans[1]).abs().max() < 1e-4 * spans[0].norm() * spans[1].norm()
    if layer:
        assert all(span.sum(0).abs().max() < 1e-4 * span.norm() for span in spans)
