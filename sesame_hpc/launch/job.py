"""What a job does on each of its ranks. Small, and picklable by its import path."""

import os
from dataclasses import dataclass
from pathlib import Path

from sesame_hpc.compile_caches import keep_caches_on_the_node
from sesame_hpc.process import set_process_defaults

__all__ = ["StageJob"]


@dataclass(frozen=True)
class StageJob:
    """One stage of the run in the folder `run`, or its report.

    Does nothing for a stage that the run does not have: other runs of an array have it.
    """

    run: str
    stage: str

    def __call__(self) -> None:
        """Join the other ranks and run the stage; a signal saves and requeues it."""
        from sesame_hpc.launch.failures import recorded
        from sesame_hpc.launch.ranks import join_slurm_step, local_rank_environment
        from sesame_hpc.launch.requeue import requeue_when_saved

        set_process_defaults()
        keep_caches_on_the_node(os.environ)
        os.environ.update(local_rank_environment(os.environ))
        with recorded(Path(self.run), self.stage):
            join_slurm_step(os.environ)
            with requeue_when_saved(Path(self.run)):
                self._run()

    def _run(self) -> None:
        from sesame_hpc.launch.evaluation import evaluate_and_report
        from sesame_hpc.run.folder import RunFolder
        from sesame_hpc.stages.train import train as train_run

        folder = RunFolder(Path(self.run))
        if self.stage == "report":
            evaluate_and_report(folder)
        elif self.stage in folder.stages:
            train_run(folder.config(), only=self.stage)
