"""Records of finished runs: one small Parquet file per sweep, from which tables are made and run folders come back."""

import json
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import nan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pa_parquet

import lasem
from lasem.files import replacing
from lasem.records import Parameters
from lasem.report import Run, collect

POINTS = 10
"""Number of epochs of a task whose loss and validation accuracy are recorded, at equal distances up to the last one."""

TEXT, WHOLE, NUMBER, CURVE = pa.string(), pa.int64(), pa.float64(), pa.list_(pa.float32())

COLUMNS: Mapping[str, tuple[pa.DataType, str]] = {
    "run": (TEXT, "name of the run's folder, which ends in the hash of its spec"),
    "row": (TEXT, "learner, with the settings that the sweep gives it"),
    "stream": (TEXT, "settings of the stream that the sweep varies; empty where it varies none"),
    "learner": (TEXT, "name of the learner"),
    "benchmark": (TEXT, "name of the benchmark"),
    "network": (TEXT, "name of the network"),
    "seed": (WHOLE, "seed of images and training"),
    "fingerprint": (TEXT, "hash of the images of the stream: runs with the same one are compared in pairs"),
    "epochs": (WHOLE, "epochs per task in the spec"),
    "task": (WHOLE, "position of the task in the stream, from 0"),
    "name": (TEXT, "the task's name"),
    "configuration": (TEXT, "one digit per layer, from the input; 0 = own, 1 = shared, 2 = frozen"),
    "probability": (NUMBER, "probability of the configuration at the end of the task, of a search"),
    "own_end": (NUMBER, "test accuracy at the end of the task's own training"),
    "peak": (NUMBER, "test accuracy in the epoch that validates best; missing if not measured"),
    "end": (NUMBER, "test accuracy at the end of the stream"),
    "forgetting_ratio": (NUMBER, "end over own_end; missing for the last task"),
    "parameters_shared": (WHOLE, "shared parameters at the end of the run"),
    "parameters_task": (WHOLE, "parameters that belong to the task alone"),
    "losses": (CURVE, f"training loss in {POINTS} epochs at equal distances, the last one included"),
    "validation": (CURVE, "validation accuracy in the same epochs"),
    "cpu_seconds": (NUMBER, "CPU time of the run's training; missing if not recorded"),
    "training_seconds": (NUMBER, "wall clock of the run's training"),
    "evaluation_seconds": (NUMBER, "wall clock of the run's evaluation"),
    "date": (TEXT, "day on which the run ended, in UTC"),
    "commit": (TEXT, "commit of lasem; with a plus sign if its files were changed"),
    "machine": (TEXT, "name of the processor or GPU"),
    "threads": (WHOLE, "threads of the run"),
    "torch": (TEXT, "version of PyTorch"),
    "spec": (TEXT, "spec.toml of the run"),
    "environment": (TEXT, "environment.json of the run, without paths"),
    "result": (TEXT, "result.json of the run"),
}
"""Type and meaning of the columns. There is one row per run and task; what belongs to the run is the same in all."""

SCHEMA = pa.schema([pa.field(name, kind, metadata={"meaning": text}) for name, (kind, text) in COLUMNS.items()])

FILES = {"spec": "spec.toml", "environment": "environment.json", "result": "result.json"}
"""Files of a run folder by column, in the order in which they are written: a folder with a result is finished."""


OF_A_MACHINE = ("command", "data")
"""Keys of environment.json that contain paths of one machine, which are not recorded."""


@dataclass(frozen=True)
class Label:
    """What a sweep calls a run.

    Attributes:
        row: Learner, with settings.
        stream: Settings of the stream.
    """

    row: str
    stream: str = ""

    @staticmethod
    def of(learner: str, values: Sequence[tuple[str, object]]) -> "Label":
        """Return the label of a learner with the values that a grid gives it."""
        texts = {key: f"{key.rpartition('.')[2]}={value}" for key, value in values}
        own = [text for key, text in texts.items() if not key.startswith("benchmark.")]
        stream = [text for key, text in texts.items() if key.startswith("benchmark.")]
        return Label(learner + (f" ({', '.join(own)})" if own else ""), ", ".join(stream))


@dataclass(frozen=True)
class Trial:
    """One recorded run.

    Attributes:
        rows: Its rows, one per task in the order of the stream, with values by name of the column.
    """

    rows: tuple[Mapping[str, Any], ...]

    def __getitem__(self, column: str) -> Any:  # noqa: ANN401
        """Return what belongs to the run as a whole."""
        return self.rows[0][column]

    def mean(self, column: str) -> float:
        """Return the mean over the tasks that have a value; NaN where none has."""
        known = [row[column] for row in self.rows if row[column] is not None]
        return sum(known) / len(known) if known else nan

    @property
    def label(self) -> Label:
        """What the sweep calls the run."""
        return Label(self["row"], self["stream"])

    @property
    def images(self) -> tuple[int, str]:
        """What must be equal for runs to be compared in pairs: the seed, and the hash of the images."""
        return self["seed"], self["fingerprint"]

    @property
    def stored(self) -> int:
        """Number of values stored at the end: parameters of all tasks, and what a learner stores besides."""
        return Parameters.model_validate(json.loads(self["result"])["parameters"]).held


class Records:
    """The records of one sweep.

    Args:
        path: The Parquet file, which may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.table = pa_parquet.read_table(path, schema=SCHEMA) if path.exists() else SCHEMA.empty_table()

    @property
    def runs(self) -> set[str]:
        """Names of the run folders that are recorded."""
        return set(self.table["run"].to_pylist())

    @property
    def trials(self) -> list[Trial]:
        """The recorded runs, in the order of the table."""
        runs: dict[str, list[dict[str, Any]]] = {}
        for row in self.table.to_pylist():
            runs.setdefault(row["run"], []).append(row)
        return [Trial(tuple(rows)) for rows in runs.values()]

    def add(self, folders: Sequence[Path], labels: Mapping[str, Label], *, commit: str = "") -> int:
        """Record the finished ones of some run folders that are not recorded yet, and return their number.

        Args:
            folders: Run folders, which may be unfinished or not exist.
            labels: What the sweep calls each run, by name of its folder.
            commit: Commit of lasem that made the runs; the current one if it is empty.
        """
        known = self.runs
        new = [path for path in folders if path.name not in known and (path / FILES["result"]).exists()]
        if not new:
            return 0
        commit = commit or current_commit()
        rows = [row for run in collect(new) for row in _rows(run, labels[run.path.name], commit)]
        self._write(pa.concat_tables([self.table, pa.Table.from_pylist(rows, schema=SCHEMA)]))
        return len(new)

    def prune(self, runs: Collection[str]) -> int:
        """Remove the records of all runs but some, and return the number of runs that are removed."""
        others = self.runs.difference(runs)
        if others:
            kept = [row for row in self.table.to_pylist() if row["run"] in runs]
            self._write(pa.Table.from_pylist(kept, schema=SCHEMA))
        return len(others)

    def _write(self, table: pa.Table) -> None:
        """Replace the file: a reader sees the old records or the new ones."""
        self.table = table.sort_by([(key, "ascending") for key in ("stream", "row", "seed", "task")])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as (file,):  # statistics would repeat whole specs and results
            pa_parquet.write_table(self.table, file, compression="zstd", compression_level=19, write_statistics=False)

    def restore(self, out: Path) -> None:
        """Write every recorded run that is not there as a folder with its spec, environment and result.

        For lasem such a run is finished: it is not run again, and reports show it.

        Args:
            out: Folder that contains the run folders.
        """
        for trial in self.trials:
            folder = out / trial["run"]
            for column, name in FILES.items():
                if not (folder / name).exists():
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_text(trial[column], encoding="utf-8")


def _rows(run: Run, label: Label, commit: str) -> list[dict[str, Any]]:
    """Return the rows of a finished run, one per task."""
    found, environment = run.measures, run.environment
    texts = {column: (run.path / name).read_text(encoding="utf-8") for column, name in FILES.items()}
    for column in ("environment", "result"):
        kept = {key: value for key, value in json.loads(texts[column]).items() if key not in OF_A_MACHINE}
        texts[column] = json.dumps(kept, separators=(",", ":"))
    ended = datetime.fromtimestamp((run.path / FILES["result"]).stat().st_mtime, UTC)
    common = {
        "run": run.path.name, "row": label.row, "stream": label.stream, "learner": run.learner,
        "benchmark": run.benchmark, "network": run.network, "seed": run.seed,
        "fingerprint": environment.get("fingerprint"), "epochs": run.setting("training", "epochs"),
        "parameters_shared": run.parameters and run.parameters.shared, "cpu_seconds": run.cpu_seconds,
        "training_seconds": run.training_seconds, "evaluation_seconds": run.evaluation_seconds,
        "date": f"{ended:%Y-%m-%d}", "commit": commit, "machine": environment.get("device_name"),
        "threads": environment.get("threads"), "torch": environment.get("torch"), **texts,
    }  # fmt: skip
    return [
        common
        | {
            "task": t,
            "name": name,
            "configuration": run.configurations[t],
            "own_end": found.accuracy[t][t],
            "peak": found.peak_accuracy.validation.per_task[t],
            "end": found.accuracy[-1][t],
            "forgetting_ratio": found.forgetting_ratio.per_task[t],
            "parameters_task": run.parameters.per_task[t] if run.parameters else None,
        }
        | _training(run, t)
        for t, name in enumerate(run.task_names)
    ]


def _training(run: Run, position: int) -> dict[str, Any]:
    """Return what the events of a task tell of its training; nothing where a folder has no events."""
    if position >= len(run.tasks):
        return {}
    task = run.tasks[position]
    epochs = task.chosen
    points = sorted({max(1, round(len(epochs) * part / POINTS)) - 1 for part in range(1, POINTS + 1)}) if epochs else []
    return {
        "probability": task.decision and task.decision.probability,
        "losses": [epochs[point].loss for point in points],
        "validation": [epochs[point].valid_accuracy for point in points],
    }


def current_commit() -> str:
    """Return the commit of the lasem that is imported, with a plus sign if its files were changed.

    Without git it is "unknown".
    """
    folder = str(Path(lasem.__file__).parent)

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=False)

    try:
        head, changed = git("rev-parse", "--short=8", "HEAD"), git("diff", "--quiet", "HEAD", "--", ".").returncode
    except FileNotFoundError:
        return "unknown"
    return "unknown" if head.returncode else head.stdout.strip() + ("+" if changed else "")
