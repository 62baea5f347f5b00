"""What a signal does to a process that listens, and to its children."""

import os
import pty
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
    ("number", "wish"),
    [
        (signal.SIGUSR1, "PAUSE None"),
        (signal.SIGUSR2, "PAUSE None"),
        (signal.SIGTERM, "END "),
        (signal.SIGINT, "END "),
        (signal.SIGHUP, "END "),
    ],
)
def test_a_signal_is_kept_as_a_wish(number: signal.Signals, wish: str) -> None:
    """It goes to the whole session, as SLURM sends it; a child must outlive USR1 and USR2."""
    process = start(linger=0.2)
    subprocess.run(["kill", f"-{number.value}", "--", f"-{process.pid}"], check=True)
    output, _ = process.communicate(timeout=120)
    assert output.startswith(wish)
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_one_ends_at_once(number: signal.Signals) -> None:
    process = start(linger=60)
    process.send_signal(number)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("END")
    process.send_signal(number)
    assert process.wait(timeout=120) == -number
    subprocess.run(["kill", "-9", "--", f"-{process.pid}"], check=False)


def test_what_nohup_ignores_stays_ignored() -> None:
    program = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from sesame_hpc.distributed.interruption import listen, requested\n"
        "listen(); signal.raise_signal(signal.SIGHUP); print(requested().name)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout == "NOTHING\n", ended.stderr


def test_a_second_call_keeps_what_was_requested() -> None:
    program = (
        "import signal; from sesame_hpc.distributed.interruption import listen, requested\n"
        "listen(); signal.raise_signal(signal.SIGINT); listen(); print(requested().name)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout == "END\n", ended.stderr
    assert ended.stderr == "\nsesame: saving at the end of this step; Ctrl-C again ends at once\n"


def test_a_lost_terminal_is_written_to_no_more() -> None:
    """After SIGHUP, printing to it would be an error in the middle of a step."""
    program = (
        "import os, sys, time\n"
        "from sesame_hpc.distributed.interruption import listen, requested\n"
        "listen(); print('ready', flush=True)\n"
        "while not requested(): time.sleep(0.01)\n"
        "for _ in range(3): print(requested().name, flush=True)\n"
        "os.write(int(sys.argv[1]), b'went on')"
    )
    reading, writing = os.pipe()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(writing)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        pass_fds=[writing],
        start_new_session=True,
    )
    os.close(theirs)
    os.close(writing)
    assert os.read(ours, 100).startswith(b"ready")
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=120) == 0
    assert os.read(reading, 100) == b"went on"
    os.close(reading)
