"""Checkpoints: a learner's state in one safetensors file, JSON values in its header. Nothing is pickled.

A file is named after its number and its content, ``000012-{first 32 digits of the SHA-256}.safetensors``. A file
that is torn, or of which a byte has changed, therefore contradicts its name. The newest two stay on disk.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lasem.errors import RunError
from lasem.files import StartHash, flush, parse_json, reading, write_atomically, writing
from lasem.learners import LearnerState
from lasem.runs._folder import RunFolder

SHARE = 40
"""A checkpoint is due once this many times the last write's duration has passed, so that writing takes under 3%."""

NAME = re.compile(r"(?P<number>\d{6,})-(?P<digest>[0-9a-f]{32})\.safetensors")


LEFTOVER = re.compile(r"\d{6,}-\w+\.safetensors\.new")
"""Name of the file to which a checkpoint is written, which a killed process leaves behind."""


class Damaged(Exception):
    """Raised for a file that is not a complete checkpoint, or that does not belong to these records."""


class RecordsChanged(Damaged):
    """Raised for a checkpoint whose records are not those that it was written for."""


UNREADABLE = (
    Damaged, SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, MemoryError
)  # fmt: skip
"""What reading a file may raise that is not a complete checkpoint, whoever has written it."""


@dataclass(frozen=True)
class Checkpoint:
    """A state from which a run can be resumed.

    Attributes:
        path: The file of the checkpoint.
        state: State of the learner.
        epoch: Number of epochs trained until then.
        records: Size of ``records.jsonl`` at that moment, in bytes.
        warnings: Why newer checkpoints were skipped.
    """

    path: Path
    state: LearnerState
    epoch: int
    records: int
    warnings: list[str] = field(default_factory=list)


class Checkpoints:
    """Writes the checkpoints of a run.

    Args:
        folder: The run folder.
        every: Number of epochs, or time, between checkpoints; with a number, one follows every task, too. 0 writes
            once `SHARE` times the last write's duration has passed.
        resumed: The checkpoint from which the run is resumed; None for a new run.
    """

    def __init__(self, folder: RunFolder, *, every: int | timedelta = 0, resumed: Checkpoint | None = None) -> None:
        self._folder = folder
        self._every = every
        self._epochs = 0
        self._cost = 0.0
        self._last = time.monotonic()
        self._records_hash = StartHash(folder.records_path)
        self.latest: tuple[int, Path] | None = (resumed.epoch, resumed.path) if resumed else None
        """Epoch and file of the last intact checkpoint; None before the first."""

    def due(self, *, epoch: bool = True) -> bool:
        """Return whether a checkpoint is due at the end of an epoch, or otherwise of a task."""
        waited = time.monotonic() - self._last
        if isinstance(self._every, timedelta):
            return waited >= self._every.total_seconds()
        if self._every:
            self._epochs += epoch
            return not epoch or self._epochs % self._every == 0
        return waited > SHARE * self._cost

    def write(self, state: LearnerState, *, epoch: int = 0) -> None:
        """Write a checkpoint, and delete all older ones but the last intact one.

        Args:
            state: State of the learner.
            epoch: Number of epochs trained until now.

        Raises:
            RunError: It cannot be written; the last intact checkpoint is still there.
        """
        start = time.monotonic()
        size = self._folder.records_size
        content = _encoded(state, epoch=epoch, records=size, records_sha256=self._records_hash.of(size))
        # a checkpoint counts the bytes of the records, so these must be on the disk before it is
        with writing(self._folder.records_path):
            flush(self._folder.records_path)
        number = max(map(_number, _files(self._folder)), default=0) + 1
        name = f"{number:06d}-{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
        path = self._folder.checkpoints_path / name
        write_atomically(path, content)
        intact = {path, self.latest[1] if self.latest else path}
        with writing(self._folder.checkpoints_path):
            for old in self._folder.checkpoints_path.iterdir():
                ours = NAME.fullmatch(old.name) or LEFTOVER.fullmatch(old.name)  # whatever else lies there stays
                if ours and old not in intact and old.is_file():
                    old.unlink(missing_ok=True)
        self.latest = (epoch, path)
        self._last = time.monotonic()
        self._cost = self._last - start


def read_checkpoint(folder: RunFolder) -> Checkpoint | None:
    """Read the newest intact checkpoint of a run; None where none was written.

    Raises:
        RunError: There are checkpoints, but none of them is intact, or their folder cannot be read.
    """
    faults: list[str] = []
    remedy = "restore one of them"
    for path in _files(folder):
        try:
            state, epoch, size = _decoded(path, folder)
        except RecordsChanged as error:
            faults.append(f"{path} does not fit {folder.records_path} ({error})")
            remedy = f"restore {folder.records_path}"
            continue
        except UNREADABLE as error:
            faults.append(f"{path} is damaged ({error or type(error).__name__})")
            continue
        warnings = [f"{fault}: the checkpoint before it is used, {path.name}" for fault in faults]
        return Checkpoint(path=path, state=state, epoch=epoch, records=size, warnings=warnings)
    if faults:
        aside = folder.set_aside
        found = f" (records that were set aside are in {aside[-1]})" if aside else ""
        raise RunError(
            f"at least one checkpoint must be intact ({'; '.join(faults)}); {remedy}{found}, or delete"
            f" {folder.checkpoints_path} to start the run anew"
        )
    return None


def _files(folder: RunFolder) -> list[Path]:
    """Return the files of checkpoints, the newest first.

    Raises:
        RunError: The folder exists and cannot be listed. A run whose checkpoints are out of reach, as on a disk that
            is not mounted, must not count as a run without checkpoints.
    """
    with reading(folder.checkpoints_path):
        try:
            names = os.listdir(folder.checkpoints_path)
        except FileNotFoundError:
            return []
    found = [folder.checkpoints_path / name for name in names if name.endswith(".safetensors")]
    return sorted(found, key=_number, reverse=True)


def _number(path: Path) -> int:
    """Return the number of a checkpoint from its file name, from 1; 0 for a file of another kind."""
    match = NAME.fullmatch(path.name)
    return int(match["number"]) if match else 0


def _encoded(state: LearnerState, **numbers: int | str) -> bytes:
    """Return a state as the bytes of a file."""
    strides = {name: value.stride() for name, value in state.tensors.items() if _ordered(value)}
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.tensors.items()}
    header = {"values": state.values, "strides": strides, **numbers}
    return save(tensors, metadata={key: json.dumps(value) for key, value in header.items()})


def _ordered(value: Tensor) -> bool:
    """Return whether a tensor is dense, in another order than the default, such as channels last."""
    return _dense(value, value.stride()) and value.stride() != torch.empty(value.shape, device="meta").stride()


def _dense(value: Tensor, stride: Sequence[int]) -> bool:
    """Return whether a tensor with these strides takes no more memory than its values."""
    return 1 + sum((size - 1) * step for size, step in zip(value.shape, stride, strict=True)) == value.numel()


def _decoded(path: Path, folder: RunFolder) -> tuple[LearnerState, int, int]:
    """Read state, epoch and size of the records from a file.

    Reading raises errors of its own kinds where the file does not contain a state, see `UNREADABLE`.

    Raises:
        Damaged: The content contradicts the name, or the records.
    """
    match = NAME.fullmatch(path.name)
    content = path.read_bytes()
    if match is None or match["digest"] != hashlib.sha256(content).hexdigest()[:32]:
        raise Damaged("its content has another SHA-256 than its name says")
    # the library opens only files whose path is UTF-8, so it gets the content
    tensors = load(content)
    whole = cast(dict[str, dict[str, str]], parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")]))
    header: dict[str, Any] = {key: parse_json(value) for key, value in whole["__metadata__"].items()}
    values, epoch, size = header["values"], header["epoch"], header["records"]
    if not isinstance(values, dict) or not all(type(number) is int and number >= 0 for number in (epoch, size)):
        raise Damaged("its header has values of another kind")
    for name, stride in header["strides"].items():
        value = tensors[name]
        if not all(type(step) is int and step >= 0 for step in stride) or not _dense(value, stride):
            raise Damaged(f"its header has strides {stride} for a tensor of shape {tuple(value.shape)}")
        tensors[name] = torch.empty_strided(value.shape, stride, dtype=value.dtype).copy_(value)
    _check_records(folder, size, header.get("records_sha256"))
    return LearnerState(tensors=tensors, values=values), epoch, size


def _check_records(folder: RunFolder, size: int, sha256: object) -> None:
    """Compare the records with those that a checkpoint was written for; checkpoints of old versions have no hash.

    Raises:
        Damaged: The records are shorter than they were.
        RecordsChanged: They are other records.
    """
    if folder.records_size < size:
        raise Damaged(f"it continues {size} bytes of records, records.jsonl has {folder.records_size}")
    if sha256 is not None and StartHash(folder.records_path).of(size) != sha256:
        raise RecordsChanged(f"the first {size} bytes have changed since then")
