"""Checkpoints: a learner's state in one safetensors file, JSON values in its header. Nothing is pickled."""

import json
import time
from dataclasses import dataclass

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from lasem.errors import RunError
from lasem.experiments._folder import RunFolder, write_atomically
from lasem.learners import LearnerState

SHARE = 40
"""A checkpoint is written once this many times the last write's duration has passed: under 3% of a run."""


@dataclass
class Checkpoints:
    """Writes the checkpoints of a run.

    Attributes:
        folder: Where they go.
        every: Write after so many epochs; 0 = as often as costs under 3% of the time.
    """

    folder: RunFolder
    every: int = 0

    def __post_init__(self) -> None:
        self._epochs = 0
        self._cost = 0.0
        self._last = time.monotonic()

    def due(self) -> bool:
        """Count an epoch; whether a checkpoint is due after it."""
        self._epochs += 1
        if self.every:
            return self._epochs % self.every == 0
        return time.monotonic() - self._last > SHARE * self._cost

    def write(self, state: LearnerState) -> None:
        """Replace the checkpoint."""
        start = time.monotonic()
        tensors = {name: value.detach().cpu().contiguous() for name, value in state.tensors.items()}
        header = {"values": json.dumps(state.values), "records": str(self.folder.records_size)}
        write_atomically(self.folder.checkpoint_path, save(tensors, metadata=header))
        self._last = time.monotonic()
        self._cost = self._last - start


def read_checkpoint(folder: RunFolder) -> tuple[LearnerState, int] | None:
    """Read a run's checkpoint and the size of the records it continues; None where there is none.

    Raises:
        RunError: It is damaged.
    """
    if not folder.checkpoint_path.exists():
        return None
    try:
        with safe_open(folder.checkpoint_path, framework="pt", device="cpu") as file:
            header = file.metadata()
            tensors: dict[str, torch.Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        values = json.loads(header["values"])
        return LearnerState(tensors=tensors, values=values), int(header["records"])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"a checkpoint is a whole safetensors file - {folder.checkpoint_path} is not: {error}"
            " - delete it to start the run anew"
        ) from None
