"""Residual networks learn a stream of real images, one step per task, from the folder that LASEM_DATA names."""

import os
from pathlib import Path

import pytest
import torch

from lasem import load
from lasem.runs import RunOptions, resolve, run

ROOT = Path(os.environ.get("LASEM_DATA", "absent"))
TINY = [
    "benchmark.first_tasks=2",
    "benchmark.train_per_class=1",
    "benchmark.valid_per_class=1",
    "benchmark.max_test=20",
    "training.epochs=1",
    'search.candidates=["1111", "0111", "0000"]',
]


@pytest.mark.parametrize("network", [pytest.param("resnet-18", marks=pytest.mark.slow), "resnet-18-bn"])
def test_a_residual_network_learns_two_tasks_of_cifar_100(network, tmp_path):
    if not (ROOT / "cifar100").is_dir():
        pytest.skip("LASEM_DATA has no folder 'cifar100'" if "LASEM_DATA" in os.environ else "LASEM_DATA is not set")
    spec = resolve(f"cifar100-10/{network}/lasem-hps-4-groups", TINY)
    result = run(spec, RunOptions(out=tmp_path, data=ROOT, device="cpu"))
    assert (result.network, len(result.tasks), result.complete) == (network, 2, True)
    first, stages = (5, 17) if network == "resnet-18" else (3, 9)
    known = [[one] * first + [rest] * (stages - first) for one, rest in ((1, 1), (0, 1), (0, 0))]
    assert all(bits in known for bits in result.configurations)
    learned = load(tmp_path / spec.folder)
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for task in (0, 1):
        torch.testing.assert_close(learned.network(task)(images), learned.learner.logits(images, task))
