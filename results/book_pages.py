"""Pages of the results book: what stands between markers is made from the records."""

import fnmatch
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from book_claims import claims_table, read_claims, read_elsewhere
from book_figures import FIGURES, write
from book_records import Records, Trial
from book_searches import SEARCHES, read_lines
from book_tables import TABLES, Line
from lasem.formats import duration

BLOCK = re.compile(r"^(<!-- book: (?P<words>[^\n]*) -->\n).*?^(<!-- /book -->)$", re.DOTALL | re.MULTILINE)
"""A generated part of a page: what stands between two markers, each on a line of its own, is replaced."""

START = "<!-- book:"

MARKERS = re.compile(rf"^({START}|<!-- /book)", re.MULTILINE)
"""Beginnings of both markers."""

OPTIONS = ("against", "rows", "name")
"""Options of a block: rows to subtract, patterns of rows to show, and another name for the file of a figure."""

KINDS = (*TABLES, *FIGURES, *SEARCHES, "claims", "elsewhere", "made")

WORDS = ("stream", "learner", "network", "search", "source", "the paper says", "compared", "on", "verdict", "why")
"""Titles of columns with words, which are aligned at the left."""


def build(root: Path, *, draw: bool = True) -> dict[Path, str]:
    """Return the text of every page with its tables as the records have them, and draw the figures.

    Args:
        root: Folder of the project.
        draw: Whether to draw the figures, too.

    Raises:
        SystemExit: A marker is wrong, or nothing is recorded of what it names.
    """
    records = [Records(path) for path in sorted((root / "results" / "records").glob("*.parquet"))]

    def text(page: Path) -> str:
        def block(match: re.Match[str]) -> str:
            try:
                content = _content(root, page, match["words"], records, draw=draw)
            except ValueError as error:
                sys.exit(f"{page}: {error} (in the block {match['words']!r})")
            return f"{match[1]}\n{content}\n\n{match[3]}"

        source = page.read_text(encoding="utf-8")
        _check_markers(page, source)
        return BLOCK.sub(block, source)

    return {page: text(page) for page in sorted((root / "docs").rglob("*.md"))}


def _check_markers(page: Path, source: str) -> None:
    """Check that every block has a marker of its own at its end, so that no text by hand is taken for a table."""
    order = "".join("(" if match[0] == START else ")" for match in MARKERS.finditer(source))
    if order.replace("()", "") or order.count("(") != len(BLOCK.findall(source)):
        sys.exit(f"{page}: every '{START} ... -->' must have its own '<!-- /book -->' on a line below it; correct them")


def _content(root: Path, page: Path, words: str, records: Sequence[Records], *, draw: bool) -> str:
    """Return what stands between the markers of a block.

    Raises:
        ValueError: The marker is wrong, or nothing is recorded of what it names.
    """
    kind, *names = shlex.split(words)
    options = {key: [word.partition("=")[2] for word in names if word.startswith(f"{key}=")] for key in OPTIONS}
    unknown = [word for word in names if "=" in word and word.partition("=")[0] not in OPTIONS]
    if kind not in KINDS or unknown:
        expected = f"one of {', '.join(KINDS)}, with the options {', '.join(OPTIONS)}"
        raise ValueError(f"a block must be {expected} (got {unknown[0] if unknown else kind!r}); correct it")
    names = [word for word in names if "=" not in word]
    claims = root / "results" / "claims.toml"
    if kind in ("claims", "elsewhere"):
        return _markdown(claims_table(read_claims(claims), records) if kind == "claims" else read_elsewhere(claims))
    shown = options["rows"] or ["*"]

    def is_shown(row: str) -> bool:
        return any(fnmatch.fnmatch(row, pattern) for pattern in shown)

    if kind in SEARCHES:
        file, table = SEARCHES[kind]
        return _markdown(table(read_lines(root / "results" / "records" / f"{file}.jsonl", names, is_shown)))
    sweeps = {source.path.stem: source for source in records}
    matches = {name: fnmatch.filter(sweeps, name) for name in names}
    if missing := [name for name, found in matches.items() if not found]:
        raise ValueError(f"a name must be that of recorded sweeps (got {missing[0]!r}); run them first, or correct it")
    sources = [source for sweep, source in sweeps.items() if any(sweep in found for found in matches.values())]
    trials = list({trial["run"]: trial for source in sources for trial in source.trials}.values())
    found = [trial for trial in trials if is_shown(trial["row"])]
    if not found:
        raise ValueError("a block must have recorded runs (got none); run its sweeps first")
    if kind in TABLES:
        return _markdown(TABLES[kind](found, against=options["against"]))
    if kind == "made":
        return _made(found)
    image = page.parent / "images" / f"{page.stem}-{(options['name'] or [kind])[0]}.svg"
    if draw:
        write(kind, found, sources, image)
    return f"![{kind.replace('-', ' ')}]({image.relative_to(page.parent)})"


def _markdown(lines: Sequence[Line]) -> str:
    """Write a pipe table without the columns that are empty.

    Raises:
        ValueError: There is no line.
    """
    if not lines:
        raise ValueError(
            "a table must have a line (got none, because no row that it compares is recorded); run its sweeps"
        )
    texts = pd.DataFrame(lines).fillna("")
    texts = texts.loc[:, (texts != "").any()]
    sides = ["left" if column in WORDS else "right" for column in texts]
    return texts.to_markdown(index=False, disable_numparse=True, colalign=sides)


def _made(found: Sequence[Trial]) -> str:
    """Tell how many runs were made, how long they took, and when, where and by which code they were made."""
    days = sorted({trial["date"] for trial in found})

    def listed(column: str) -> str:
        return ", ".join(dict.fromkeys(str(trial[column]) for trial in found))

    total = sum(trial["training_seconds"] + trial["evaluation_seconds"] for trial in found)
    return (
        f"{len(found)} runs; {duration(total)} of training and evaluation (wall clock), threads: {listed('threads')};"
        f" {' to '.join(dict.fromkeys([days[0], days[-1]]))}; {listed('machine')}; torch {listed('torch')};"
        f" lasem at commit {listed('commit')}."
    )
