"""Checkpoints: a learner's state in one safetensors file, JSON values in its header. Nothing is pickled.

A file is named after its number and its content, ``000012-{first 32 digits of the SHA-256}.safetensors``, so that one
that is torn, or of which a byte has changed, is not what its name says. The newest two are kept.
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
"""A checkpoint is written once this many times the last write's duration has passed: under 3% of a run."""

NAME = re.compile(r"(?P<number>\d{6,})-(?P<digest>[0-9a-f]{32})\.safetensors")


class Damaged(Exception):
    """A file is not a whole checkpoint, or not one of these records."""


@dataclass(frozen=True)
class Checkpoint:
    """A place to go on from.

    Attributes:
        path: Its file.
        state: Of the learner.
        epoch: Epochs trained until then.
        records: Size in bytes of the records that it continues.
        warnings: Why newer checkpoints were passed over.
    """

    path: Path
    state: LearnerState
    epoch: int
    records: int
    warnings: list[str] = field(default_factory=list)


class Checkpoints:
    """Writes the checkpoints of a run.

    Args:
        folder: Of the run.
        every: Write after so many epochs and every task, or once so much time has passed; 0 = once `SHARE` times the
            last write's duration has passed.
        resumed: The checkpoint that the run goes on from; None from the start.
    """

    def __init__(self, folder: RunFolder, *, every: int | timedelta = 0, resumed: Checkpoint | None = None) -> None:
        self._folder = folder
        self._every = every
        self._epochs = 0
        self._cost = 0.0
        self._last = time.monotonic()
        self.latest: tuple[int, Path] | None = (resumed.epoch, resumed.path) if resumed else None
        """Epoch and file of the last good one; None before the first."""

    def due(self, *, epoch: bool = True) -> bool:
        """Whether a checkpoint is due, at the end of an epoch or else of a task."""
        waited = time.monotonic() - self._last
        if isinstance(self._every, timedelta):
            return waited >= self._every.total_seconds()
        if self._every:
            self._epochs += epoch
            return not epoch or self._epochs % self._every == 0
        return waited > SHARE * self._cost

    def write(self, state: LearnerState, *, epoch: int = 0) -> None:
        """Write one more, and keep the last good one beside it.

        Args:
            state: Of the learner.
            epoch: Epochs trained until now.

        Raises:
            RunError: It cannot be written; the last good one is still there.
        """
        start = time.monotonic()
        content = _encoded(state, epoch=epoch, records=self._folder.records_size)
        with writing(self._folder.records_path):
            flush(self._folder.records_path)
        number = max(map(_number, _files(self._folder)), default=0) + 1
        name = f"{number:06d}-{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
        path = self._folder.checkpoints_path / name
        write_atomically(path, content)
        kept = {path, self.latest[1] if self.latest else path}
        for old in self._folder.checkpoints_path.iterdir():
            if old not in kept:
                old.unlink(missing_ok=True)
        self.latest = (epoch, path)
        self._last = time.monotonic()
        self._cost = self._last - start


def read_checkpoint(folder: RunFolder) -> Checkpoint | None:
    """Read the newest whole checkpoint of a run; None where none was written.

    Raises:
        RunError: None of them is whole.
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
            f"a run goes on from a whole checkpoint - {'; '.join(faults)} - restore one of them, or delete"
            f" {folder.checkpoints_path} to start the run anew"
        )
    return None


def _files(folder: RunFolder) -> list[Path]:
    """Files of checkpoints, the newest first."""
    return sorted(folder.checkpoints_path.glob("*.safetensors"), key=_number, reverse=True)


def _number(path: Path) -> int:
    """Which checkpoint of the run a file holds, from 1; 0 for a file of another kind."""
    match = NAME.fullmatch(path.name)
    return int(match["number"]) if match else 0


def _encoded(state: LearnerState, *, epoch: int, records: int) -> bytes:
    """A state as the bytes of a file."""
    strides = {name: value.stride() for name, value in state.tensors.items() if _ordered(value)}
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.tensors.items()}
    header = {"values": state.values, "strides": strides, "epoch": epoch, "records": records}
    return save(tensors, metadata={key: json.dumps(value) for key, value in header.items()})


def _ordered(value: Tensor) -> bool:
    """Whether a tensor is dense, in another order than the default, such as channels last."""
    extent = 1 + sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
    return extent == value.numel() and value.stride() != torch.empty(value.shape, device="meta").stride()


def _decoded(path: Path) -> tuple[LearnerState, int, int]:
    """State, epoch and size of the records.

    Raises:
        Damaged: The file is not what its name says; what reading raises, where it does not hold a state.
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
