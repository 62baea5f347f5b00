"""Which jobs of a run are finished, by the results in its folder."""

from sesame_hpc.run.folder import RunFolder

__all__ = ["EVALUATION", "is_finished"]

EVALUATION = "evaluation.json"


def is_finished(folder: RunFolder, job: str) -> bool:
    """Whether a stage is finished, or the report is newer than the network of finetune."""
    return _is_evaluated(folder) if job == "report" else folder.result(job) is not None


def _is_evaluated(folder: RunFolder) -> bool:
    evaluation, weights = folder.path / EVALUATION, folder.weights("finetune")
    if not (evaluation.exists() and weights.exists()):
        return False
    return evaluation.stat().st_mtime >= weights.stat().st_mtime
