"""Commands with an output, each where it cannot be: what they say, and with which code they end.

`python refused_outputs.py CASES.json` runs them without root's right to pass over permissions, and
prints what came of them as JSON.
"""

import contextlib
import ctypes
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["commands", "obey_permissions", "run_here"]


def commands(out: Path, run: Path, faces: Path, config: Path) -> dict[str, list[str]]:
    """Each command with `out` as what it is to write."""
    return {
        "train": ["train", str(config), f"output={out}"],
        "report": ["report", str(run), "--out", str(out)],
        "predict": ["predict", str(run), str(faces), "--out", str(out)],
        "export": ["export", str(run), "--to", "onnx", "--out", str(out)],
        "eval --json": ["eval", str(run), "--data", str(faces), "--json", str(out)],
        "eval --csv": ["eval", str(run), "--data", str(faces), "--csv", str(out)],
        "doctor": ["doctor", "--json", str(out)],
        "data export": ["data", "export", str(faces), str(out), "--to", "csv"],
        "data pack": ["data", "pack", str(faces), str(out)],
        "data show": ["data", "show", str(faces), "--out", str(out)],
        "data check": ["data", "check", str(faces), "--json", str(out)],
        "synth": ["data", "synth", "--out", str(out), "--train", "1", "--test", "0"],
    }


def run_here(arguments: Sequence[str]) -> tuple[int, str]:
    """Exit code, and what went to standard error; a traceback is code 1."""
    from sesame_hpc.cli.main import main

    before, sys.argv = sys.argv, ["sesame", *arguments]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            main()
    except SystemExit as end:
        return int(end.code or 0), said.getvalue()
    except Exception as error:
        return 1, f"Traceback: {error!r}"
    finally:
        sys.argv = before
    return 0, said.getvalue()


def obey_permissions() -> None:
    """Give up the capabilities DAC_OVERRIDE and DAC_READ_SEARCH of this process, if it has them."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    for index in range(3):
        sets[index] &= ~0b110
    assert libc.capset(header, sets) == 0


if __name__ == "__main__":
    obey_permissions()
    cases = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps([run_here(arguments) for arguments in cases]))
