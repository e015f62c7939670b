"""The events of a run for MLflow."""

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from filelock import FileLock

from lasem.extras import require_packages
from lasem.files import writing
from lasem.runs._sink import RunStart
from lasem.runs.sinks._tracker import PROJECT, AbstractTracker, settings, title

TAG = "lasem_run"
"""Tag by which the run of a folder is found again."""

MOST_PARAMETERS, LONGEST_PARAMETER = 100, 500
"""Most settings that MLflow takes at once, and most characters of one."""


class MlflowLog(AbstractTracker):
    """Writes a run's numbers for MLflow, into the folder ``mlruns`` beside the run folder.

    The environment variable MLFLOW_TRACKING_URI names another store, or a server. A run that resumes goes on in the
    same MLflow run, and only what is not there yet is added. A run that starts anew replaces the one of its name.

    Raises:
        RunError: The package mlflow is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        require_packages("mlflow", what="MLflow")
        self._client: Any = None
        self._id = ""
        self._known: dict[str, set[int]] = {}

    def _open(self, start: RunStart) -> None:
        # MLflow prefers databases by now; a folder needs no further package, and can be copied with the runs.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow.tracking import MlflowClient

        folder = start.folder.resolve()
        store = folder.parent / "mlruns"
        self._client = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or store.as_uri())
        with writing(store), FileLock(folder.parent / ".mlruns.lock"):  # two processes would make two experiments
            found = self._client.get_experiment_by_name(PROJECT)
            experiment = self._client.create_experiment(PROJECT) if found is None else found.experiment_id
        earlier = self._client.search_runs([experiment], f"tags.{TAG} = '{folder.name}'")
        continued = earlier[:1] if start.resumed or start.finished else []
        for run in earlier[len(continued) :]:
            self._client.delete_run(run.info.run_id)
        if continued:
            self._id = continued[0].info.run_id
            self._known = {name: self._steps(name) for name in continued[0].data.metrics}
            self._client.update_run(self._id, status="RUNNING")
        else:
            self._id = self._create(experiment, start)

    def _create(self, experiment: str, start: RunStart) -> str:
        from mlflow.entities import Param

        name = title(start.spec)
        run = self._client.create_run(experiment, run_name=name, tags={TAG: start.folder.name})
        parameters = [Param(key, str(value)[:LONGEST_PARAMETER]) for key, value in _flat(settings(start.spec))]
        for first in range(0, len(parameters), MOST_PARAMETERS):
            self._client.log_batch(run.info.run_id, params=parameters[first : first + MOST_PARAMETERS])
        return run.info.run_id

    def _steps(self, name: str) -> set[int]:
        return {metric.step for metric in self._client.get_metric_history(self._id, name)}

    def _log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        new = {name: value for name, value in values.items() if step not in self._known.get(name, ())}
        if new:
            metrics = [Metric(name, value, now, step) for name, value in new.items()]
            self._client.log_batch(self._id, metrics=metrics)

    def _close(self, *, completed: bool) -> None:
        self._client.set_terminated(self._id, "FINISHED" if completed else "KILLED")


def _flat(table: Mapping[str, Any], *, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested tables with names such as ``training.epochs``."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, prefix=f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
