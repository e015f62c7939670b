"""The folder of a run, and its files."""

import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from lasem import records
from lasem.errors import RunError
from lasem.files import append, flush, read_json, reading, write_atomically, writing
from lasem.options import read_toml
from lasem.records import EpochRecord, Event, EventReader, History, Result, ResumptionRecord

if TYPE_CHECKING:
    from lasem.runs._spec import Spec


class RunFolder:
    """The files of one run, in a folder of its own.

    Args:
        path: The folder, which may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec_path = path / "spec.toml"
        self.environment_path = path / "environment.json"
        self.stream_path = path / "stream.json"
        self.records_path = path / "records.jsonl"
        self.resumptions_path = path / "resumptions.jsonl"
        self.result_path = path / "result.json"
        self.checkpoints_path = path / "checkpoint"
        self.lock_path = path / "lock"
        self.holder_path = path / "holder.json"

    @staticmethod
    def of(spec: "Spec", out: Path) -> "RunFolder":
        """Return the folder of a spec inside a folder of runs.

        Raises:
            RunError: `out` is itself a run or no folder, or the run's folder holds another spec.
        """
        folder = RunFolder(out / spec.folder)
        with reading(out):
            inside, is_file = (out / "spec.toml").exists(), out.exists() and not out.is_dir()
        with reading(folder.path):
            known = folder.spec_path.exists()
        if inside:
            raise RunError(
                f"--out must be a folder of runs (got {out}, which is itself a run, of"
                f" '{read_toml(out / 'spec.toml').get('name', '?')}'); name its parent, {out.parent}, or another folder"
            )
        if is_file:
            raise RunError(f"--out must be a folder (got {out}, which is a file); choose another one")
        if known and folder.read_spec() != spec:
            raise RunError(
                f"the spec of a run must not change (got {folder.path} with a spec.toml that differs from this one);"
                " restore that file, or move the folder away"
            )
        return folder

    @staticmethod
    def existing(path: Path) -> "RunFolder":
        """Return the folder of a run that exists.

        Raises:
            RunError: The folder is not a run.
        """
        folder = RunFolder(path)
        with reading(path):
            known = folder.spec_path.exists()
        if not known:
            raise RunError(f"a run folder must have a spec.toml (got {path}, which has none); name the folder of a run")
        return folder

    def create(self, spec: "Spec") -> None:
        """Create the folder with its spec.

        Raises:
            RunError: It cannot be written.
        """
        with writing(self.path):
            self.checkpoints_path.mkdir(parents=True, exist_ok=True)
            flush(self.path.parent)
        if not self.spec_path.exists():
            write_atomically(self.spec_path, spec.toml().encode())

    def read_spec(self) -> "Spec":
        """Return the spec of this run.

        Raises:
            SpecError: It is not one, or it names a plugin that cannot be imported.
        """
        from lasem.runs._read_spec import read_spec  # which needs torch, and a list of runs does not
        from lasem.runs._resolve import without_old_sections

        place = str(self.spec_path)
        return read_spec(without_old_sections(read_toml(self.spec_path), place=place), place=place)

    def read_json(self, path: Path) -> dict[str, object]:
        """Read one of the JSON files of this run; an empty table where there is none.

        Raises:
            RunError: It cannot be read, or it is not a table in JSON.
        """
        with reading(path):
            try:
                values = read_json(path) if path.exists() else {}
            except ValueError as error:
                raise RunError(f"{path} must be JSON (got {error}); delete it, or move the run folder away") from None
        if not isinstance(values, dict):
            kind = type(values).__name__
            raise RunError(f"{path} must be a table in JSON (got a {kind}); delete it, or move the run folder away")
        return values

    def write_json(self, path: Path, values: Mapping[str, object]) -> None:
        """Write one of the JSON files of this run."""
        write_atomically(path, json.dumps(values, indent=1).encode())

    def result(self) -> Result | None:
        """Read the result of a finished run; None before its end.

        Raises:
            RunError: The result is damaged.
        """
        try:
            with reading(self.result_path):
                return records.read_result(self.result_path)
        except ValidationError as error:
            raise RunError(
                f"{self.result_path} must be a complete result (got {error.errors()[0]['msg']});"
                " delete it to resume from the checkpoint"
            ) from None

    def append(self, event: Event) -> None:
        """Append an event to the records: a whole line or nothing.

        Raises:
            RunError: The event cannot be written.
        """
        append(self.records_path, records.line(event).encode())

    def log(self, resumption: ResumptionRecord) -> None:
        """Note that the run is resumed.

        Raises:
            RunError: The note cannot be written.
        """
        append(self.resumptions_path, (resumption.model_dump_json(exclude_none=True) + "\n").encode())

    def set_records_aside(self) -> Path | None:
        """Rename records that contain epochs, so that the run can start anew without destroying them.

        Returns:
            Their new path; None where there is no epoch in them, which is left as it is.

        Raises:
            RunError: The records cannot be read or renamed.
        """
        with reading(self.records_path):
            events = EventReader(self.records_path).new_events(whole=True)
            if not any(isinstance(event, EpochRecord) for event in events):
                return None
        numbers = itertools.count(1)
        path = next(path for n in numbers if not (path := self.path / f"records-set-aside-{n}.jsonl").exists())
        with writing(path):
            self.records_path.rename(path)
            flush(self.path)
        return path

    @property
    def set_aside(self) -> list[Path]:
        """Files of records that were set aside, the oldest first."""
        return sorted(self.path.glob("records-set-aside-*.jsonl"), key=lambda path: (len(path.name), path.name))

    def truncate(self, size: int) -> History:
        """Cut the records to a size in bytes, and return the history of what remains.

        Raises:
            RunError: A line is not an event, or the file cannot be cut.
        """
        if self.records_path.exists():
            with writing(self.records_path):
                os.truncate(self.records_path, size)
        reader = EventReader(self.records_path)
        with reading(self.records_path):
            history = History(reader.new_events(whole=True), keep_epochs=False)
        if reader.warnings:
            raise RunError(
                f"the records of a run must be intact ({reader.warnings[0]}); restore or move the run folder"
            )
        return history

    @property
    def records_size(self) -> int:
        """Size of the records on disk, in bytes."""
        with reading(self.records_path):
            return self.records_path.stat().st_size if self.records_path.exists() else 0
