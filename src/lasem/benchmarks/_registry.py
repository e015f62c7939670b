"""The built-in benchmarks by name, none of which is imported before it is looked up."""

from typing import TYPE_CHECKING

from lasem.registry import Importable, Registry

if TYPE_CHECKING:
    from lasem.benchmarks._benchmark import AbstractBenchmark

BENCHMARKS: "Registry[type[AbstractBenchmark]]" = Registry(
    "benchmark",
    group="lasem.benchmarks",
    base="lasem.benchmarks:AbstractBenchmark",
    builtin={
        "cifar100": "lasem.benchmarks:Cifar100",
        "digits": "lasem.benchmarks:Digits",
        "images": Importable(
            "lasem.benchmarks:Images",
            "Your own images: a Hugging Face data set, a folder of parquet files, or a folder with one folder per"
            " class.",
        ),
        "office-home": "lasem.benchmarks:OfficeHome",
        "office-home-incremental": "lasem.benchmarks:OfficeHomeIncremental",
        "pacs": "lasem.benchmarks:Pacs",
        "stl10": "lasem.benchmarks:Stl10",
        "synthetic": "lasem.benchmarks:Synthetic",
        "tiny-imagenet-10": "lasem.benchmarks:TinyImageNet10",
    },
)
"""Benchmarks by the name that a spec gives as `benchmark.kind`; packages and plugins can add others."""
