"""A table as two data frames: texts for readers and numbers for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from lasem.metrics import Spread

if TYPE_CHECKING:
    import pandas as pd

Rank = Literal["best", "level", ""]
"""Rank of a mean in its column: the best, not distinguishable from the best, or neither."""

LEVEL_MARK = "≈"
"""Mark behind a mean that is not distinguishable from the best."""


class Column(NamedTuple):
    """One column of a table, from its first line to its last."""

    key: str
    """Short name of the column for programs."""
    title: str
    texts: Sequence[object]
    values: Sequence[Spread] | None = None
    """The numbers behind the texts, in units of their own: fractions, seconds; None where the texts are words."""
    ranks: Sequence[Rank] | None = None
    words: bool = False
    """Whether the texts are words, which are aligned at the left."""


@dataclass(frozen=True)
class Table:
    """A table for readers and programs.

    Attributes:
        title: What it shows.
        note: How to read it, in a sentence or two.
        titles: Title of every column by its key.
        texts: What is printed; one column per key.
        best: Which texts are the best of their column; a boolean frame of the same shape.
        numbers: What programs read. A mean has four columns: KEY, KEY_ci95 (half width of the 95% interval), KEY_sd
            (sample standard deviation) and KEY_seeds.
        words: Keys of the columns that are aligned at the left.
        num_names: Number of columns at the left that name a line; a table that is cut to a screen repeats them.
    """

    title: str
    note: str
    titles: Mapping[str, str]
    texts: "pd.DataFrame"
    best: "pd.DataFrame"
    numbers: "pd.DataFrame"
    words: frozenset[str]
    num_names: int


def make_table(title: str, columns: Sequence[Column], note: str, *, num_names: int = 1) -> Table:
    """Make a table of columns, without those whose texts are all empty."""
    import pandas as pd  # half a second, which `import lasem.report` need not wait for

    shown = [column for column in columns if not column.texts or any(str(text) for text in column.texts)]
    texts, best, numbers = {}, {}, {}
    for column in shown:
        ranks = column.ranks or [""] * len(column.texts)
        marks = [f" {LEVEL_MARK}" if rank == "level" else "" for rank in ranks]
        texts[column.key] = [f"{text}{mark}" for text, mark in zip(column.texts, marks, strict=True)]
        best[column.key] = [rank == "best" for rank in ranks]
        if column.values is None:
            numbers[column.key] = texts[column.key]
        else:
            numbers[column.key] = [values.mean for values in column.values]
            numbers[f"{column.key}_ci95"] = [values.half_width for values in column.values]
            numbers[f"{column.key}_sd"] = [values.deviation for values in column.values]
            numbers[f"{column.key}_seeds"] = [values.runs for values in column.values]
    return Table(
        title=title,
        note=note,
        titles={column.key: column.title for column in shown},
        texts=pd.DataFrame(texts, dtype=object),
        best=pd.DataFrame(best, dtype=bool),
        numbers=pd.DataFrame(numbers),
        words=frozenset(column.key for column in shown if column.words),
        num_names=num_names,
    )
