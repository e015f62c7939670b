"""Benchmarks that need no data folder pass the contract."""

from lasem.benchmarks import Digits, Synthetic
from lasem.testing import BenchmarkContract


class TestDigits(BenchmarkContract):
    def make(self, **options):
        return Digits(tasks=3, train_per_class=5, valid_per_class=3, **options)


class TestSynthetic(BenchmarkContract):
    approximately = 0.0

    def make(self, **options):
        sizes = {"train_per_class": 5, "valid_per_class": 3, "test_per_class": 6}
        return Synthetic(tasks=2, planted="random", ranks=(4, 1), image_channels=8, **sizes, **options)
