"""The `sesame` command. Subcommands import heavy packages only when they run."""

import os
import sys
from typing import Annotated

import typer

from sesame_hpc import __version__
from sesame_hpc.cli.cancel import cancel
from sesame_hpc.cli.data import data_app
from sesame_hpc.cli.demo import demo
from sesame_hpc.cli.doctor import doctor
from sesame_hpc.cli.evaluate import evaluate
from sesame_hpc.cli.export import export
from sesame_hpc.cli.logs import logs
from sesame_hpc.cli.pack import pack
from sesame_hpc.cli.predict import predict
from sesame_hpc.cli.report import report
from sesame_hpc.cli.status import status
from sesame_hpc.cli.submit import submit
from sesame_hpc.cli.train import train
from sesame_hpc.process import set_process_defaults

__all__ = ["app", "main"]

_USER_ERRORS = (
    ValueError,
    FileNotFoundError,
    FileExistsError,
    FloatingPointError,
    ConnectionError,
    TimeoutError,
)
_TRACEBACK = "--traceback"

app = typer.Typer(
    name="sesame",
    help="Train facial landmark detectors in three stages, on a laptop or a cluster.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command()(train)
app.command()(submit)
app.command()(status)
app.command()(logs)
app.command()(cancel)
app.command(name="eval")(evaluate)
app.command()(report)
data_app.command()(pack)
app.command()(predict)
app.command()(export)
app.add_typer(data_app, name="data")
app.command()(demo)
app.command()(doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sesame-hpc {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    traceback: Annotated[
        bool,
        typer.Option(_TRACEBACK, help="Show the traceback of errors (or set SESAME_TRACEBACK=1)."),
    ] = False,
) -> None:
    """Options of every subcommand; `main` has taken --traceback out, wherever it stood."""


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.strerror}: {error.filename}"
    else:
        text = str(error)
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    rank = f" (rank {os.environ.get('RANK', '?')})" if several else ""
    return f"sesame{rank}: {text}"


def main() -> None:
    """Run the command line. What a user can put right ends as a message and exit code 2."""
    set_process_defaults()
    arguments = [argument for argument in sys.argv[1:] if argument != _TRACEBACK]
    show_traceback = (
        len(arguments) < len(sys.argv) - 1 or os.environ.get("SESAME_TRACEBACK", "0") != "0"
    )
    try:
        app(arguments, prog_name="sesame")
    except _USER_ERRORS as error:
        if show_traceback:
            raise
        print(_message(error), file=sys.stderr)
        raise SystemExit(2) from None
