"""A page that follows runs while they go on."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lasem.report._run import Run
from lasem.report._run_folders import collect, run_folders
from lasem.report.page._page import Live, check_page_path, write_page

FILES = ("spec.toml", "environment.json", "stream.json", "records.jsonl", "result.json")
"""Files of a run that a page is made of."""

SETTLE = 30.0
"""Seconds without a change after which a page whose runs are all finished is the last one."""

SHARE = 0.1
"""Largest fraction of the time that is spent on writing pages."""

Stamp = tuple[tuple[int, int], ...]
"""Modification time and size of a run's files."""


class Watcher:
    """Runs below some folders; a run is read again when its files have changed.

    Args:
        paths: Run folders, or folders that hold runs; more may appear there.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._known: dict[Path, tuple[Stamp, Run]] = {}

    def look(self) -> bool:
        """Read what is new, and say whether anything was.

        Raises:
            RunError: There is no such folder, or no run in it.
        """
        stamps = {folder: _stamp(folder) for folder in run_folders(self._paths)}
        fresh = {folder for folder, stamp in stamps.items() if self._stamp_of(folder) != stamp}
        changed = bool(fresh) or stamps.keys() != self._known.keys()
        self._known = {
            folder: (stamp, collect([folder])[0]) if folder in fresh else self._known[folder]
            for folder, stamp in stamps.items()
        }
        return changed

    @property
    def runs(self) -> list[Run]:
        """The runs as of the last look."""
        return [run for _, run in self._known.values()]

    def _stamp_of(self, folder: Path) -> Stamp | None:
        return self._known[folder][0] if folder in self._known else None


def watch_page(
    paths: Sequence[Path],
    out: Path,
    *,
    seconds: float = 5.0,
    settle: float = SETTLE,
    told: Callable[[Mapping[str, int]], None] = lambda counts: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write the page whenever its runs have changed, until all are finished or the user interrupts (Ctrl-C).

    The last version no longer follows anything.

    Args:
        paths: Run folders, or folders that hold runs.
        out: File to write.
        seconds: Least time between two looks; it is longer where writing takes long.
        settle: Seconds without a change after which runs that are all finished are the last ones.
        told: Called after every version with the numbers of "runs" and "finished".
        sleep: Waits; for tests.

    Raises:
        ReportError: The file's suffix is that of another format.
        RunError: There is no such folder, or no run in it.
    """
    check_page_path(out)
    watcher = Watcher(paths)
    quiet = 0.0
    try:
        while quiet < settle or not all(run.finished for run in watcher.runs):
            began = time.monotonic()
            if watcher.look():
                quiet = 0.0
                write_page(watcher.runs, out, Live(seconds, time.strftime("%H:%M:%S"), f"{time.time_ns():x}"))
                told({"runs": len(watcher.runs), "finished": sum(run.finished for run in watcher.runs)})
            pause = max(seconds, (time.monotonic() - began) * (1 / SHARE - 1))
            sleep(pause)
            quiet += pause
    except KeyboardInterrupt:
        pass  # how a user ends it
    finally:
        if watcher.runs:
            write_page(watcher.runs, out)


def _stamp(folder: Path) -> Stamp:
    """A value that changes when a file of the run does."""
    states = (file.stat() for name in FILES if (file := folder / name).exists())
    return tuple((state.st_mtime_ns, state.st_size) for state in states)
