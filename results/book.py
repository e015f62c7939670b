"""The results book: runs what is missing of the sweeps in results/sweeps, records it, and rebuilds the pages.

    python results/book.py run [NAME...] [--workers N] [--out DIR] [--data DIR]
    python results/book.py record NAME [--out DIR] [--commit HASH]
    python results/book.py build [--check]

NAME is a sweep, or the beginning of the names of several: "pacs" stands for pacs.toml and pacs-static.toml. A run that
is recorded in results/records is not made again on any machine, because the name of a run contains the hash of its
spec. `record` takes finished runs from a folder of runs without training. `build` writes every table and figure of
docs/results from the records alone.
"""

import argparse
import fnmatch
import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from book_figures import FIGURES, write
from book_records import Label, Records, Trial
from book_tables import TABLES
from lasem.formats import duration

BLOCK = re.compile(r"^(<!-- book: (?P<words>[^\n]*) -->\n).*?^(<!-- /book -->)$", re.DOTALL | re.MULTILINE)
"""A generated part of a page: what stands between two markers, each on a line of its own, is replaced."""


@dataclass(frozen=True)
class Book:
    """Where the parts of the book are.

    Attributes:
        root: Folder of the project.
    """

    root: Path

    @property
    def pages(self) -> list[Path]:
        """Every page of the book."""
        return sorted((self.root / "docs" / "results").glob("*.md"))

    def sweeps(self, names: Sequence[str]) -> list[Path]:
        """Return the files of some sweeps, of all where no name is given.

        Raises:
            SystemExit: No sweep has such a name.
        """
        files = sorted((self.root / "results" / "sweeps").glob("*.toml"))
        for name in names:
            if not any(_named(file.stem, name) for file in files):
                sys.exit(f"a sweep must be one of {', '.join(file.stem for file in files)} (got {name!r})")
        return [file for file in files if not names or any(_named(file.stem, name) for name in names)]

    def records(self, sweep: str) -> Records:
        """Return the records of a sweep."""
        return Records(self.root / "results" / "records" / f"{sweep}.parquet")


@dataclass(frozen=True)
class Options:
    """How runs are made.

    Attributes:
        out: Folder that contains the run folders; recorded runs appear there as finished.
        data: Folder that contains the data sets; None for the hub.
        workers: Number of runs at a time, each on one thread.
        commit: Commit that made the runs that are recorded; the current one if it is empty.
        train: Whether to make runs; otherwise only what is finished is recorded.
    """

    out: Path
    data: Path | None = None
    workers: int = 1
    commit: str = ""
    train: bool = True


def run(file: Path, records: Records, options: Options) -> bool:
    """Make what is missing of a sweep, record every run as soon as it ends, and return whether all are recorded.

    Args:
        file: The sweep's file.
        records: What is recorded of it.
        options: How runs are made.
    """
    from lasem.preflight import require_data
    from lasem.runs import RunOptions
    from lasem.sweeps import Ending, LocalProcesses, execute, read_sweep

    sweep = read_sweep(file)
    labels = {plan.spec.folder: Label.of(plan.spec.learner.name, plan.values) for plan in sweep.runs}

    def record(names: Iterable[str]) -> None:
        if records.add([options.out / name for name in names], labels, commit=options.commit):
            print(f"{file.stem}: {len(records.runs & labels.keys())} of {len(labels)} runs are recorded", flush=True)

    def watch(ending: Ending) -> None:
        print(f"{ending.label}: {ending.kind} {ending.error or ''}".rstrip(), flush=True)
        if ending.kind == "done":
            record([ending.run])

    record(labels)  # runs that ended while nothing recorded them, as after a kill
    records.restore(options.out)
    if options.train:
        require_data([plan.spec for plan in sweep.runs if plan.spec.folder not in records.runs], options.data)
        here = RunOptions(out=options.out, data=options.data, threads=1)
        execute(sweep, here, LocalProcesses(options.workers, threads=1), watch=watch)
    return labels.keys() <= records.runs


def build(book: Book, *, draw: bool = True) -> dict[Path, str]:
    """Return the text of every page with its tables as the records have them, and draw the figures."""

    def text(page: Path) -> str:
        return BLOCK.sub(lambda match: _block(book, page, match, draw=draw), page.read_text(encoding="utf-8"))

    return {page: text(page) for page in book.pages}


def _block(book: Book, page: Path, match: re.Match[str], *, draw: bool) -> str:
    """Return a block of a page with what its marker asks for.

    Raises:
        SystemExit: The marker is wrong, or nothing is recorded of what it names.
    """
    kind, *words = shlex.split(match["words"])
    patterns = [word for word in words if "=" not in word]
    options = [word.partition("=")[::2] for word in words if "=" in word]
    known = sorted(path.stem for path in (book.root / "results" / "records").glob("*.parquet"))
    sources = [book.records(name) for name in known if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    trials = list({trial["run"]: trial for source in sources for trial in source.trials}.values())
    rows = [value for key, value in options if key == "rows"]
    found = [trial for trial in trials if not rows or any(fnmatch.fnmatch(trial["row"], pattern) for pattern in rows)]
    if not found:
        sys.exit(f"{page}: a block must have records (got none for {match['words']!r}); run its sweeps first")
    against = [value for key, value in options if key == "against"]
    image = page.parent / "images" / f"{page.stem}-{kind}.svg"
    if kind in FIGURES and draw:
        write(kind, found, sources, image)
    return f"{match[1]}\n{_content(page, kind, found, against, image=image)}\n\n{match[3]}"


def _content(page: Path, kind: str, found: Sequence[Trial], against: Sequence[str], *, image: Path) -> str:
    """Return what stands between the markers of a block.

    Raises:
        SystemExit: There is no such block.
    """
    if kind in TABLES:
        lines = pd.DataFrame(TABLES[kind](found, against=against)).fillna("")
        texts = lines.loc[:, (lines != "").any()]
        sides = ["left" if column in ("stream", "learner") else "right" for column in texts]
        return texts.to_markdown(index=False, disable_numparse=True, colalign=sides)
    if kind in FIGURES:
        return f"![{kind.replace('-', ' ')}]({image.relative_to(page.parent)})"
    if kind == "made":
        return _made(found)
    sys.exit(f"{page}: a block must be one of {', '.join((*TABLES, *FIGURES, 'made'))} (got {kind!r})")


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


def _named(stem: str, name: str) -> bool:
    """Whether a sweep is meant by a name."""
    return stem == name or stem.startswith(f"{name}-")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "record", "build"])
    parser.add_argument("names", nargs="*", metavar="NAME", help="sweeps; the default is all of them")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="folder of the project")
    parser.add_argument("--out", type=Path, default=Path("runs/results"), help="folder of the run folders")
    parser.add_argument("--data", type=Path, default=os.environ.get("LASEM_DATA"), help="folder of the data sets")
    parser.add_argument("--workers", type=int, default=1, help="number of runs at a time")
    parser.add_argument("--nice", type=int, default=19, help="priority of the runs: 19 is the lowest, 0 the usual one")
    parser.add_argument("--commit", default="", help="commit that made the runs, if it is not the current one")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with status 1 if a page would change")
    given = parser.parse_args(arguments)
    book, complete = Book(given.root), True
    if given.command != "build":
        os.nice(max(0, given.nice - os.nice(0)))  # other work on the machine goes first
        options = Options(given.out.resolve(), given.data, given.workers, given.commit, train=given.command == "run")
        try:
            done = [run(file, book.records(file.stem), options) for file in book.sweeps(given.names)]
            complete = all(done)
        except KeyboardInterrupt:
            sys.exit(130)
    found = build(book, draw=not given.check)
    changed = [page for page, text in found.items() if text != page.read_text(encoding="utf-8")]
    for page in changed:
        print(f"{page}: {'out of date' if given.check else 'rebuilt'}")
        if not given.check:
            page.write_text(found[page], encoding="utf-8")
    if (given.check and changed) or (given.command == "run" and not complete):
        sys.exit(1)


if __name__ == "__main__":
    main()
