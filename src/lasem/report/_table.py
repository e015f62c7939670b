"""A table as two data frames, texts for readers and numbers for programs, and its formats."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lasem.extras import require_packages
from lasem.metrics import Spread
from lasem.text import escape_csv, escape_html, escape_latex, escape_markdown

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

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

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        return html(self)


def make_table(
    title: str,
    columns: Sequence[Column],
    note: str,
    *,
    num_names: int = 1,
    settings: Mapping[str, Sequence[object]] = MappingProxyType({}),
) -> Table:
    """Make a table of columns, without those whose texts are all empty.

    Args:
        title: What the table shows.
        columns: The columns, from left to right.
        note: How to read it.
        num_names: Number of columns at the left that name a line.
        settings: Values of settings for every line, which only programs read.
    """
    require_packages("pandas", "tabulate", "jinja2", what="tables of runs")
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
    numbers |= {key: values for key, values in settings.items() if key not in numbers}
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


def markdown(table: Table) -> str:
    """Write a pipe table with the best in bold, and its note below."""
    texts = table.texts.map(escape_markdown)
    shown = texts.where(~table.best, "**" + texts + "**").rename(columns=_titles(table, escape_markdown))
    sides = ["left" if key in table.words else "right" for key in table.titles]
    grid = shown.to_markdown(index=False, disable_numparse=True, colalign=sides if len(shown) else None)
    return f"{grid}\n\n{escape_markdown(table.note)}\n"


def latex(table: Table) -> str:
    """Write a `table` with booktabs rules; the document needs ``\\usepackage{booktabs}``."""
    sides = "".join("l" if key in table.words else "r" for key in table.titles)
    return _styled(table, escape_latex).to_latex(
        hrules=True, column_format=sides, convert_css=True, position="tb", position_float="centering",
        caption=escape_latex(f"{table.title}. {table.note}"),
    )  # fmt: skip


def html(table: Table) -> str:
    """Write a `table` element with its style; title and note are its caption."""
    sides = {f".col{i}": "text-align: left" for i, key in enumerate(table.titles) if key in table.words}
    rules = {"td, th": "text-align: right; padding: 0.2em 0.6em"} | sides
    styles: Any = [{"selector": selector, "props": props} for selector, props in rules.items()]
    styled = _styled(table, escape_html).set_table_styles(styles)
    return styled.set_caption(escape_html(f"{table.title}. {table.note}")).set_uuid("table").to_html(bold_headers=True)


def comma_separated(table: Table) -> str:
    """Write the numbers themselves, with interval, standard deviation and number of seeds of every mean."""
    texts = table.numbers.select_dtypes(exclude="number").map(escape_csv, na_action="ignore")
    return (
        table.numbers.assign(**texts)
        .rename(columns=escape_csv)
        .to_csv(index=False, float_format="%.10g", lineterminator="\n")
    )


FORMATS: Mapping[str, Callable[[Table], str]] = MappingProxyType(
    {"markdown": markdown, "latex": latex, "csv": comma_separated, "html": html}
)
"""Functions that write a table, by name of the format."""

SUFFIXES: Mapping[str, str] = MappingProxyType({".md": "markdown", ".tex": "latex", ".csv": "csv", ".html": "html"})
"""Formats by the suffix of a file."""


def _styled(table: Table, escape: Callable[[object], str]) -> "Styler":
    """The texts in a pandas Styler, escaped, with the best in bold."""
    titles = _titles(table, escape)
    bold = table.best.rename(columns=titles).map(lambda best: "font-weight: bold" if best else "")
    return table.texts.map(escape).rename(columns=titles).style.hide(axis="index").apply(lambda _: bold, axis=None)


def _titles(table: Table, escape: Callable[[object], str]) -> dict[str, str]:
    return {key: escape(title) for key, title in table.titles.items()}
