"""The command reference: every command's arguments and options, from the command line itself."""

from html import escape
from typing import Any

import typer
from typer.main import get_command

from sesame_hpc.cli.main import app

__all__ = ["command_reference"]

_HEAD = """# Commands

Generated from the command line; `sesame COMMAND --help` (or `-h`) prints the same.

Exit code 0 is success; [Reliability](../reliability.md#guarantees) lists the others.

To complete commands and options with the Tab key, run `sesame --install-completion` once.
"""
_SECTION = "\n## {title} {{ #{anchor} }}\n\n{help}\n\n```text\n{usage}\n```\n"
_TABLE = "\n| | takes | meaning |\n| --- | --- | --- |\n"


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
    """A row of what `get_help_record` gives: "--out <path>", "The folder to write to."."""
    words = names.split()
    flags = [word for word in words if word.startswith("-") or word == "/"]
    takes = " ".join(word for word in words if word not in flags).replace("|", " | ")
    named, value = (" ".join(flags), takes) if flags else (takes.partition(" ")[0], "")
    return f"| {_code(named)} | {_code(value)} | {_cell(help)} |\n"


def _code(text: str) -> str:
    return f"<code>{_cell(text)}</code>" if text else ""


def _cell(text: str) -> str:
    return escape(text, quote=False).replace("|", "&#124;")
