"""Finding and reading run folders. A folder that is damaged becomes a run with warnings and never hides the others."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from lasem.errors import RunError
from lasem.records import InterruptedRecord, NoteRecord, read_events, read_result
from lasem.report._comparison import task_rows
from lasem.report._run import Run, nested

Value = TypeVar("Value")

RUN_FILES = ("spec.toml", "records.jsonl", "result.json")
"""A folder that contains one of these files is a run."""

OPTIONAL = ("result.json", "stream.json")
"""Files whose absence needs no warning of its own."""


def collect(paths: Sequence[Path | str]) -> list[Run]:
    """Read every run at or below the given folders, each once, in order.

    Raises:
        RunError: There is no such folder, or no run in it.
    """
    return [_read_run(folder) for folder in run_folders(paths)]


def run_folders(paths: Sequence[Path | str]) -> list[Path]:
    """List every run folder at or below the given folders, each once, in order.

    Raises:
        RunError: There is no such folder, or no run in it.
    """
    return list(dict.fromkeys(folder for path in paths for folder in _folders(Path(path))))


def _folders(path: Path) -> list[Path]:
    if not path.is_dir():
        raise RunError(f"a run must be a folder (got {str(path)!r}); pass a folder that `lasem run` wrote")
    found = sorted({file.parent for name in RUN_FILES for file in path.rglob(name)})
    if path in found:
        return [path]
    if not found:
        raise RunError(
            f"a run folder must contain {', '.join(RUN_FILES[:-1])} or {RUN_FILES[-1]} (neither {str(path)!r} nor any"
            " folder below it does); pass a folder that `lasem run` wrote, or one above it"
        )
    return found


def _read_run(path: Path) -> Run:
    warnings: list[str] = []
    spec_text = _try(lambda file: file.read_text(encoding="utf-8"), path / "spec.toml", warnings) or ""
    spec = _try(lambda file: tomllib.loads(spec_text), path / "spec.toml", warnings) or {} if spec_text else {}
    environment = _try(_read_json, path / "environment.json", warnings) or {}
    stream = _try(_read_stream, path / "stream.json", warnings) or {}
    result = _try(read_result, path / "result.json", warnings)
    events, unreadable = read_events(path / "records.jsonl")
    warnings += unreadable
    if result is None or not result.complete:
        last = events[-1] if events else None
        why = f"; it ended with: {last.text}" if isinstance(last, InterruptedRecord) else ""
        warnings.append(f"{path}: this run is not finished; its numbers cover the tasks learned so far{why}")
    warnings += [f"{path}: {event.text}" for event in events if isinstance(event, NoteRecord)]
    if small := spec.get("small"):
        changes = "; ".join(map(str, small)) if isinstance(small, list) else str(small)
        warnings.append(f"{path}: a small variant, no published setting: {changes}")
    run = Run(
        path=path,
        name=str(spec.get("name") or (result.name if result else path.name)),
        seed=result.seed if result else _seed(spec, path),
        spec=spec,
        spec_text=spec_text,
        environment=environment,
        stream=stream,
        events=tuple(events),
        result=result,
        warnings=tuple(warnings),
    )
    return _measurable(run)


def _measurable(run: Run) -> Run:
    """The run; without its records and result where these contradict each other, so that no table fails on them."""
    try:
        task_rows(run)
    except (ValueError, IndexError, TypeError, KeyError) as error:
        warning = f"{run.path}: its records contradict each other ({error}); its numbers are left out"
        return replace(run, events=(), result=None, warnings=(*run.warnings, warning))
    return run


def _try(load: Callable[[Path], Value], file: Path, warnings: list[str]) -> Value | None:
    """Load a file that may be missing or, in a run that was killed, half written; append what went wrong."""
    if not file.exists():
        if file.name not in OPTIONAL:
            warnings.append(f"{file}: missing; what it tells is left out")
        return None
    try:
        return load(file)
    except (ValidationError, ValueError, TypeError, OSError) as error:
        warnings.append(f"{file}: cannot be read ({str(error).splitlines()[0]}); what it tells is left out")
        return None


def _read_json(file: Path) -> Mapping[str, Any]:
    return nested(json.loads(file.read_bytes()))


def _read_stream(file: Path) -> Mapping[str, Any]:
    """What the seeds chose, without the indices of images: of many runs these would fill the memory."""
    stream = dict(_read_json(file))
    choices = stream.get("choices")
    kept = [{key: value for key, value in nested(choice).items() if key != "rows"} for choice in choices or ()]
    return stream | {"choices": kept}


def _seed(spec: Mapping[str, Any], path: Path) -> int | None:
    """The training seed, from the spec or from the folder's name, ``<name>-s<seed>-<hash>``."""
    in_name = re.search(r"-s(\d+)-[0-9a-f]+$", path.name)
    seed = nested(spec.get("seeds")).get("training", in_name and in_name[1])
    try:
        return None if seed is None else int(seed)
    except (TypeError, ValueError):
        return None
