"""Run folders, read: the spec, the environment, the events and the result of each."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from lasem.errors import RunError
from lasem.records import Event, History, InterruptedRecord, NoteRecord, Result, read_events, read_result

Value = TypeVar("Value")

MARKS = ("spec.toml", "records.jsonl", "result.json")
"""A folder that holds one of these is a run."""

OPTIONAL = ("result.json", "stream.json")
"""Files whose absence needs no warning of its own."""


@dataclass(frozen=True)
class Run:
    """One run as its folder tells it; whatever the folder lacks is empty or None.

    Attributes:
        path: The folder.
        name: The spec's name, else the folder's.
        seed: The training seed; None where nothing says it.
        spec: The spec as nested tables.
        spec_text: The spec as written.
        environment: Versions, device, data; every key is optional.
        stream: What the stream was drawn as, without the rows of its images; every key is optional.
        events: What happened, in order.
        result: The end of the run; None while it has none.
        warnings: What a reader of this run's numbers should know.
    """

    path: Path
    name: str
    seed: int | None
    spec: Mapping[str, Any]
    spec_text: str
    environment: Mapping[str, Any]
    stream: Mapping[str, Any]
    events: tuple[Event, ...]
    result: Result | None
    warnings: tuple[str, ...]

    @cached_property
    def history(self) -> History:
        """The events in order by task."""
        return History(self.events)

    @property
    def num_tasks(self) -> int | None:
        """Tasks in the whole stream; None where nothing says it."""
        if self.finished and self.result is not None:
            return len(self.result.tasks)
        return len(_table(self.stream.get("outline")).get("identities", ())) or None

    @property
    def finished(self) -> bool:
        """Whether the stream was learned to its end."""
        return self.result is not None and self.result.complete

    def setting(self, table: str, key: str) -> object:
        """One value of the spec; None where it has none."""
        return _table(self.spec.get(table)).get(key)

    def part(self, name: str) -> str:
        """Name of the run's "learner", "benchmark", "network" or "profile"; "unknown" where nothing says it."""
        if self.result is not None:
            return getattr(self.result, name)
        value = self.spec.get(name)
        return str(value.get("name", "unknown") if isinstance(value, Mapping) else value or "unknown")


def collect(paths: Sequence[Path | str]) -> list[Run]:
    """Read every run at or below the given folders, each once, in order.

    Raises:
        RunError: There is no such folder, or no run in it.
    """
    return [_run(folder) for folder in run_folders(paths)]


def run_folders(paths: Sequence[Path | str]) -> list[Path]:
    """Every folder of a run at or below the given ones, each once, in order.

    Raises:
        RunError: There is no such folder, or no run in it.
    """
    return list(dict.fromkeys(folder for path in paths for folder in _folders(Path(path))))


def same_spec(runs: Sequence[Run]) -> list[tuple[Run, ...]]:
    """Group runs that differ only in which images and initial values were drawn, in order of first appearance.

    Unfinished runs form groups of their own: a mean over fewer tasks is another number. So do runs without a spec,
    since nothing shows that they are alike. Another stream seed is another stream.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        alike = {**run.spec, "seeds": run.setting("seeds", "stream")} if run.spec else str(run.path)
        groups.setdefault(json.dumps([alike, run.finished], sort_keys=True, default=str), []).append(run)
    return [tuple(group) for group in groups.values()]


def learner_names(groups: Sequence[Sequence[Run]]) -> list[str]:
    """Name of each group's learner, with the spec's name where that alone would not tell two groups apart."""
    known = [(group[0].part("learner"), group[0].part("benchmark"), group[0].finished) for group in groups]
    return [
        key[0] if known.count(key) == 1 else f"{key[0]} ({group[0].name})"
        for key, group in zip(known, groups, strict=True)
    ]


def _folders(path: Path) -> list[Path]:
    if not path.is_dir():
        raise RunError(f"a run is a folder - got {str(path)!r}, which is none - pass a folder that `lasem run` wrote")
    found = sorted({file.parent for mark in MARKS for file in path.rglob(mark)})
    if path in found:
        return [path]
    if not found:
        raise RunError(
            f"a run folder holds {', '.join(MARKS[:-1])} or {MARKS[-1]} - got {str(path)!r}, which holds none, nor does"
            " any folder below it - pass a folder that `lasem run` wrote, or one above it"
        )
    return found


def _run(path: Path) -> Run:
    warnings: list[str] = []
    spec_text = _try(lambda file: file.read_text(encoding="utf-8"), path / "spec.toml", warnings) or ""
    spec = _try(lambda file: tomllib.loads(spec_text), path / "spec.toml", warnings) or {}
    environment = _try(_read_json, path / "environment.json", warnings) or {}
    stream = _try(_read_stream, path / "stream.json", warnings) or {}
    result = _try(read_result, path / "result.json", warnings)
    events, torn = read_events(path / "records.jsonl")
    warnings += torn
    if result is None or not result.complete:
        last = events[-1] if events else None
        why = f"; it ended with: {last.text}" if isinstance(last, InterruptedRecord) else ""
        warnings.append(f"{path}: this run is not finished; its numbers cover the tasks learned so far{why}")
    warnings += [f"{path}: {event.text}" for event in events if isinstance(event, NoteRecord)]
    if spec.get("small"):
        warnings.append(f"{path}: a small variant, no published setting: {'; '.join(map(str, spec['small']))}")
    return Run(
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


def _try(load: Callable[[Path], Value], file: Path, warnings: list[str]) -> Value | None:
    """Load a file that may be missing or, in a run that was killed, half written."""
    if not file.exists():
        if file.name not in OPTIONAL:
            warnings.append(f"{file}: missing; what it tells is left out")
        return None
    try:
        return load(file)
    except (ValidationError, ValueError, OSError) as error:
        warnings.append(f"{file}: cannot be read ({str(error).splitlines()[0]}); what it tells is left out")
        return None


def _read_json(file: Path) -> Mapping[str, Any]:
    return _table(json.loads(file.read_bytes()))


def _read_stream(file: Path) -> Mapping[str, Any]:
    """What the seeds chose; of many runs the rows of images would fill the memory, and no table shows them."""
    stream = dict(_read_json(file))
    kept = [
        {key: value for key, value in _table(choice).items() if key != "rows"} for choice in stream.get("choices", ())
    ]
    return stream | {"choices": kept}


def _table(value: object) -> Mapping[str, Any]:
    """A nested table, or an empty one where something else came."""
    return value if isinstance(value, Mapping) else {}


def _seed(spec: Mapping[str, Any], path: Path) -> int | None:
    """The training seed, from the spec or from the folder's name, ``<name>-s<seed>-<hash>``."""
    named = re.search(r"-s(\d+)-[0-9a-f]+$", path.name)
    seed = _table(spec.get("seeds")).get("training", named and named[1])
    return None if seed is None else int(seed)
