"""The events of a run for trackio."""

import io
import os
from collections.abc import Mapping
from contextlib import redirect_stdout, suppress
from typing import Any

from lasem.errors import RunError
from lasem.extras import require_packages
from lasem.runs._sink import RunStart
from lasem.runs.sinks._tracker import PROJECT, AbstractTracker, settings

REMOTE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")
"""Environment variables that let trackio send numbers away, where no earlier attempt can be replaced."""


class TrackioLog(AbstractTracker):
    """Writes a run's numbers into the database of trackio on this machine, as project ``lasem``.

    ``trackio show --project lasem`` shows them. Whenever the run starts or resumes, its earlier attempts are replaced
    by one with the whole history.

    Raises:
        RunError: The package trackio is not installed, or numbers would be sent elsewhere.
    """

    def __init__(self) -> None:
        super().__init__()
        require_packages("trackio", what="trackio")
        remote = next((name for name in REMOTE if os.environ.get(name)), None)
        if remote is not None:
            raise RunError(
                f"numbers must be written on this machine (got {remote}={os.environ[remote]}); remove the variable, and"
                " upload afterwards by trackio sync"
            )
        self._run: Any = None

    def _open(self, start: RunStart) -> None:
        import trackio

        name = start.folder.name
        with suppress(ValueError):  # there is no such project yet
            for run in trackio.Api().runs(PROJECT):
                if run.name == name:
                    run.delete()
        with redirect_stdout(io.StringIO()):
            self._run = trackio.init(
                project=PROJECT,
                name=name,
                group=start.spec.name,
                config=settings(start.spec),
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )

    def _log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def _close(self, *, completed: bool) -> None:
        import trackio

        with redirect_stdout(io.StringIO()):
            trackio.finish()
