"""The events of a run for Weights & Biases, without a network."""

import shutil
from collections.abc import Mapping
from typing import Any

from lasem.extras import require_packages
from lasem.runs._sink import RunStart
from lasem.runs.sinks._tracker import PROJECT, AbstractTracker, settings, title


class WandbLog(AbstractTracker):
    """Writes a run's numbers for Weights & Biases into ``<run folder>/wandb``; nothing is sent.

    Whenever the run starts or resumes, the files of earlier attempts are replaced by one with the whole history.
    ``wandb sync <run folder>/wandb/offline-run-*`` uploads them, always as the same run.

    Raises:
        RunError: The package wandb is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        require_packages("wandb", what="Weights & Biases")
        self._run: Any = None

    def _open(self, start: RunStart) -> None:
        import wandb

        name = start.folder.name
        for earlier in (start.folder / "wandb").glob(f"offline-run-*-{name}"):
            shutil.rmtree(earlier)
        quiet = wandb.Settings(
            silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True, x_disable_meta=True
        )
        self._run = wandb.init(
            project=PROJECT,
            id=name,
            name=title(start.spec),
            group=start.spec.name,
            dir=start.folder,
            config=settings(start.spec),
            mode="offline",
            reinit="create_new",  # several runs can be open in one process
            settings=quiet,
        )

    def _log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def _close(self, *, completed: bool) -> None:
        self._run.finish(exit_code=0 if completed else 1)
