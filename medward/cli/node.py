"""`medward node`: run one hospital's node, take its model out, back it up, restore it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import typer

from medward.cli._console import print_json, say, unnarrated
from medward.cli._options import HomeOption, JsonOption
from medward.errors import BadUsage, MedwardError

if TYPE_CHECKING:
    from medward.agents.sentinel.model import SentinelModel
    from medward.node.home.folder import Home

app = typer.Typer(help="Run one hospital's node, take its model out, back it up.", no_args_is_help=True)

Choice = TypeVar("Choice", bound=str)


@app.callback()
def _root() -> None:
    """Run one hospital's node, take its model out, back it up, restore it."""


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

    _refuse_without_rows(home)
    with unnarrated():
        code = run_node(
            home,
            store=_one_of("--store", store, get_args(StoreEngine)),
            ledger=_one_of("--ledger", ledger, get_args(LedgerEngine)),
            until_stdin_closes=until_stdin_closes,
        )
    raise typer.Exit(code)


@app.command("model")
def model(
    home: HomeOption,
    *,
    out: Annotated[Path, typer.Option("--out", help="The folder for the model; a model that is there is replaced.")],
    as_json: JsonOption = False,
) -> None:
    """Write the model that this node's federation has now, as a folder that `detect` and `evaluate` take.

    It is a copy of HOME/model, which the node itself replaces after every final training round. The node may run.

    Example: medward node model --home trial/north --out model/
    """
    from medward.node.home.folder import Home

    found = Home(home)
    rounds, trained = _planned_rounds(found), _model_of(found)
    if out.resolve().is_relative_to(found.folder.resolve()):
        raise BadUsage(f"--out: {out} is inside the home, which is the node's own; choose another folder")
    if out.exists() and not (out.is_dir() and ((out / "model.json").exists() or not any(out.iterdir()))):
        raise MedwardError(f"{out} is there and holds no model; choose another folder, so that nothing is lost")
    name, origin = trained.save(out), trained.provenance
    last = 0 if origin.round is None else origin.round + 1
    document: dict[str, Any] = {
        "model": str(out),
        "model_name": name,
        "shared_model": origin.shared_model,
        "rounds_trained": last,
        "rounds": rounds,
        "sites": origin.sites,
        "protect": origin.protect,
        "synthetic": origin.synthetic,
    }
    if as_json:
        print_json(document)
        return
    typer.echo(
        f"{out}: the model after {last} of {rounds} training rounds of {origin.sites} hospitals ({name}), from the "
        f"shared model {origin.shared_model}"
    )


@app.command("report")
def report(
    home: HomeOption,
    *,
    out: Annotated[Path | None, typer.Option("--out", help="The page to write; HOME/report.html by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a page about this node's federation: its rounds, and how its model does on this hospital's own rows.

    The rounds are those that this node knows; the figures are measured now, on rows of this hospital that it did not
    train on. The node may run.

    Example: medward node report --home trial/north --out north.html
    """
    from medward.cli._node_report import node_document, write_page
    from medward.node.home.folder import Home

    found = Home(home)
    _planned_rounds(found)
    page, document = out or found.folder / "report.html", node_document(found, _model_of(found))
    write_page(page, document)
    if as_json:
        print_json({"report": str(page), **document})
    else:
        typer.echo(f"{page}: {len(document['rounds_log'])} rounds, and measures on {document['rows']['test']} own rows")


def _refuse_without_rows(home: Path) -> None:
    """Refuse a node that would train without rows, in a federation that trains."""
    from medward.node.home.folder import Home
    from medward.node.training.data import check_place, read_settings

    found = Home(home)
    if found.federation_file.exists() and found.federation().application.name == "training":
        check_place(read_settings(found.configuration().participant))


def _model_of(home: "Home") -> "SentinelModel":
    """Return the model in a home, or say why there is none."""
    from medward.agents.sentinel.model import BadModel, load_model

    if not home.model.exists():
        raise MedwardError(
            f"{home.folder} has no model yet: its node writes one with the first final training round, and at its "
            "next start if an earlier version trained; `medward federation status` says where it stands"
        )
    try:
        return load_model(home.model)
    except BadModel as error:
        raise MedwardError(
            f"the model in {home.folder} is damaged: {error} Or start the node, which then writes it anew."
        ) from None


def _planned_rounds(home: "Home") -> int:
    """Return how many training rounds a home's federation agreed on, or say why it has none."""
    if not home.configuration_file.exists():
        raise MedwardError(f"{home.folder} is no node's home: give the folder that `medward node up --home` runs on")
    federation = home.federation()
    if federation.application.name != "training":
        raise MedwardError(f"{federation.name} does not train ({federation.application.name}), and has no model")
    return int(federation.application.parameters["rounds"])


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

    say(f"writing {out}")
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

    say(f"reading {file}")
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
