"""Where each run of a sweep stands, read from its folder: whoever asks, on whichever machine, sees the same."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lasem.records import HistoryReader
from lasem.runs import RunFolder
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
        self._reader = HistoryReader(folder.records_path, keep_epochs=False)
        self._num_tasks: int | None = None

    def read(self) -> Standing:
        """What the records say; from the start again where they have been cut."""
        history = self._reader.read()
        if self._num_tasks is None and self.folder.stream_path.exists():
            self._num_tasks = _length(self.folder.read_json(self.folder.stream_path).get("outline", {}))
        latest, evaluated = history.latest_epoch, history.tasks[: history.position]
        begun = len(history.tasks)
        accuracy = evaluated[-1].evaluation.accuracy if evaluated and evaluated[-1].evaluation else None
        return Standing(
            self.run,
            task=begun,
            num_tasks=self._num_tasks,
            epoch=latest.task_epoch if latest and latest.task == begun - 1 else 0,
            accuracy=sum(accuracy) / len(accuracy) if accuracy else None,
            validation=latest and latest.valid_accuracy,
            seconds=history.training_seconds + history.evaluation_seconds,
        )


def _length(outline: object) -> int | None:
    """Tasks of a stream, from its outline in plain data."""
    return len(outline["identities"]) if isinstance(outline, dict) and "identities" in outline else None
