"""The status of runs: their jobs, the progress of each stage, and failures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sesame_hpc.choices import JOBS
from sesame_hpc.launch.failures import cause_of, last_message
from sesame_hpc.launch.finished import is_finished
from sesame_hpc.launch.ledger import LEDGER, JobRecord, Ledger
from sesame_hpc.launch.progress import Progress, read_records, stage_progress
from sesame_hpc.launch.queue import JobState
from sesame_hpc.launch.snapshot import JobSnapshot, snapshots_of
from sesame_hpc.launch.sweep import SWEEP, read_sweep
from sesame_hpc.run.energy import consumed_energy
from sesame_hpc.run.folder import RunFolder
from sesame_hpc.run.work import StageCost, jobs_of, stage_costs
from sesame_hpc.training.problems import run_notes, run_problems

__all__ = ["RunStatus", "StageStatus", "find_runs", "run_folders", "status_of"]

_NEVER = "DependencyNeverSatisfied"


@dataclass(frozen=True)
class StageStatus:
    """One stage; None stands for what is unknown or does not apply.

    `state` is SLURM's, None if the stage was not submitted and is not finished. `message` is why it
    failed or waits, or its own last message.
    """

    stage: str
    job: str | None
    state: str | None
    nodes: str | None
    restarts: int | None
    progress: Progress | None
    message: str | None
    log: str | None
    cost: StageCost | None = None

    @property
    def is_bad(self) -> bool:
        return self.state is not None and _has_failed(self.state)

    @property
    def is_active(self) -> bool:
        return self.state is not None and JobState("", self.state).is_active


@dataclass(frozen=True)
class RunStatus:
    """`problems` are sentences on damage, and on why training ended without success.

    `notes` are sentences on stages that diverged and went on or back, `unknown` those on what could
    not be determined.
    """

    run: Path
    stages: tuple[StageStatus, ...]
    unknown: tuple[str, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def current(self) -> StageStatus:
        """The stage to show: a running or failed one, else the next, else the last."""
        for wanted in (
            lambda stage: stage.state == "RUNNING",
            lambda stage: stage.is_bad,
            lambda stage: stage.state != "COMPLETED",
        ):
            for stage in self.stages:
                if wanted(stage):
                    return stage
        return self.stages[-1]

    @property
    def has_failed(self) -> bool:
        """Whether a job failed or was cancelled, or files are damaged."""
        return bool(self.problems) or any(stage.is_bad for stage in self.stages)

    @property
    def is_active(self) -> bool:
        """Whether any of its jobs is queued or running."""
        return any(stage.is_active and stage.state != "UNKNOWN" for stage in self.stages)


def run_folders(path: Path) -> list[Path]:
    """The run folders of a sweep's folder, or the run folder itself.

    Raises FileNotFoundError if it is neither.
    """
    points = read_sweep(path)
    if points:
        return [path / point.name for point in points]
    if not ((path / LEDGER).exists() or RunFolder(path).config_file.exists()):
        raise FileNotFoundError(
            f"{path} is not a run folder: it has no {LEDGER}, no {SWEEP} and no config.yaml"
        )
    return [path]


def find_runs(root: Path) -> list[Path]:
    """Run folders with jobs in `root` and in the sweeps in it, in alphabetical order."""
    ledgers = [*root.glob(f"*/{LEDGER}"), *root.glob(f"*/*/{LEDGER}")]
    return sorted(path.parent for path in ledgers)


def status_of(runs: Sequence[Path]) -> list[RunStatus]:
    """The status of each run, with one query of SLURM's queue and accounting for all."""
    snapshots = snapshots_of([Ledger(run) for run in runs])
    energy = consumed_energy(job for run in runs for job in jobs_of(run))
    return [_run_status(snapshot, energy) for snapshot in snapshots]


def _run_status(snapshot: JobSnapshot, energy: Mapping[str, float]) -> RunStatus:
    folder = RunFolder(snapshot.run)
    records = read_records(folder.metrics_file)
    costs = stage_costs(folder.path, records, energy)
    config = folder.config_or_none()
    stages = config.stages if config else None
    statuses = []
    for name in [job for job in JOBS if job == "report" or job in folder.stages]:
        epochs = getattr(stages, name).epochs if hasattr(stages, name) else 0
        progress = stage_progress(records, name, epochs)
        if name in snapshot.states:
            statuses.append(_submitted(snapshot, name, progress, costs.get(name)))
        else:
            state = "COMPLETED" if is_finished(folder, name) else None
            cost = costs.get(name)
            statuses.append(StageStatus(name, None, state, None, None, progress, None, None, cost))
    # A process that trains has held the files against their checksums; --watch need not each time.
    training = any(state.state == "RUNNING" for state in snapshot.states.values())
    problems = () if training else tuple(run_problems(folder))
    if config is None and folder.config_file.exists():
        problems = (
            f"{folder.config_file} is damaged; the command that started the run repairs it.",
        )
    notes = tuple(run_notes(records))
    return RunStatus(snapshot.run, tuple(statuses), snapshot.unknown, problems, notes)


def _submitted(
    snapshot: JobSnapshot, name: str, progress: Progress | None, cost: StageCost | None
) -> StageStatus:
    state, record = snapshot.states[name], snapshot.records[name]
    log = record.log(snapshot.run, 0)
    restarts = state.restarts
    return StageStatus(
        stage=name,
        job=record.job,
        state=state.state,
        nodes=state.nodes or None,
        restarts=_restarts(snapshot.run, record) if restarts is None else restarts,
        progress=progress,
        message=_words(snapshot, name, state, record),
        log=str(log) if log else None,
        cost=cost,
    )


def _words(snapshot: JobSnapshot, name: str, state: JobState, record: JobRecord) -> str | None:
    if state.state == "COMPLETED":
        return None
    if state.state == "PENDING" and not state.restarts:
        return _why_waiting(snapshot, state, record)
    if state.is_active and state.state != "UNKNOWN":
        return last_message(snapshot.run, record)
    before = _failed_before(snapshot, name)
    if state.state == "CANCELLED" and before and state.reason in (None, _NEVER):
        return f"cancelled, since {before} did not complete"
    if state.state == "PREEMPTED":
        return _DEFAULT_MESSAGES["PREEMPTED"]
    cause = cause_of(snapshot.run, record) or _DEFAULT_MESSAGES.get(state.state)
    return cause or (f"SLURM's reason: {state.reason}" if state.reason else None)


_DEFAULT_MESSAGES = {
    "CANCELLED": "cancelled",
    "NODE_FAIL": "one of its nodes failed",
    "OUT_OF_MEMORY": "it used more memory than requested (mem)",
    "PREEMPTED": "preempted, and SLURM does not start it again: submit it again to resume",
    "TIMEOUT": "it reached its time limit before it could save (time, signal_delay)",
}


def _has_failed(state: str) -> bool:
    """Whether a job in this state has ended, and not well."""
    return state != "COMPLETED" and not JobState("", state).is_active


def _failed_before(snapshot: JobSnapshot, name: str) -> str | None:
    """The earlier stage of the same chain that did not complete."""
    chain = [
        stage for stage, own in snapshot.submissions.items() if own == snapshot.submissions[name]
    ]
    for stage in chain[: chain.index(name)]:
        if _has_failed(snapshot.states[stage].state):
            return stage
    return None


def _why_waiting(snapshot: JobSnapshot, state: JobState, record: JobRecord) -> str | None:
    if state.reason == "Dependency" and record.dependency:
        awaited = record.dependency.partition(":")[2].split(",")[0]
        stages = [
            stage
            for stage, own in snapshot.records.items()
            if own.job and own.job.split("_")[0] == awaited
        ]
        return f"waits for {stages[0]}" if stages else f"waits for job {awaited}"
    start = f", expected to start at {state.start}" if state.start else ""
    return f"waits: {state.reason}{start}" if state.reason else None


def _restarts(run: Path, record: JobRecord) -> int | None:
    """From the run folder, if SLURM does not give it."""
    if record.job is None:
        return None
    counts = [
        int(start["slurm"].get("SLURM_RESTART_COUNT", 0))
        for start in RunFolder(run).starts()
        if _job_of(start["slurm"]) == record.job
    ]
    return max(counts, default=None)


def _job_of(slurm: dict[str, str]) -> str | None:
    if "SLURM_ARRAY_TASK_ID" in slurm:
        return f"{slurm['SLURM_ARRAY_JOB_ID']}_{slurm['SLURM_ARRAY_TASK_ID']}"
    return slurm.get("SLURM_JOB_ID")
