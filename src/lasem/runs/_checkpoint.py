"""Checkpoints: a learner's state in one safetensors file, JSON values in its header. Nothing is pickled.

A file is named after its number and its content, ``000012-{first 32 digits of the SHA-256}.safetensors``. A file
that is torn, or of which a byte has changed, therefore contradicts its name. The newest two stay on disk.
"""

import hashlib
import json
import re
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lasem.errors import RunError
from lasem.files import flush, write_atomically, writing
from lasem.learners import LearnerState
from lasem.runs._folder import RunFolder

SHARE = 40
"""A checkpoint is due once this many times the last write's duration has passed, so that writing takes under 3%."""

NAME = re.compile(r"(?P<number>\d{6,})-(?P<digest>[0-9a-f]{32})\.safetensors")


class Damaged(Exception):
    """Raised for a file that is not a complete checkpoint, or that does not belong to these records."""


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
        content = _encoded(state, epoch=epoch, records=self._folder.records_size)
        # a checkpoint counts the bytes of the records, so these must be on the disk before it is
        with writing(self._folder.records_path):
            flush(self._folder.records_path)
        number = max(map(_number, _files(self._folder)), default=0) + 1
        name = f"{number:06d}-{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
        path = self._folder.checkpoints_path / name
        write_atomically(path, content)
        intact = {path, self.latest[1] if self.latest else path}
        for old in self._folder.checkpoints_path.iterdir():
            if old not in intact:
                old.unlink(missing_ok=True)
        self.latest = (epoch, path)
        self._last = time.monotonic()
        self._cost = self._last - start


def read_checkpoint(folder: RunFolder) -> Checkpoint | None:
    """Read the newest intact checkpoint of a run; None where none was written.

    Raises:
        RunError: There are checkpoints, but none of them is intact.
    """
    faults: list[str] = []
    for path in _files(folder):
        try:
            state, epoch, size = _decoded(path)
            if folder.records_size < size:
                raise Damaged(f"it continues {size} bytes of records, records.jsonl has {folder.records_size}")
        except (Damaged, SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            faults.append(f"{path} is damaged ({error})")
            continue
        warnings = [f"{fault}: the checkpoint before it is used, {path.name}" for fault in faults]
        return Checkpoint(path=path, state=state, epoch=epoch, records=size, warnings=warnings)
    if faults:
        raise RunError(
            f"at least one checkpoint must be intact ({'; '.join(faults)}); restore one of them, or delete"
            f" {folder.checkpoints_path} to start the run anew"
        )
    return None


def _files(folder: RunFolder) -> list[Path]:
    """Return the files of checkpoints, the newest first."""
    return sorted(folder.checkpoints_path.glob("*.safetensors"), key=_number, reverse=True)


def _number(path: Path) -> int:
    """Return the number of a checkpoint from its file name, from 1; 0 for a file of another kind."""
    match = NAME.fullmatch(path.name)
    return int(match["number"]) if match else 0


def _encoded(state: LearnerState, *, epoch: int, records: int) -> bytes:
    """Return a state as the bytes of a file."""
    strides = {name: value.stride() for name, value in state.tensors.items() if _ordered(value)}
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.tensors.items()}
    header = {"values": state.values, "strides": strides, "epoch": epoch, "records": records}
    return save(tensors, metadata={key: json.dumps(value) for key, value in header.items()})


def _ordered(value: Tensor) -> bool:
    """Return whether a tensor is dense, in another order than the default, such as channels last."""
    extent = 1 + sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
    return extent == value.numel() and value.stride() != torch.empty(value.shape, device="meta").stride()


def _decoded(path: Path) -> tuple[LearnerState, int, int]:
    """Read state, epoch and size of the records from a file.

    Reading raises errors of its own kinds where the file does not contain a state.

    Raises:
        Damaged: The content contradicts the name.
    """
    match = NAME.fullmatch(path.name)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if match is None or match["digest"] != digest[:32]:
        raise Damaged("its content has another SHA-256 than its name says")
    with safe_open(path, framework="pt", device="cpu") as file:
        header = {key: json.loads(value) for key, value in file.metadata().items()}
        tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, stride in header["strides"].items():
        value = tensors[name]
        tensors[name] = torch.empty_strided(value.shape, stride, dtype=value.dtype).copy_(value)
    return LearnerState(tensors=tensors, values=header["values"]), header["epoch"], header["records"]
