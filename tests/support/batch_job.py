"""A job at the end of its batch script, beside commands of SLURM that answer as they are told."""

import os
import subprocess
from pathlib import Path

from sesame_hpc.launch.batch_script import BATCH_REQUEUE

__all__ = ["AWAY", "REFUSED", "RUNNING", "Job"]

RUNNING = "JobId=17 JobName=wrap JobState=RUNNING Restarts=0 PreemptTime=None Requeue=1"
AWAY = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
REFUSED = "Requested operation is presently disabled for job 17"
COMMAND = """#!/bin/bash
# The first file NAME.VERB.1, .2, ... is the answer, and the last again; .bad ones are failures, and
# .killed ones end by a signal, which all shells that wait for the answer get as well.
echo "$0 $*" >> "$PLACE/asked"
for word in "$@"; do [[ $word == -* ]] || {{ verb=$word; break; }}; done
answers=("$PLACE/{name}.${{verb:-}}".*)
[[ -e ${{answers[0]}} ]] || exit 0
cat "${{answers[0]}}"
bad=${{answers[0]}}
((${{#answers[@]}} == 1)) || rm "$bad"
if [[ $bad == *.killed ]]; then
  doomed=($$)
  for ((pid = PPID; pid != $(< "$PLACE/pid"); )); do
    doomed+=("$pid")
    pid=$(cut -d' ' -f4 "/proc/$pid/stat")
  done
  kill -TERM "${{doomed[@]}}"
fi
[[ $bad != *.bad ]]
"""


class Job:
    """Job 17, whose batch script is at its end."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for name in ("scontrol", "sbatch", "squeue"):
            (place / name).write_text(COMMAND.format(name=name))
        (place / "sleep").write_text("#!/bin/sh\n")
        for name in ("scontrol", "sbatch", "squeue", "sleep"):
            (place / name).chmod(0o755)
        self.logs = place / "logs"
        self.logs.mkdir()

    def answers(self, command: str, verb: str, *texts: str) -> None:
        """What `command verb` says at each call; a text that begins with ! is an error, and at one
        that begins with ^ a signal ends the command."""
        for old in self.place.glob(f"{command}.{verb}.*"):
            old.unlink()
        for number, text in enumerate(texts):
            kind = {"!": ".bad", "^": ".killed"}.get(text[0], "")
            path = self.place / f"{command}.{verb}.{number}{kind}"
            path.write_text(text.lstrip("!^") + "\n")

    def end(
        self,
        code: int,
        asks: bool = False,
        bad: tuple[str, ...] = (),
        before: str = "",
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a batch script whose srun ends with `code`, having asked for a requeue or not, and
        found the nodes `bad` faulty; `before` are lines in the place of srun."""
        own = {
            "PATH": f"{self.place}:/usr/bin:/bin",
            "PLACE": str(self.place),
            "SLURM_JOB_ID": "17",
            "SLURM_SUBMIT_DIR": str(self.place),
            "SESAME_JOB_FOLDER": str(self.logs),
        }
        ask = before + ("touch $SESAME_REQUEUE_FILE\n" if asks else "")
        for rank, node in enumerate(bad):
            ask += f"echo {node} > $SESAME_REQUEUE_FILE.bad.{rank}\n"
        script = self.place / "slurm_script"
        script.write_text(
            f'echo $$ > "$PLACE/pid"\nsource {BATCH_REQUEUE}\n'
            f"{ask}sesame_follow_up {code}\necho came back\n"
        )
        clean = {key: text for key, text in os.environ.items() if not key.startswith("S")}
        ended = subprocess.run(
            ["bash", str(script)],
            env=clean | own | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.stdout == ""
        return ended

    @property
    def asked(self) -> list[str]:
        """The commands that were run, without those that only look."""
        path = self.place / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        plain = [line.replace(f"{self.place}/", "") for line in lines]
        return [line for line in plain if " show job " not in line and "squeue" not in line]
