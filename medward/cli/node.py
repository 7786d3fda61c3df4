"""`medward node`: run one hospital's node, back it up, restore it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar, get_args

import typer

from medward.cli._options import HomeOption
from medward.errors import BadUsage, MedwardError

app = typer.Typer(help="Run one hospital's node, back it up, restore it.", no_args_is_help=True)

Choice = TypeVar("Choice", bound=str)


@app.callback()
def _root() -> None:
    """Run one hospital's node, back it up, restore it."""


@app.command("up")
def up(
    home: HomeOption,
    *,
    store: Annotated[str | None, typer.Option(help="embedded or kubo, in place of what node.toml says.")] = None,
    ledger: Annotated[str | None, typer.Option(help="pbft or cometbft; must be what the federation agreed on.")] = None,
    until_stdin_closes: Annotated[
        bool, typer.Option("--until-stdin-closes", help="Stop when standard input closes; for programs.")
    ] = False,
) -> None:
    """Run a node until it is asked to stop (Ctrl-C, SIGTERM).

    It logs to standard error, and as JSON lines to HOME/log/node.jsonl.

    Example: medward node up --home trial/north
    """
    from medward.node.home.configuration import LedgerEngine, StoreEngine
    from medward.node.process import run_node

    code = run_node(
        home,
        store=_one_of("--store", store, get_args(StoreEngine)),
        ledger=_one_of("--ledger", ledger, get_args(LedgerEngine)),
        until_stdin_closes=until_stdin_closes,
    )
    raise typer.Exit(code)


@app.command("backup")
def backup(
    home: HomeOption,
    *,
    out: Annotated[Path, typer.Option("--out", help="The file to write; it must not be there yet.")],
) -> None:
    """Write a backup: configuration, federation file, every pinned blob. No key: a copy must never vote.

    The node may run meanwhile.

    Example: medward node backup --home trial/north --out north-backup.tar
    """
    from medward.node.home.backup import write_backup

    summary = write_backup(home, out)
    typer.echo(f"{out}: {summary.blocks} blocks, {summary.pins} pins, {summary.bytes} bytes of {summary.member}")


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    *,
    home: Annotated[Path, typer.Option("--home", help="Folder for the new home; empty or not there.")],
) -> None:
    """Make a home from a backup, with new keys: the member comes back as a new incarnation.

    Another member admits its card; then the node fetches the ledger from the others.

    Example: medward node restore north-backup.tar --home north
    """
    from medward.node.home.backup import read_backup

    try:
        card = read_backup(file, home)
    except OSError as error:
        raise MedwardError(f"cannot restore {file}: {error.strerror}; check the file and the folder") from None
    typer.echo(
        f"{card.name} is restored with new keys, incarnation {card.member.incarnation}; its card is "
        f"{home / 'card.json'}, fingerprint {card.fingerprint}\n"
        "another member says `medward federation admit card.json`; then start the node"
    )


def _one_of(option: str, given: str | None, choices: Sequence[Choice]) -> Choice | None:
    for choice in choices:
        if given == choice:
            return choice
    if given is not None:
        raise BadUsage(f"{option}: expected {' or '.join(map(str, choices))}, got '{given}'")
    return None
