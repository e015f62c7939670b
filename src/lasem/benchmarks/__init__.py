"""Benchmarks: named constructors of task streams, and the streams themselves.

`BENCHMARKS` maps the name of a benchmark to its class, whose fields are the options. `TaskStream.of` makes a stream
from tasks that are already in memory.
"""

from lasem.benchmarks._benchmark import AbstractBenchmark
from lasem.benchmarks._cifar100 import Cifar100
from lasem.benchmarks._digits import Digits
from lasem.benchmarks._images import Images
from lasem.benchmarks._office_home import OfficeHome, OfficeHomeIncremental
from lasem.benchmarks._pacs import Pacs
from lasem.benchmarks._scaling import PixelScaling
from lasem.benchmarks._stl10 import Stl10, TinyImageNet10
from lasem.benchmarks._stream import Outline, TaskStream
from lasem.benchmarks._synthetic import Synthetic
from lasem.benchmarks._task import Split, Task
from lasem.registry import Registry

BENCHMARKS: Registry[type[AbstractBenchmark]] = Registry(
    "benchmark",
    group="lasem.benchmarks",
    base=AbstractBenchmark,
    builtin={
        "cifar100": Cifar100,
        "digits": Digits,
        "images": Images,
        "office-home": OfficeHome,
        "office-home-incremental": OfficeHomeIncremental,
        "pacs": Pacs,
        "stl10": Stl10,
        "synthetic": Synthetic,
        "tiny-imagenet-10": TinyImageNet10,
    },
)
"""Benchmarks by the name that a spec gives as `benchmark.kind`; packages and plugins can add others."""

__all__ = [
    "BENCHMARKS",
    "AbstractBenchmark",
    "Cifar100",
    "Digits",
    "Images",
    "OfficeHome",
    "OfficeHomeIncremental",
    "Outline",
    "Pacs",
    "PixelScaling",
    "Split",
    "Stl10",
    "Synthetic",
    "Task",
    "TaskStream",
    "TinyImageNet10",
]
