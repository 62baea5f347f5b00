"""Names from other people's files on the terminal."""

import io

import pytest
from rich.table import Table
from rich.text import Text

from sesame_hpc.cli.errors import message
from sesame_hpc.console import SafeConsole
from sesame_hpc.printable import printable
from sesame_hpc.stages.tables import print_figures

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
