"""Tables as Markdown, LaTeX, CSV and HTML."""

from collections.abc import Callable, Mapping
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lasem.report._table import Table

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

LATEX_SPECIAL: Mapping[str, str] = MappingProxyType(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
)
LATEX_SIGNS: Mapping[str, str] = MappingProxyType({"±": r"$\pm$", "≈": r"$\approx$"})


def markdown(table: Table) -> str:
    """Write a pipe table with the best in bold, and its note below."""
    texts = table.texts.map(_one_cell)
    shown = texts.where(~table.best, "**" + texts + "**").rename(columns=lambda key: _one_cell(table.titles[key]))
    sides = ["left" if key in table.words else "right" for key in table.titles]
    grid = shown.to_markdown(index=False, disable_numparse=True, colalign=sides if len(shown) else None)
    return f"{grid}\n\n{table.note}\n"


def latex(table: Table) -> str:
    """Write a `table` with booktabs rules; the document needs ``\\usepackage{booktabs}``."""
    sides = "".join("l" if key in table.words else "r" for key in table.titles)
    caption = "".join(LATEX_SPECIAL.get(character, character) for character in f"{table.title}. {table.note}")
    text = _styled(table, escape_as="latex").to_latex(
        hrules=True, column_format=sides, convert_css=True, position="tb", position_float="centering", caption=caption
    )
    for sign, command in LATEX_SIGNS.items():
        text = text.replace(sign, command)
    return text


def html(table: Table) -> str:
    """Write a `table` element with its style; title and note are its caption."""
    sides = {f".col{i}": "text-align: left" for i, key in enumerate(table.titles) if key in table.words}
    rules = {"td, th": "text-align: right; padding: 0.2em 0.6em"} | sides
    styles: Any = [{"selector": selector, "props": props} for selector, props in rules.items()]
    styled = _styled(table, escape_as="html").set_table_styles(styles)
    return styled.set_caption(escape(f"{table.title}. {table.note}")).set_uuid("table").to_html(bold_headers=True)


def comma_separated(table: Table) -> str:
    """Write the numbers themselves, with interval, standard deviation and number of seeds of every mean."""
    return table.numbers.to_csv(index=False, float_format="%.10g", lineterminator="\n")


FORMATS: Mapping[str, Callable[[Table], str]] = MappingProxyType(
    {"markdown": markdown, "latex": latex, "csv": comma_separated, "html": html}
)
"""Functions that write a table, by name of the format."""

SUFFIXES: Mapping[str, str] = MappingProxyType({".md": "markdown", ".tex": "latex", ".csv": "csv", ".html": "html"})
"""Formats by the suffix of a file."""


def _styled(table: Table, *, escape_as: str) -> "Styler":
    """The texts in a pandas Styler, escaped, with the best in bold."""
    texts = table.texts.rename(columns=table.titles)
    bold = table.best.rename(columns=table.titles).map(lambda best: "font-weight: bold" if best else "")
    styled = texts.style.hide(axis="index").apply(lambda _: bold, axis=None)
    styled.format(escape=escape_as).format_index(axis="columns", escape=escape_as)
    return styled


def _one_cell(text: str) -> str:
    """Text that cannot end a cell or a line of a pipe table."""
    return " ".join(str(text).split()).replace("|", "\\|")
