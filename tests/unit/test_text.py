import csv
import doctest
import io
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from rich.text import Text

from lasem import text
from lasem.text import (
    escape_csv,
    escape_html,
    escape_latex,
    escape_markdown,
    escape_markup,
    escape_mathtext,
    printable,
    write_all,
)

ANY = st.text(st.characters(codec=None) | st.sampled_from("[]/\\|*_`~<>&;#$=+-@'\"\n\t\r\x1b\x07\u202e\udcff ab1"))
ESCAPES = (printable, escape_markup, escape_html, escape_markdown, escape_latex, escape_csv, escape_mathtext)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(text).failed == 0


@pytest.mark.parametrize("escape", ESCAPES)
@given(ANY)
def test_nothing_that_a_terminal_obeys_or_no_encoding_can_write_is_left(escape, words):
    safe = escape(words)
    safe.encode()  # a lone surrogate would raise
    assert not [c for c in safe if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202a\u202e\u2066\u2069\u2028"]
    ET.fromstring(f"<text>{escape_html(words)}</text>")  # XML, and so SVG, allows all of it


@given(ANY)
def test_printable_keeps_line_ends_only_on_demand_and_is_idempotent(words):
    assert printable(printable(words)) == printable(words)
    assert printable(words, multiline=True).count("\n") == words.count("\n")


@given(ANY)
def test_rich_prints_escaped_text_as_it_is(words):
    shown = Text.from_markup(f"[bold]{escape_markup(words)}[/] end", emoji=False)
    assert (shown.plain, len(shown.spans)) == (f"{printable(words)} end", 1 if printable(words) else len(shown.spans))


class Content(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_data(self, data):
        self.texts.append(data)


@given(ANY)
def test_html_shows_escaped_text_as_it_is(words):
    page = Content(f'<p title="{escape_html(words)}">{escape_html(words)}</p>')
    assert page.tags == [("p", [("title", printable(words))])]
    assert "".join(page.texts) == printable(words)


@given(ANY)
def test_a_markdown_table_shows_escaped_text_as_it_is(words):
    table = f"| head | next |\n| --- | --- |\n| x{escape_markdown(words)}x | y |\n"
    page = Content(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(table))
    assert [tag for tag, _ in page.tags] == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]
    assert f"x{printable(words)}x" in "".join(page.texts)


COMMANDS = {
    "textasciitilde": "~", "textasciicircum": "^", "textbackslash": "\\", "textless": "<", "textgreater": ">",
    "textbar": "|", "ldots": "…",
}  # fmt: skip
SIGNS = {r"$\pm$": "±", r"$\approx$": "≈", r"$\cdot$": "·"}
LATEX = re.compile(
    r"\\(?P<special>[&%$#_{}])|\\(?P<command>[a-z]+)\{\}|(?P<sign>\$\\[a-z]+\$)|^\{(?P<first>[\[*])\}|(?P<plain>[^\\&%$#_{}~^<>|])"
)


@given(ANY)
def test_latex_typesets_escaped_text_as_it_is(words):
    safe, read = escape_latex(words), ""
    assert not safe.startswith(("[", "*"))
    while safe:
        found = LATEX.match(safe)
        kind, what = found.lastgroup, found[found.lastgroup]
        read += COMMANDS[what] if kind == "command" else SIGNS[what] if kind == "sign" else what
        safe = safe[found.end() :]
    assert read == printable(words)


@given(ANY)
def test_a_spreadsheet_finds_no_formula_in_a_cell(words):
    file = io.StringIO()
    csv.writer(file).writerow([escape_csv(words), "next"])
    ((cell, following),) = csv.reader(io.StringIO(file.getvalue()))
    assert (cell.removeprefix("'"), following) == (printable(words).removeprefix("'"), "next")
    start = cell.strip()[:1]
    assert start not in ("=", "@") or len(cell.strip()) == 1


@pytest.mark.parametrize("number", ["-0.5", "+3", "-1e-4", "-inf", "-"])
def test_numbers_are_no_formulas(number):
    assert escape_csv(number) == number


@given(ANY)
def test_matplotlib_shows_escaped_text_as_it_is(words):
    drawn, is_formula = Figure().text(0, 0, escape_mathtext(words))._preprocess_math(escape_mathtext(words))
    assert (drawn, is_formula) == (printable(words), False)


@pytest.mark.parametrize(("encoding", "written"), [("ascii", "+- \\u0416"), ("latin-1", "± \\u0416"), ("utf-8", "± Ж")])
def test_a_stream_of_any_encoding_writes_any_text(encoding, written):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    write_all(stream)
    stream.write("± Ж\udce9")
    stream.flush()
    assert stream.buffer.getvalue().decode(encoding) == f"{written}\\xe9"
