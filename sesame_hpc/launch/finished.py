"""Which jobs of a run are finished, by the results in its folder."""

from sesame_hpc.run.folder import RunFolder

__all__ = ["EVALUATION", "is_finished"]

EVALUATION = "evaluation.json"


def is_finished(folder: RunFolder, job: str) -> bool:
    """Whether a stage is finished, or the report is newer than the network of the last stage.

    Nothing is left to do for a stage that the run does not have.
    """
    if job == "report":
        return _is_evaluated(folder)
    return folder.is_finished(job) or job not in folder.stages


def _is_evaluated(folder: RunFolder) -> bool:
    evaluation, weights = folder.path / EVALUATION, folder.weights(folder.last_stage)
    if not (evaluation.exists() and weights.exists()):
        return False
    return evaluation.stat().st_mtime >= weights.stat().st_mtime
