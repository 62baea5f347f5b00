"""The shell functions by which batch scripts requeue their job.

`source "$(python -m sesame_hpc.launch.batch_script)"` defines them; slurm/train.sbatch shows their
use.
"""

from pathlib import Path

__all__ = ["BATCH_REQUEUE"]

BATCH_REQUEUE = Path(__file__).with_name("batch_requeue.sh")

if __name__ == "__main__":
    print(BATCH_REQUEUE)
