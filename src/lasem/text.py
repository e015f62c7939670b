"""Text from files and from other people, made safe for the medium to which it is written.

Names of runs, tasks and learners, paths, and messages may contain anything. Each function here takes such a text and
returns one that the medium shows as text: it cannot become markup, a command of the terminal, or a formula.
"""

import codecs
import html
import io
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TextIO

from rich.markup import escape

_HIDDEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters, with which a text moves the cursor or renames the window
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # changes of direction, which show a text in another order
    "\u2028\u2029"  # line breaks other than \n
    "\ud800-\udfff"  # bytes of a file name that is not UTF-8; no encoding can write them
    "\ufff9-\ufffb\ufeff\ufffe\uffff"  # what XML, and so SVG, does not allow or readers do not show
    "]"
)
_ENDS = re.compile("[\n\t]")

_MARKDOWN = re.compile(r"[\\`*~$|<>\[\]]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])")
"""Characters with which Markdown begins something. An underscore inside a word, or a lone "&", is text."""

_LATEX: Mapping[str, str] = MappingProxyType(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    | {"±": r"$\pm$", "≈": r"$\approx$", "·": r"$\cdot$", "…": r"\ldots{}"}
)

_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
"""Characters with which a formula begins in a spreadsheet; the last four are their wide forms."""


_ASCII: Mapping[str, str] = MappingProxyType({"±": "+-", "≈": "~", "…": "...", "·": "|"})


def write_all(stream: TextIO) -> None:
    """Let a stream write any text: what its encoding lacks is replaced or shown as an escape, and never an error."""
    codecs.register_error("lasem", _replacement)
    if isinstance(stream, io.TextIOWrapper):  # a notebook or a test may have put something else in its place
        stream.reconfigure(errors="lasem")


def printable(text: object, *, multiline: bool = False) -> str:
    r"""Show as escapes what a terminal would obey, what changes the direction of text, and what no encoding can write.

    Args:
        text: Any text, or an object such as a path that is written as text.
        multiline: Keep line ends and tabs.

    >>> printable("\x1b[31mred"), printable(b"caf\xe9".decode(errors="surrogateescape"))
    ('\\x1b[31mred', 'caf\\xe9')
    """
    return _HIDDEN.sub(lambda found: found[0] if multiline and _ENDS.match(found[0]) else _visible(found[0]), str(text))


def escape_markup(text: object, *, multiline: bool = False) -> str:
    r"""Return text that a Rich console prints as it is, inside a string with markup.

    >>> escape_markup("runs[/b]")
    'runs\\[/b]'
    """
    return escape(printable(text, multiline=multiline))


def escape_html(text: object) -> str:
    """Return text for the content of an HTML element, or for an attribute in quotes.

    >>> escape_html("<script>")
    '&lt;script&gt;'
    """
    return html.escape(printable(text))


def html_table(caption: str, heads: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in HTML below a line of text, as objects show themselves in notebooks.

    >>> html_table("two", ["a", "b"], [[1, "<"]])
    '<p>two</p><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>&lt;</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape_html(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape_html(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<p>{escape_html(caption)}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def escape_markdown(text: object) -> str:
    r"""Return text for one line or one cell of a table in Markdown.

    >>> escape_markdown("a|b *c*")
    'a\\|b \\*c\\*'
    """
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", printable(text))


def escape_latex(text: object) -> str:
    r"""Return text for LaTeX, with commands for the signs that lasem prints, such as ±.

    >>> escape_latex("50% of a_b")
    '50\\% of a\\_b'
    """
    escaped = "".join(_LATEX.get(character, character) for character in printable(text))
    # at the beginning of a line of a table these would belong to the \\ before
    return f"{{{escaped[0]}}}{escaped[1:]}" if escaped.startswith(("[", "*")) else escaped


def escape_csv(text: object) -> str:
    """Return text for a cell of a CSV file, which a spreadsheet does not read as a formula. Numbers stay as they are.

    Quotes and commas are left to the writer of the file.

    >>> escape_csv("=1+1"), escape_csv("-0.5")
    ("'=1+1", '-0.5')
    """
    cell = printable(text)
    start = cell.lstrip()
    return f"'{cell}" if len(start) > 1 and start[0] in _FORMULA and not _is_number(start) else cell


def escape_mathtext(text: object) -> str:
    r"""Return text in which Matplotlib finds no formula between dollar signs.

    >>> escape_mathtext("US$ and CA$")
    'US\\$ and CA\\$'
    """
    return printable(text).replace("$", "\\$")


def _replacement(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks; a function for `codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_ASCII.get(character) or _visible(character) for character in missing), error.end


def _visible(character: str) -> str:
    """Write a character as an escape; a byte that Python could not decode is written as that byte."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode() if code < 0xD800 else f"\\u{code:04x}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
