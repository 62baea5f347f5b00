"""Names from other people's files on the terminal."""

import ast
import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from sesame_hpc.cli.errors import message
from sesame_hpc.console import SafeConsole
from sesame_hpc.printable import printable
from sesame_hpc.stages.tables import print_figures

PACKAGE = Path(__file__).parents[1] / "sesame_hpc"
DOORS = {"printable.py", "console.py"}
FOR_SHELLS = {"launch/batch_script.py"}  # prints the path of a file of this package, to a shell

HOSTILE = "[/b][red]a\x1b]0;owned\x1b[2J\x9b\u202egpj.exe\udce9"
SHOWN = r"[/b][red]a\x1b]0;owned\x1b[2J\x9b\u202egpj.exe\xe9"


def printed(*renderables) -> str:
    file = io.StringIO()
    console = SafeConsole(file=file, width=200, force_terminal=True, color_system=None)
    for each in renderables:
        console.print(each)
    return file.getvalue()


def test_names_are_shown_and_not_obeyed():
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    text = printed(HOSTILE, Text(HOSTILE), table)
    assert text.count(SHOWN) == 5
    assert "\x1b" not in text


def test_styles_stay():
    file = io.StringIO()
    SafeConsole(file=file, force_terminal=True).print(Text(HOSTILE, style="bold"))
    assert file.getvalue() == f"\x1b[1m{SHOWN}\x1b[0m\n"


def test_figures_of_subsets_with_hostile_names():
    row = {"faces": 1, "nme": 1.0, "fr8": 0.0, "fr10": 0.0, "auc8": 1.0, "auc10": 1.0}
    figures = {**row, "subsets": {HOSTILE: row}, "protocol": {HOSTILE: HOSTILE}}
    figures |= {"normalised_by": {HOSTILE: 1.0}, "regions": {HOSTILE: 1.0}}
    figures["intervals"] = {"nme": [0, 1], "regions": {HOSTILE: [0.0, 1.0]}}
    file = io.StringIO()
    print_figures(figures, HOSTILE, SafeConsole(file=file, width=300))
    assert file.getvalue().count(SHOWN) == 6
    assert "\x1b" not in file.getvalue()


@pytest.mark.parametrize("error", [ValueError(HOSTILE), FileNotFoundError(2, "none", HOSTILE)])
def test_errors_are_shown_and_not_obeyed(error):
    assert SHOWN in message(error)


def test_lines_and_other_scripts_stay():
    text = "zwei Zeilen:\n\tGr\xfc\xdfe, \u65e5\u672c"
    assert printable(text) == text


def printing(path: Path) -> list[str]:
    """Calls that print without escaping: print, echo, a console that is not safe."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("print", "typer.echo", "click.echo", "Console", "sys.stdout.write"):
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: {name}")
    return found


def test_all_that_is_printed_goes_through_one_door() -> None:
    files = {str(path.relative_to(PACKAGE)): path for path in PACKAGE.rglob("*.py")}
    exempt = DOORS | FOR_SHELLS
    assert [
        each for name, path in files.items() if name not in exempt for each in printing(path)
    ] == []
    assert [name for name in sorted(exempt) if printing(PACKAGE / name)] == [
        "launch/batch_script.py",
        "printable.py",
    ]


def test_what_python_prints_by_itself_is_escaped() -> None:
    """Warnings, log records, and the traceback of a fault of the program."""
    code = f"""
import logging, warnings
from sesame_hpc.printable import escape_warnings
escape_warnings()
warnings.warn({HOSTILE!r})
logging.getLogger("sesame_hpc.data.formats.readers").warning("%s: no such image", {HOSTILE!r})
raise RuntimeError({HOSTILE!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    said = done.stderr.decode()
    assert said.count(SHOWN) == 3
    assert "RuntimeError" in said
    assert "\x1b" not in said
