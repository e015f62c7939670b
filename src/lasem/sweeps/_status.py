"""Status of each run of a sweep, read from its folder: every machine that sees the folder reads the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lasem.errors import RunError
from lasem.records import History, HistoryReader
from lasem.runs import RunFolder, holder
from lasem.sweeps._folder import Ending, SweepFolder
from lasem.sweeps._plan_file import ListedRun, SweepPlan

if TYPE_CHECKING:
    from lasem.sweeps._plan import Sweep

State = Literal["running", "failed", "interrupted", "waiting", "done"]
"""State of a run.

"running": a process is at it. "failed": the last execution gave it up. "interrupted": it was begun, and no process is
at it. "waiting": it was not begun. "done": it has its result.
"""

NOT_HERE = "ended, but its result is not here: --out must be on storage that all machines share"


@dataclass(frozen=True)
class RunStatus:
    """Status of one run of a sweep.

    Attributes:
        run: The run.
        state: State of the run; see `State`.
        task: Number of tasks begun.
        num_tasks: Number of tasks in the stream; None if the run folder does not say.
        epoch: Epoch of the open task, or of the current candidate's turn in it.
        accuracy: Mean test accuracy of the tasks learned so far; None before the first has ended.
        validation: Validation accuracy of the last epoch; None before the first.
        seconds: Seconds of training and evaluation so far.
        attempt: Number of the last attempt in this execution; None before the first.
        remark: What was wrong, or the machine on which it runs.
    """

    run: ListedRun
    state: State = "waiting"
    task: int = 0
    num_tasks: int | None = None
    epoch: int = 0
    accuracy: float | None = None
    validation: float | None = None
    seconds: float = 0.0
    attempt: int | None = None
    remark: str = ""


class StatusReader:
    """Reads the status of a sweep's runs again and again; of the records, each call reads only what is new.

    Args:
        sweep: The runs, or their names.
        out: Folder that contains the run folders.
    """

    def __init__(self, sweep: "Sweep | SweepPlan", out: Path) -> None:
        plan = sweep if isinstance(sweep, SweepPlan) else sweep.plan
        self._folder = SweepFolder.of(plan.name, out)
        self._runs = [(run, RunFolder(out / run.folder)) for run in plan.runs]
        self._readers = [HistoryReader(folder.records_path, keep_epochs=False) for _, folder in self._runs]

    def read(self) -> list[RunStatus]:
        """Return one status per run, in the sweep's order."""
        endings = self._folder.endings()
        return [
            _status(run, folder, reader.read(), endings.get(run.folder))
            for (run, folder), reader in zip(self._runs, self._readers, strict=True)
        ]


def _status(run: ListedRun, folder: RunFolder, history: History, ending: Ending | None) -> RunStatus:
    """Combine what a run has recorded, who is at it, and how its last attempt ended."""
    state, remark = _state(folder, ending)
    attempt = None if ending is None else ending.attempt
    if state == "running":
        attempt = 1 if ending is None else ending.attempt + (not ending.final)
    latest = history.latest_epoch
    evaluations = [task.evaluation for task in history.tasks if task.evaluation]
    return RunStatus(
        run=run,
        state=state,
        task=len(history.tasks),
        num_tasks=_num_tasks(folder),
        epoch=latest.task_epoch if latest is not None and latest.task == len(history.tasks) - 1 else 0,
        accuracy=_mean(evaluations[-1].accuracy) if evaluations else None,
        validation=None if latest is None else latest.valid_accuracy,
        seconds=history.training_seconds + history.evaluation_seconds,
        attempt=attempt,
        remark=remark,
    )


def _state(folder: RunFolder, ending: Ending | None) -> tuple[State, str]:
    """Return the state of a run, and a remark on it."""
    if folder.result_path.exists():
        return "done", ""
    if (found := holder(folder)) is not None:
        return "running", found.host
    if ending is not None and ending.final and ending.kind not in ("done", "stopped"):
        return "failed", ending.error or ending.kind
    state = "interrupted" if folder.spec_path.exists() else "waiting"
    return state, NOT_HERE if ending is not None and ending.kind == "done" else ""


def _num_tasks(folder: RunFolder) -> int | None:
    """Return the number of tasks in a run's stream, once its folder says."""
    try:
        stream: object = folder.read_json(folder.stream_path)
    except (RunError, OSError):  # the run itself will say what is wrong with it
        return None
    outline = stream.get("outline") if isinstance(stream, dict) else None
    identities = outline.get("identities") if isinstance(outline, dict) else None
    return len(identities) if isinstance(identities, list) else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
