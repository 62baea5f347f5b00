"""What a signal does to a process that listens, and to its children."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import subprocess, sys, time
from sesame_hpc.distributed.interruption import Stop, listen, requested

listen()
assert "torch" not in sys.modules
child = subprocess.Popen(["sleep", "60"])
assert requested() is Stop.NOTHING
print("ready", flush=True)
while requested() is Stop.NOTHING:
    time.sleep(0.01)
print(requested().name, child.poll(), flush=True)
time.sleep({linger})
child.kill()
"""


def start(linger: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(linger=linger)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("number", "wish"), [(signal.SIGUSR2, "PAUSE None"), (signal.SIGTERM, "END ")]
)
def test_a_signal_is_kept_as_a_wish(number: signal.Signals, wish: str) -> None:
    """USR2 goes to the whole session, as SLURM sends it; the child must outlive it."""
    process = start(linger=0.2)
    subprocess.run(["kill", f"-{number.value}", "--", f"-{process.pid}"], check=True)
    output, _ = process.communicate(timeout=20)
    assert output.startswith(wish)
    assert process.returncode == 0


def test_a_second_sigterm_ends_at_once() -> None:
    process = start(linger=60)
    process.terminate()
    assert process.stdout is not None
    assert process.stdout.readline().startswith("END")
    process.terminate()
    assert process.wait(timeout=20) == -signal.SIGTERM
    subprocess.run(["kill", "-9", "--", f"-{process.pid}"], check=False)
