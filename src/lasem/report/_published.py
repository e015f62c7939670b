"""Settings and results that the paper prints, and the table of ours beside them.

No number of the paper is read from a picture or measured by us.

Source: LASEM (Lee, Behpour & Eaton, ICML 2021), appendix A, table 4 and appendix D. The appendix does not say what the
numbers behind its ± are.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from lasem.report._comparison import UNKNOWN
from lasem.report._run import Run, listed, nested, whole
from lasem.report._table import Column, Table, make_table


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


ROWS = (
    "tasks",
    "classes per task",
    "training / validation images",
    "image size",
    "optimizer",
    "learning rate",
    "epochs per task",
    "M-steps per E-step",
)


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


def settings_table(runs: Sequence[Run], *, deviation: bool = False) -> Table:
    """List the settings per benchmark and network; values that differ between its runs are listed together."""
    compared: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        compared.setdefault((run.benchmark, run.network), []).append(run)
    columns = [Column("setting", "setting", ROWS, words=True)]
    for (benchmark, network), found in compared.items():
        key, title, paper = f"{benchmark}-{network}", f"{benchmark}, {network}", _paper(benchmark, network)
        if paper:
            columns.append(Column(f"paper-{key}", f"{title}: paper", [paper[name] for name in ROWS]))
        ours = _ours(found)
        columns.append(Column(key, f"{title}: ours" if paper else title, [ours[name] for name in ROWS]))
    small = sorted({str(change) for run in runs for change in _small(run)})
    notes = ["paper = table 4 and appendix A"] if any(c.key.startswith("paper-") for c in columns) else []
    notes += [f"small variants among these runs change: {'; '.join(small)}"] if small else []
    return make_table("Settings", columns, "; ".join(notes) or "as the specs set them")


def _small(run: Run) -> Sequence[object]:
    """What a small variant changes."""
    small = run.spec.get("small") or []
    return small if isinstance(small, list) else [small]


def _paper(benchmark: str, network: str) -> dict[str, str] | None:
    settings = SETTINGS.get(benchmark)
    if settings is None:
        return None
    values = (
        settings.tasks, settings.classes, settings.images, f"{settings.size} x {settings.size}", settings.optimizer,
        settings.learning_rate, published_epochs(settings, network), settings.m_steps,
    )  # fmt: skip
    return dict(zip(ROWS, map(_text, values), strict=True))


def _ours(runs: Sequence[Run]) -> dict[str, str]:
    columns = [_settings(run) for run in runs]
    return {name: _listed(column[name] for column in columns) for name in ROWS}


def _settings(run: Run) -> dict[str, str]:
    outline = nested(run.stream.get("outline"))
    images, shape = nested(outline.get("images")), listed(outline.get("shape"))
    counts = " / ".join(str(images[split]) for split in ("train", "valid") if split in images)
    values = (
        run.num_tasks,
        _listed(map(str, sorted({number for number in map(whole, listed(outline.get("classes"))) if number}))),
        counts or None,
        f"{shape[1]} x {shape[2]}" if len(shape) == 3 else None,
        run.setting("training", "optimizer"),
        run.setting("training", "learning_rate"),
        run.setting("training", "epochs"),
        run.setting("search", "m_steps"),
    )
    return dict(zip(ROWS, map(_text, values), strict=True))


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts)) or UNKNOWN


def _text(value: object) -> str:
    return UNKNOWN if value is None else f"{value:g}" if isinstance(value, float) else str(value)
