"""The command line: one file per command, each a thin shell over the parts."""

import os
import sys
from contextlib import suppress

import typer

from medward import __version__
from medward.cli import bench, data, federation, node, store
from medward.cli._console import narration
from medward.cli.audit import audit
from medward.cli.computing import outsource, score
from medward.cli.demo import demo
from medward.cli.detect import detect
from medward.cli.evaluate import evaluate
from medward.cli.reproduce import reproduce
from medward.cli.traffic.flows import flows
from medward.cli.traffic.watch import watch
from medward.cli.train import train
from medward.errors import BadUsage, MedwardError, Stopped, printable

_INTERRUPTED = 130

app = typer.Typer(
    name="medward",
    help="Hospitals train one intrusion detector for medical devices together, without a central server.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)
for command in (demo, train, evaluate, detect, flows, watch, audit, reproduce):
    app.command()(command)
app.add_typer(data.app, name="data")
app.add_typer(bench.app, name="bench")
app.add_typer(score.app, name="score")
app.add_typer(outsource.app, name="outsource")
app.add_typer(store.app, name="store")
app.add_typer(federation.app, name="federation")
app.add_typer(node.app, name="node")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"medward {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop.", callback=_print_version),
) -> None:
    """Hospitals train one intrusion detector for medical devices together, without a central server."""


def _tell(error: MedwardError) -> None:
    """Print what was wrong; words of a peer's or a file's in it change nothing on a terminal."""
    print("\n".join(printable(line) for line in f"medward: {error}".split("\n")), file=sys.stderr)


def main() -> None:
    """Run the command line; a user's mistake ends in one sentence and exit code 1, bad usage in 2."""
    try:
        with narration():
            app()
    except BadUsage as error:
        _tell(error)
        sys.exit(2)
    except Stopped as error:
        _end_now(str(error))
    except MedwardError as error:
        _tell(error)
        sys.exit(1)
    except OSError as error:
        where = error.filename if error.filename is not None else "a file or connection"
        print(
            f"medward: cannot use {where!a}: {error.strerror or error}; check it and its permissions", file=sys.stderr
        )
        sys.exit(1)
    except KeyboardInterrupt:
        _end_now("stopped")
    except SystemExit as end:
        if end.code != _INTERRUPTED:  # Typer's word for Ctrl-C
            raise
        _end_now("stopped")


def _end_now(sentence: str) -> None:
    """End after Ctrl-C without the interpreter's farewell, in which computations that still run would crash."""
    print(f"medward: {sentence}", file=sys.stderr)
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(_INTERRUPTED)
