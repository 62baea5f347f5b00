"""The `sesame` command. Subcommands import heavy packages only when they run."""

import os
import sys
from contextlib import nullcontext
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sesame_hpc import __version__
from sesame_hpc.cli.cancel import cancel
from sesame_hpc.cli.data import data_app
from sesame_hpc.cli.demo import demo
from sesame_hpc.cli.doctor import doctor
from sesame_hpc.cli.errors import USER_ERRORS, ExitCode, message, sentences_of_threads
from sesame_hpc.cli.evaluate import evaluate
from sesame_hpc.cli.export import export
from sesame_hpc.cli.get import get
from sesame_hpc.cli.logs import logs
from sesame_hpc.cli.pack import pack
from sesame_hpc.cli.predict import predict
from sesame_hpc.cli.report import report
from sesame_hpc.cli.status import status
from sesame_hpc.cli.study import study
from sesame_hpc.cli.submit import submit
from sesame_hpc.cli.train import train
from sesame_hpc.cli.verify import verify
from sesame_hpc.extras import which_extra
from sesame_hpc.printable import escape_warnings, say
from sesame_hpc.process import set_process_defaults
from sesame_hpc.shortage import shortage

__all__ = ["app", "main"]

_TRACEBACK = "--traceback"


class _Commands(TyperGroup):
    """Names wrong values of arguments in the words that those of settings have."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            from sesame_hpc.config.problems import must_be

            error.message = must_be(error.message)
            raise


app = typer.Typer(
    name="sesame",
    cls=_Commands,
    help="Train facial landmark detectors in three stages, on a laptop or a cluster.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command()(train)
app.command()(submit)
app.command()(study)
app.command()(status)
app.command()(logs)
app.command()(cancel)
app.command(name="eval")(evaluate)
app.command()(report)
data_app.command()(pack)
app.command()(predict)
app.command()(export)
app.command()(verify)
app.command()(get)
app.add_typer(data_app, name="data")
app.command()(demo)
app.command()(doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"sesame-hpc {__version__}")
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


def main() -> None:
    """Run the command line, and end with one of the exit codes of `cli/errors.py`.

    What a user can fix ends as a message.
    """
    set_process_defaults()
    escape_warnings()
    arguments = [argument for argument in sys.argv[1:] if argument != _TRACEBACK]
    show_traceback = (
        len(arguments) < len(sys.argv) - 1 or os.environ.get("SESAME_TRACEBACK", "0") != "0"
    )
    try:
        with nullcontext() if show_traceback else sentences_of_threads():
            app(arguments, prog_name="sesame")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(ExitCode.ERROR) from None
    except USER_ERRORS as error:
        if show_traceback:
            raise
        say(message(error), err=True)
        raise SystemExit(ExitCode.ERROR) from None
    except ImportError as error:
        command = " ".join(["sesame", *(each for each in arguments[:1] if each[:1] != "-")])
        text = which_extra(error, command)
        if show_traceback or text is None:
            raise
        say(f"sesame: {text}", err=True)
        raise SystemExit(ExitCode.ERROR) from None
    except RuntimeError as error:
        if show_traceback or not shortage(error):
            raise
        say(message(error), err=True)
        raise SystemExit(ExitCode.ERROR) from None
    except SystemExit as end:
        by_hand = not isinstance(end.__context__, KeyboardInterrupt)
        if end.code == ExitCode.INTERRUPTED and by_hand:
            say("sesame: interrupted; no half-written files are left", err=True)
        raise
