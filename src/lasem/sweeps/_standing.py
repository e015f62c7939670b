"""Where each run of a sweep stands, read from its folder: whoever asks, on whichever machine, sees the same."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lasem.runs._folder import RunFolder
from lasem.sweeps._folder import Ending, SweepFolder
from lasem.sweeps._spec import PlannedRun, Sweep

State = Literal["running", "failed", "interrupted", "waiting", "done"]
"""Of a run: an attempt is under way; the last execution gave it up; begun, without anybody at it; not begun; has its
result."""

NOT_HERE = "ended, but its result is not here: --out must be on storage that all machines share"


@dataclass(frozen=True)
class Standing:
    """Where a run stands.

    Attributes:
        run: The run.
        state: See `State`.
        task: Tasks begun.
        num_tasks: In the stream; None where its folder does not say.
        epoch: Of the open task, or of the candidate's turn in it.
        accuracy: Mean test accuracy of the tasks learned so far; None before the first.
        validation: Of the last epoch; None before the first.
        seconds: Of training and evaluation.
        attempt: Of the last try in this execution; None before the first.
        remark: What was wrong, or on which machine it runs.
    """

    run: PlannedRun
    state: State = "waiting"
    task: int = 0
    num_tasks: int | None = None
    epoch: int = 0
    accuracy: float | None = None
    validation: float | None = None
    seconds: float = 0.0
    attempt: int | None = None
    remark: str = ""


class Watch:
    """Reads where the runs of a sweep stand, again and again; of records only what is new.

    Args:
        sweep: The runs.
        out: Folder that holds them.
    """

    def __init__(self, sweep: Sweep, out: Path) -> None:
        self._folder = SweepFolder.of(sweep.name, out)
        self._records = [_Records(run, RunFolder(out / run.spec.folder)) for run in sweep.runs]

    def standings(self) -> list[Standing]:
        """One per run, in the sweep's order."""
        endings = self._folder.endings()
        return [self._standing(records, endings.get(records.run.spec.folder)) for records in self._records]

    def _standing(self, records: "_Records", ending: Ending | None) -> Standing:
        found, attempt = records.read(), None if ending is None else ending.attempt
        if records.folder.result_path.exists():
            return replace(found, state="done", attempt=attempt)
        holder = self._folder.attempted_by(records.run.spec.folder)
        if holder is not None:
            return replace(found, state="running", attempt=holder.attempt, remark=holder.host)
        if ending is not None and ending.final and ending.kind not in ("done", "stopped"):
            return replace(found, state="failed", attempt=attempt, remark=ending.error or ending.kind)
        begun = records.folder.spec_path.exists()
        remark = NOT_HERE if ending is not None and ending.kind == "done" else ""
        return replace(found, state="interrupted" if begun else "waiting", attempt=attempt, remark=remark)


class _Records:
    """The records of a run, read on from where the last reading ended."""

    def __init__(self, run: PlannedRun, folder: RunFolder) -> None:
        self.run, self.folder = run, folder
        self._read = 0
        self._standing = Standing(run)

    def read(self) -> Standing:
        """What the records say; from the start again where they have been cut."""
        if self.folder.records_size < self._read:
            self._read, self._standing = 0, Standing(self.run)
        for event in self._news():
            self._standing = _after(self._standing, event)
        if self._standing.num_tasks is None and self.folder.stream_path.exists():
            identities = self.folder.read_json(self.folder.stream_path).get("outline", {})
            self._standing = replace(self._standing, num_tasks=_length(identities))
        return self._standing

    def _news(self) -> Iterator[dict[str, Any]]:
        """Events behind those that were read, as plain data; a line that is being written waits."""
        if not self.folder.records_path.exists():
            return
        with self.folder.records_path.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        for line in whole.splitlines():
            try:
                yield json.loads(line)
            except ValueError:  # torn, until the run goes on and cuts it off
                continue


def _length(outline: object) -> int | None:
    """Tasks of a stream, from its outline in plain data."""
    return len(outline["identities"]) if isinstance(outline, dict) and "identities" in outline else None


def _after(standing: Standing, event: dict[str, Any]) -> Standing:
    """Where a run stands after one more event."""
    seconds = sum(event.get(key, 0.0) for key in ("training_seconds", "evaluation_seconds", "seconds"))
    standing = replace(standing, seconds=standing.seconds + seconds)
    match event.get("event"):
        case "task":
            return replace(standing, task=event["task"] + 1, epoch=0)
        case "epoch":
            return replace(standing, epoch=event["task_epoch"], validation=event["valid_accuracy"])
        case "evaluation":
            return replace(standing, accuracy=sum(event["accuracy"]) / len(event["accuracy"]))
        case _:
            return standing
