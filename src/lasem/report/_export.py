"""Tidy data: everything that runs recorded, one observation a row, as Parquet and CSV.

The columns' meaning stands in the schemas, in the Parquet files and in docs/data-export.md.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from lasem.files import replacing, writing
from lasem.report._exported_tables import EXPORTED, NUMBER, RUN, TEXT, WHOLE, YES_NO, Row
from lasem.report._groups import differing_settings, setting_text
from lasem.report._run import Run, whole
from lasem.text import escape_csv, printable


def schema(table: str, settings: Mapping[str, Sequence[object]] = MappingProxyType({})) -> pa.Schema:
    """Columns of a table, with their meaning as metadata; `settings` are further columns of the table of runs."""
    columns = {**RUN, **EXPORTED[table].columns}
    if table == "runs":
        columns |= {
            key: (_kind(values), "setting of the spec") for key, values in settings.items() if key not in columns
        }
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
    names, settings = Counter(run.folder_name for run in runs), differing_settings(runs)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for table, entry in EXPORTED.items():
            kinds = schema(table, settings)
            files = [out / f"{table}.parquet", out / f"{table}.csv"]
            with (
                replacing(*files) as (parquet_file, csv_file),
                pa_parquet.ParquetWriter(parquet_file, kinds) as parquet,
                pa_csv.CSVWriter(csv_file, kinds) as text,
            ):
                for number, run in enumerate(runs):
                    name = run.folder_name if names[run.folder_name] == 1 else run.folder
                    keys: Row = {key: values[number] for key, values in settings.items()}
                    keys |= {"run": name, "learner": run.learner, "benchmark": run.benchmark, "seed": run.seed}
                    batch = _batch([keys | row for row in entry.rows(run)], kinds)
                    parquet.write_table(batch)
                    text.write_table(_for_csv(batch))
            written += files
    return written


def _batch(rows: Sequence[Row], kinds: pa.Schema) -> pa.Table:
    """Rows as a table; a value that its column cannot hold, which only a damaged run has, is missing."""
    columns = [[FITTING[field.type](row.get(field.name)) for row in rows] for field in kinds]
    return pa.table([pa.array(values, kind) for values, kind in zip(columns, kinds.types, strict=True)], schema=kinds)


def _for_csv(batch: pa.Table) -> pa.Table:
    """The table with texts that no spreadsheet takes for a formula."""
    for i, field in enumerate(batch.schema):
        if field.type == TEXT:
            texts = [text and escape_csv(text) for text in batch.column(i).to_pylist()]
            batch = batch.set_column(i, field, pa.array(texts, TEXT))
    return batch


def _kind(values: Sequence[object]) -> pa.DataType:
    """The type of a column of settings."""
    kinds = {type(value) for value in values if value is not None}
    return YES_NO if kinds == {bool} else WHOLE if kinds == {int} else NUMBER if kinds <= {int, float} else TEXT


def _whole(value: object) -> int | None:
    found = whole(value)
    return found if found is not None and abs(found) < 2**63 else None


FITTING: Mapping[pa.DataType, Callable[[Any], Any]] = MappingProxyType(
    {
        TEXT: lambda value: None if value is None else printable(setting_text(value)),
        WHOLE: _whole,
        NUMBER: lambda value: float(value) if isinstance(value, int | float) else None,
        YES_NO: lambda value: None if value is None else bool(value),
    }
)
"""Functions that give the value of a cell, or None where it cannot be one, by type of the column."""
