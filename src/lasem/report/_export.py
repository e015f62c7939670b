"""Tidy data: everything that runs recorded, one observation a row, as Parquet and CSV.

The columns' meaning stands in the schemas, in the Parquet files and in docs/data-export.md.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from lasem.files import replacing, writing
from lasem.report._export_records import RECORDS
from lasem.report._run import Run

RUN: Mapping[str, tuple[pa.DataType, str]] = MappingProxyType(
    {
        "run": (pa.string(), "name of the run's folder; its path where two have one name"),
        "learner": (pa.string(), "name of the learner, such as lasem-hps"),
        "benchmark": (pa.string(), "name of the stream's benchmark"),
        "seed": (pa.int64(), "training seed; missing where nothing says it"),
    }
)
"""Columns that every table begins with."""

TASK = {"task": (pa.int64(), "position of the task in the stream, from 0")}
EPOCH = {"task_epoch": (pa.int64(), "epoch of the task (where candidates take turns, of the turn), from 1")}

COLUMNS: Mapping[str, Mapping[str, tuple[pa.DataType, str]]] = MappingProxyType(
    {
        "runs": {
            "network": (pa.string(), "name of the network"),
            "profile": (pa.string(), "paper or release"),
            "small": (pa.bool_(), "whether it is a small variant, no published setting"),
            "finished": (pa.bool_(), "whether the stream was learned to its end"),
            "stream_seed": (pa.int64(), "seed of the tasks"),
            "data_seed": (pa.int64(), "seed of the images"),
            "epochs": (pa.int64(), "epochs per task, as set"),
            "training_seconds": (pa.float64(), "wall clock of training"),
            "evaluation_seconds": (pa.float64(), "wall clock of evaluation"),
            "parameters_shared": (pa.int64(), "parameters that tasks share, at the end"),
            "parameters_tasks": (pa.int64(), "parameters of all tasks of their own, at the end"),
            "parameters_search": (pa.int64(), "most parameters trained at once"),
            "device": (pa.string(), "name of the processor or GPU"),
            "fingerprint": (pa.string(), "of the selected pixels, labels and choices"),
        },
        "measures": {
            "measure": (pa.string(), "such as final_accuracy; docs/runs.md tells what each is"),
            "value": (pa.float64(), "fraction, ratio or difference of fractions"),
        },
        "tasks": {
            **TASK,
            "identity": (pa.int64(), "the same number for every visit of the same task"),
            "name": (pa.string(), "the task's name"),
            "classes": (pa.int64(), "number of classes"),
            "train": (pa.int64(), "training images"),
            "valid": (pa.int64(), "validation images"),
            "test": (pa.int64(), "test images"),
            "configuration": (
                pa.string(),
                "what was committed: a character per layer, 1 = shared, first layer first",
            ),
            "configuration_name": (pa.string(), "such as top-2, where it has a name"),
            "probability": (pa.float64(), "probability of what was committed"),
            "margin": (pa.float64(), "that less the runner-up's"),
        },
        "accuracy": {
            **TASK,
            "epoch": (pa.int64(), "epoch of the stream, from 1"),
            **EPOCH,
            "candidate": (pa.int64(), "index of the candidate that was trained, where they take turns"),
            "split": (pa.string(), "valid or test"),
            "accuracy": (pa.float64(), "fraction"),
        },
        "losses": {
            **TASK,
            "epoch": (pa.int64(), "epoch of the stream, from 1"),
            **EPOCH,
            "candidate": (pa.int64(), "index of the candidate that was trained, where they take turns"),
            "loss": (pa.float64(), "mean training loss of the epoch"),
            "training_seconds": (pa.float64(), "wall clock of the epoch's training"),
        },
        "retention": {
            **TASK,
            "after_task": (pa.int64(), "position of the task that was learned last; equals task at its own end"),
            "accuracy": (pa.float64(), "test accuracy of task then, fraction: R[after_task, task]"),
        },
        "configurations": {
            **TASK,
            "layer": (pa.int64(), "from 1, nearest the input"),
            "shared": (pa.bool_(), "whether the task reads the layer from shared knowledge"),
        },
        "probabilities": {
            **TASK,
            **EPOCH,
            "candidate": (pa.int64(), "index of the configuration"),
            "configuration": (
                pa.string(),
                "a bit per group, 1 = shared, the group with the lowest layer first",
            ),
            "probability": (pa.float64(), "prior at the epoch's end; of more than 64 the 64 most probable have rows"),
        },
        "marginals": {
            **TASK,
            **EPOCH,
            "group": (pa.int64(), "from 1, the one with the lowest layer first"),
            "probability": (pa.float64(), "probability that the group shares"),
        },
    }
)
"""Tables by name: further columns, with type and meaning."""


def schema(table: str) -> pa.Schema:
    """Columns of a table, with their meaning as metadata."""
    columns = {**RUN, **COLUMNS[table]}
    return pa.schema([pa.field(name, kind, metadata={"meaning": text}) for name, (kind, text) in columns.items()])


def export(runs: Sequence[Run], out: Path) -> list[Path]:
    """Write every table as ``<table>.parquet`` and ``<table>.csv``, replacing earlier ones.

    Args:
        runs: What to export.
        out: Folder, made where it is missing.

    Returns:
        The files.

    Raises:
        RunError: The system refuses to write them.
    """
    written = []
    names = Counter(run.path.name for run in runs)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for table, rows in RECORDS.items():
            kinds = schema(table)
            files = [out / f"{table}.parquet", out / f"{table}.csv"]
            with (
                replacing(*files) as (parquet_file, csv_file),
                pa_parquet.ParquetWriter(parquet_file, kinds) as parquet,
                pa_csv.CSVWriter(csv_file, kinds) as text,
            ):
                for run in runs:
                    name = run.path.name if names[run.path.name] == 1 else str(run.path)
                    keys = {"run": name, "learner": run.learner, "benchmark": run.benchmark, "seed": run.seed}
                    batch = pa.Table.from_pylist([keys | row for row in rows(run)], schema=kinds)
                    parquet.write_table(batch)
                    text.write_table(batch)
            written += files
    return written
