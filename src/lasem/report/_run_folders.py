"""Finding and reading run folders. A folder that is damaged becomes a run with warnings and never hides the others."""

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from lasem.errors import RunError, alternatives, brief
from lasem.records import Event, InterruptedRecord, NoteRecord, Result, TaskRecord, close_call, read_events, read_result
from lasem.report._comparison import task_rows
from lasem.report._run import Run, listed, nested, whole
from lasem.text import printable

Value = TypeVar("Value")

RUN_FILES = ("spec.toml", "records.jsonl", "result.json")
"""A folder that contains one of these files is a run."""

OPTIONAL = ("result.json", "stream.json")
"""Files whose absence needs no warning of its own."""


def collect(paths: Path | str | Sequence[Path | str]) -> list[Run]:
    """Read every run at or below a folder, or several, each once, in order.

    Several folders of one spec with the same seeds are one run. Folders that cannot be opened are named in a warning of
    the first run.

    Raises:
        RunError: There is no such folder, or no run in it.
    """
    folders, closed = _find([paths] if isinstance(paths, str | Path) else paths)
    first, *others = _without_copies([_read_run(folder) for folder in folders])
    return [replace(first, warnings=(*closed, *first.warnings)), *others]


def _without_copies(runs: Sequence[Run]) -> list[Run]:
    """The runs; of several of one spec with the same seeds the one that went furthest, with a warning."""
    trials: dict[str, list[Run]] = {}
    for run in runs:
        trials.setdefault(json.dumps(run.spec, sort_keys=True, default=str) if run.spec else run.folder, []).append(run)
    kept = []
    for same in trials.values():
        best = max(same, key=lambda run: (run.finished, len(run.events)))
        copies = [f"{best.folder}: {run.folder} is the same run; it is left out" for run in same if run is not best]
        kept.append(replace(best, warnings=(*best.warnings, *copies)))
    return kept


def run_folders(paths: Sequence[Path | str]) -> list[Path]:
    """List every run folder at or below the given folders, each once, in order.

    Raises:
        RunError: There is no such folder, or no run in it.
    """
    return _find(paths)[0]


def may_contain_runs(folder: Path) -> bool:
    """Whether a run is at or below a folder, or cannot be excluded because a folder cannot be opened."""
    errors: list[OSError] = []
    return any(_below(folder, errors)) or bool(errors)


def _find(paths: Sequence[Path | str]) -> tuple[list[Path], list[str]]:
    """The run folders, and a warning for every folder that cannot be opened."""
    closed: dict[str, None] = {}
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if not os.path.isdir(path):  # unlike Path.is_dir, without an error for a name that no file can have
            got = brief(printable(path))
            raise RunError(f"a run must be a folder (got {got}); pass a folder that `lasem run` wrote")
        errors: list[OSError] = []
        below = sorted(_below(path, errors))
        closed |= {
            f"{printable(error.filename)}: cannot be read ({error.strerror}); left out": None for error in errors
        }
        if not below:
            reasons = "".join(f"; {text}" for text in closed)
            raise RunError(
                f"a run folder must contain {alternatives(RUN_FILES)} (neither {printable(path)}"
                f" nor any folder below it does{reasons}); pass a folder that `lasem run` wrote, or one above it"
            )
        found |= dict.fromkeys([path] if path in below else below)
    return list(found), list(closed)


def _below(path: Path, errors: list[OSError]) -> Iterator[Path]:
    for folder, folders, files in os.walk(path, onerror=errors.append):
        if any(name in RUN_FILES for name in (*folders, *files)):
            yield Path(folder)


def _read_run(path: Path) -> Run:
    folder, warnings = printable(path), list[str]()
    spec_text = _try(lambda file: file.read_text(encoding="utf-8"), path / "spec.toml", warnings) or ""
    spec = _try(lambda _: _cleaned(tomllib.loads(spec_text)), path / "spec.toml", warnings) if spec_text else {}
    spec = spec or {}
    result = _try(_read_result, path / "result.json", warnings)
    events = _try(lambda file: _read_events(file, warnings), path / "records.jsonl", warnings) or []
    run = Run(
        path=path,
        name=printable(spec.get("name") or (result.name if result else path.name)),
        seed=result.seed if result else _seed(spec, path),
        spec=spec,
        spec_text=printable(spec_text, multiline=True),
        environment=_try(_read_json, path / "environment.json", warnings) or {},
        stream=_try(_read_stream, path / "stream.json", warnings) or {},
        events=tuple(events),
        result=result,
        warnings=(),
    )
    if not run.finished:
        last = events[-1] if events else None
        why = f"; it ended with: {last.text}" if isinstance(last, InterruptedRecord) else ""
        warnings.append(f"{folder}: this run is not finished; its numbers cover the tasks learned so far{why}")
    warnings += [f"{folder}: {event.text}" for event in events if isinstance(event, NoteRecord)]
    if small := spec.get("small"):
        changes = "; ".join(map(str, listed(small) or [small]))
        warnings.append(f"{folder}: a small variant, no published setting: {changes}")
    return _measurable(replace(run, warnings=tuple(printable(text) for text in warnings)))


def _measurable(run: Run) -> Run:
    """The run; without its records and result where these contradict each other, so that no table fails on them."""
    try:
        task_rows(run)
        for task in run.tasks:
            for index in {index for record in task.epochs for index, _ in record.prior or ()}:
                task.candidate(index)
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        warning = f"{run.folder}: its records contradict each other ({_reason(error)}); its numbers are left out"
        return replace(run, events=(), result=None, warnings=(*run.warnings, warning))
    decided = [(task, task.decision) for task in run.tasks if task.decision]
    close = [str(task.position) for task, made in decided if close_call(made, power=run.power_once(task))]
    if not close:
        return run
    warning = (
        f"{run.folder}: {len(close)} of {len(run.tasks)} tasks were decided with a margin that means nothing (task"
        f" {', '.join(close)}): the runner-up was as probable, so another seed may decide otherwise"
    )
    return replace(run, warnings=(*run.warnings, warning))


def _try(load: Callable[[Path], Value], file: Path, warnings: list[str]) -> Value | None:
    """Load a file that may be missing or, in a run that was killed, half written; append what went wrong."""
    try:
        if file.is_file():
            return load(file)
        if file.exists():
            raise TypeError("it is not a regular file")
    except (ValueError, TypeError, OSError, RecursionError, OverflowError) as error:
        warnings.append(f"{printable(file)}: cannot be read ({_reason(error)}); what it tells is left out")
        return None
    if file.name not in OPTIONAL:
        warnings.append(f"{printable(file)}: missing; what it tells is left out")
    return None


def _reason(error: Exception) -> str:
    """The first line of an error's message, or the first fault of a damaged record."""
    told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, ValidationError):
        told = error.errors(include_url=False, include_input=False)[0]["msg"]
    return brief(printable((told.splitlines() or [type(error).__name__])[0]))


def _read_events(file: Path, warnings: list[str]) -> list[Event]:
    events, unreadable = read_events(file)
    warnings += unreadable
    return [_printable(event) for event in events]


def _printable(event: Event) -> Event:
    match event:
        case TaskRecord():
            return event.model_copy(update={"name": printable(event.name), "candidates": _cleaned(event.candidates)})
        case NoteRecord() | InterruptedRecord():
            return event.model_copy(update={"text": printable(event.text)})
        case _:
            return event


def _read_result(file: Path) -> Result | None:
    result = read_result(file)
    if result is None:
        return None
    names = {name: printable(getattr(result, name)) for name in ("name", "learner", "benchmark", "network", "profile")}
    return result.model_copy(update=names | {"tasks": _cleaned(result.tasks)})


def _read_json(file: Path) -> Mapping[str, Any]:
    return nested(_cleaned(json.loads(file.read_bytes())))


def _read_stream(file: Path) -> Mapping[str, Any]:
    """What the seeds chose, without the indices of images: of many runs these would fill the memory."""
    stream = nested(json.loads(file.read_bytes()))
    kept = [
        {key: value for key, value in nested(choice).items() if key != "rows"}
        for choice in listed(stream.get("choices"))
    ]
    return nested(_cleaned({**stream, "choices": kept}))


def _cleaned(value: Any) -> Any:  # noqa: ANN401
    """Make every text in nested tables and lists printable: a file of another person may have any."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(key): _cleaned(item) for key, item in value.items()}
    return [_cleaned(item) for item in value] if isinstance(value, list) else value


def _seed(spec: Mapping[str, Any], path: Path) -> int | None:
    """The training seed, from the spec or from the folder's name, ``<name>-s<seed>-<hash>``."""
    in_name = re.search(r"-s(\d{1,18})-[0-9a-f]+$", path.name)
    seed = whole(nested(spec.get("seeds")).get("training"))
    return int(in_name[1]) if seed is None and in_name else seed
