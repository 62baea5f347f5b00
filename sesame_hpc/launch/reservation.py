"""One submission of a run at a time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sesame_hpc.launch.plan import Plan, refuse_active
from sesame_hpc.lease import Lease
from sesame_hpc.run.settings import check_config

__all__ = ["reserved"]

_LOCK = ".submit.lock"


@contextmanager
def reserved(plan: Plan) -> Iterator[list[Path]]:
    """Within it, no other process submits jobs of the plan's runs, also not from another node.

    What `make_plan` checked is checked again: another process may have submitted since. Gives the
    folders of the plan that were not there before.

    Raises ValueError where another process submits one of the runs (FolderBusy), has submitted it,
    or has begun it with another config. Folders that were made are then removed again.
    """
    folders = [run.folder.path for run in plan.runs]
    new = [path for path in (plan.output, *folders) if not path.exists()]
    with ExitStack() as leases:
        try:
            for folder in sorted(set(folders)):
                leases.enter_context(Lease(folder, "submitting jobs of", _LOCK))
            for run in plan.runs:
                check_config(run.folder, run.config)
            refuse_active(folders)
        except BaseException:
            leases.close()
            for path in reversed(new):
                with suppress(OSError):
                    path.rmdir()
            raise
        yield new
