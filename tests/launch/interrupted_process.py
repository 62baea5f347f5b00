"""A run that is interrupted at once: python interrupted_process.py RUN STEP PAUSE|END|LOST|FAULT.

Its stage has STEPS steps, where that variable is set.
"""

import json
import os
import sys
from pathlib import Path

from sesame_hpc.distributed.interruption import Interrupted, RanksLost, Stop
from sesame_hpc.launch.requeue import requeue_when_saved


def main() -> None:
    run, step, why = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

    def train() -> None:
        folder = run / "checkpoints" / "pretrain"
        folder.mkdir(parents=True, exist_ok=True)
        of = {"steps": int(os.environ["STEPS"])} if "STEPS" in os.environ else {}
        (folder / "latest.json").write_text(json.dumps({"tag": f"step-{step:08d}", **of}))
        if why == "LOST":
            raise RanksLost("rank 1 (node n1) is lost: no response", leads=True)
        if why == "FAULT":
            raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
        raise Interrupted("pretrain", step, Stop[why])

    with requeue_when_saved(run):
        train()


if __name__ == "__main__":
    main()
