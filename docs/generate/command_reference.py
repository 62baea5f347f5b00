"""The command reference: every command's arguments and options, from the command line itself."""

from html import escape
from typing import Any

import typer
from typer.main import get_command

from sesame_hpc.cli.main import app

__all__ = ["command_reference"]

_HEAD = """# Commands

Generated from the command line; `sesame COMMAND --help` (or `-h`) prints the same. Exit codes are
0 for success, 1 where a command reports findings or failures of some of its inputs, 2 for wrong
usage or input or where the machine refused something, 75 for a run that was interrupted and has
saved its state, and 130 where Ctrl-C ended a command before it could save.

To complete commands and options by the Tab key, run `sesame --install-completion` once.
"""
_SECTION = "\n## {title} {{ #{anchor} }}\n\n{help}\n\n```text\n{usage}\n```\n"
_TABLE = "\n| | |\n| --- | --- |\n"


def command_reference() -> str:
    """The page of all commands, in the order of `sesame --help`."""
    return _HEAD + _commands(get_command(app), None, "sesame")


def _commands(command: Any, parent: typer.Context | None, name: str) -> str:
    context = command.context_class(command, info_name=name.split()[-1], parent=parent)
    text = _section(command, context, name)
    for child in getattr(command, "commands", {}).values():
        text += _commands(child, context, f"{name} {child.name}")
    return text


def _section(command: Any, context: typer.Context, name: str) -> str:
    usage = " ".join(command.collect_usage_pieces(context)).replace("{", "").replace("}", "")
    text = _SECTION.format(
        title=f"`{name}`",
        anchor=name.replace(" ", "-"),
        help=" ".join((command.help or "").split()),
        usage=f"{name} {usage}",
    )
    records = [(p, p.get_help_record(context)) for p in command.get_params(context)]
    rows = [_row(*record) for parameter, record in records if record and _is_own(parameter)]
    return text + (_TABLE + "".join(rows) if rows else "")


def _is_own(parameter: Any) -> bool:
    return parameter.name not in ("help", "install_completion", "show_completion")


def _row(names: str, help: str) -> str:
    words = " ".join(names.split()).replace("|", "\\|")
    return f"| `{words}` | {escape(help, quote=False).replace('|', '&#124;')} |\n"
