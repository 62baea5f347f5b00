"""MLflow: one run for all stages, which later processes continue."""

import time
from collections.abc import Mapping

from mlflow.entities import Metric
from mlflow.entities import Param as MLflowParam
from mlflow.tracking import MlflowClient

from sesame_hpc.config import MLflowConfig
from sesame_hpc.tracking.tracker import Image, Status, TrackedRun

__all__ = ["MLflowTracker"]

_STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
_PARAMS_AT_ONCE = 100


class MLflowTracker:
    """Steps count from 1 in each stage, whose name begins those of its metrics."""

    def __init__(self, settings: MLflowConfig) -> None:
        self._settings = settings
        self._client = MlflowClient(settings.tracking_uri)
        self._run_id = ""

    def start(self, run: TrackedRun) -> str:
        if run.run_id is not None:
            self._run_id = run.run_id
            self._client.update_run(self._run_id, status="RUNNING")
            return self._run_id
        name = self._settings.experiment_name
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self._client.create_experiment(name)
        self._run_id = self._client.create_run(experiment, run_name=run.name).info.run_id
        params = [MLflowParam(key, str(value)) for key, value in run.params.items()]
        for first in range(0, len(params), _PARAMS_AT_ONCE):
            some = params[first : first + _PARAMS_AT_ONCE]
            self._client.log_batch(self._run_id, params=some)
        return self._run_id

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        batch = [Metric(key, value, now, step) for key, value in metrics.items()]
        self._client.log_batch(self._run_id, metrics=batch)

    def log_image(self, key: str, image: Image, step: int) -> None:
        self._client.log_image(self._run_id, image, key=key, step=step)

    def rewind(self, stage: str, step: int) -> None:
        """MLflow keeps what was undone; what is trained again is logged beside it."""

    def finish(self, status: Status) -> None:
        self._client.set_terminated(self._run_id, _STATUS[status])
