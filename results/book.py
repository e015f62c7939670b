"""The results book: runs what is missing of the sweeps in results/sweeps, records it, and rebuilds the pages.

    python results/book.py run [NAME...] [--workers N] [--out DIR] [--data DIR]
    python results/book.py record NAME [--out DIR] [--commit HASH]
    python results/book.py prune NAME
    python results/book.py build [--check]

NAME is a sweep, or the beginning of the names of several: "pacs" stands for pacs.toml and pacs-static.toml. A run that
is recorded in results/records is not made again on any machine, because the name of a run contains the hash of its
spec. `record` takes finished runs from a folder of runs without training. `prune` removes the records of runs that a
changed sweep no longer has. `build` writes every table and figure of docs/results from the records alone.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from book_pages import build
from book_records import Label, Records
from lasem.errors import LasemError

if TYPE_CHECKING:
    from lasem.sweeps import Sweep


@dataclass(frozen=True)
class Book:
    """Where the parts of the book are.

    Attributes:
        root: Folder of the project.
    """

    root: Path

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


def labels_of(sweep: "Sweep") -> dict[str, Label]:
    """Return what a sweep calls each run, by name of its folder."""
    return {plan.spec.folder: Label.of(plan.spec.learner.name, plan.values) for plan in sweep.runs}


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
    labels = labels_of(sweep)

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


def prune(file: Path, records: Records) -> None:
    """Remove the records of runs that a sweep no longer has."""
    from lasem.sweeps import read_sweep

    print(f"{file.stem}: {records.prune(labels_of(read_sweep(file)))} runs are removed")


def _named(stem: str, name: str) -> bool:
    """Whether a sweep is meant by a name."""
    return stem == name or stem.startswith(f"{name}-")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "record", "prune", "build"])
    parser.add_argument("names", nargs="*", metavar="NAME", help="sweeps; the default is all of them")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="folder of the project")
    parser.add_argument("--out", type=Path, default=Path("runs/results"), help="folder of the run folders")
    parser.add_argument("--data", type=Path, default=os.environ.get("LASEM_DATA"), help="folder of the data sets")
    parser.add_argument("--workers", type=int, default=1, help="number of runs at a time")
    parser.add_argument("--nice", type=int, default=19, help="priority of the runs: 19 is the lowest, 0 the usual one")
    parser.add_argument("--commit", default="", help="commit that made the runs, if it is not the current one")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with status 1 if a page would change")
    given = parser.parse_args(arguments)
    book = Book(given.root)
    complete = given.command == "build" or _change(book, given)
    found = build(given.root, draw=not given.check)
    changed = [page for page, text in found.items() if text != page.read_text(encoding="utf-8")]
    for page in changed:
        print(f"{page}: {'out of date' if given.check else 'rebuilt'}")
        if not given.check:
            page.write_text(found[page], encoding="utf-8")
    if (given.check and changed) or not complete:
        sys.exit(1)


def _change(book: Book, given: argparse.Namespace) -> bool:
    """Run, record or prune some sweeps, and return whether what was asked for is complete."""
    files = [(file, book.records(file.stem)) for file in book.sweeps(given.names)]
    if given.command == "prune":
        for file, records in files:
            prune(file, records)
        return True
    os.nice(max(0, given.nice - os.nice(0)))  # other work on the machine goes first
    options = Options(given.out.resolve(), given.data, given.workers, given.commit, train=given.command == "run")
    try:
        complete = [run(file, records, options) for file, records in files]
    except KeyboardInterrupt:
        sys.exit(130)
    except LasemError as error:
        sys.exit(f"error: {error}")
    return all(complete) or not options.train


if __name__ == "__main__":
    main()
