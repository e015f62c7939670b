"""Table 4: the settings of the experiments that were run, and those that the paper prints."""

from collections.abc import Iterable, Sequence

from lasem.report._comparison import UNKNOWN
from lasem.report._published import SETTINGS, published_epochs
from lasem.report._run import Run, nested
from lasem.report._table import Column, Table, make_table

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
    small = run.spec.get("small") or ()
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
    images, shape = nested(outline.get("images")), outline.get("shape")
    counts = " / ".join(str(images[split]) for split in ("train", "valid") if split in images)
    values = (
        run.num_tasks,
        _listed(map(str, sorted(set(outline.get("classes") or ())))),
        counts or None,
        f"{shape[1]} x {shape[2]}" if shape else None,
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
