"""Numbers that the paper prints, for comparison with ours. None is read from a picture or measured by us.

Source: LASEM (Lee, Behpour & Eaton, ICML 2021), appendix A, table 4 and appendix D. The appendix does not say what the
numbers behind its ± are.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from lasem.report._run import Run


class PublishedResult(NamedTuple):
    """Mean peak per-task accuracy in percent with the number printed behind its ±, and training time in seconds."""

    peak: float
    plus_minus: float
    seconds: float


class PublishedSettings(NamedTuple):
    """A column of table 4, as printed; numbers that a spec has too are comparable with it."""

    tasks: int
    classes: str
    images: str
    size: int
    learning_rate: float
    epochs: Mapping[str, int]
    """Epochs per task by network; "" stands for all other networks."""
    m_steps: int = 1
    optimizer: str = "RMSProp"


RESULTS: Mapping[tuple[str, str], PublishedResult] = MappingProxyType(
    {
        ("stl10-15", "dfcnn"): PublishedResult(45.4, 0.4, 7.58e4),
        ("stl10-15", "lasem-dfcnn-groups"): PublishedResult(46.0, 0.7, 7.02e4),
    }
)
"""Results by benchmark and learner."""

_CIFAR = PublishedSettings(10, "10", "170 / 30", 32, 1e-4, MappingProxyType({"": 2000, "resnet-18": 200}))

SETTINGS: Mapping[str, PublishedSettings] = MappingProxyType(
    {
        "cifar100-10": _CIFAR,
        "cifar100-40": _CIFAR._replace(tasks=40),
        "office-home": PublishedSettings(10, "10 (13 in the text)", "6 : 1", 128, 2e-5, MappingProxyType({"": 1000})),
        "stl10-15": PublishedSettings(15, "5", "10%, 1 : 1", 96, 1e-4, MappingProxyType({"": 500})),
        "stl10-20": PublishedSettings(20, "3", "318 / 57", 96, 1e-4, MappingProxyType({"": 500})),
    }
)
"""Settings of the experiments by benchmark."""


def published_epochs(settings: PublishedSettings, network: str) -> int:
    """Return the number of epochs per task on a network."""
    return settings.epochs.get(network, settings.epochs[""])


def published_result(run: Run) -> PublishedResult | None:
    """Return what the paper reports for a run's learner on its benchmark, if the run trains as the paper did."""
    benchmark = run.benchmark
    result, settings = RESULTS.get((benchmark, run.learner)), SETTINGS.get(benchmark)
    if result is None or settings is None or run.spec.get("small"):
        return None
    epochs = published_epochs(settings, run.network)
    trained = run.setting("training", "epochs"), run.setting("training", "learning_rate")
    return result if trained == (epochs, settings.learning_rate) else None
