"""`medward federation`: what is asked of running nodes: who comes and goes, whether it goes on, how it stands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medward.cli._console import errors, print_json, waiting
from medward.cli._options import JsonOption
from medward.errors import BadUsage, MedwardError, printable

if TYPE_CHECKING:
    from medward.node.api.client import NodeClient
    from medward.node.home.folder import Home

MaybeHome = Annotated[Path | None, typer.Option("--home", help="Home of a running node on this machine.")]
NodeOption = Annotated[str | None, typer.Option("--node", help="Address of a running node's HTTP API.")]
TokenOption = Annotated[
    Path | None, typer.Option("--token-file", help="File with that node's token, readable by you only.")
]
CertificateOption = Annotated[
    Path | None, typer.Option("--certificate", help="Certificate to trust where that API has TLS.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to a group."""
    for command in (admit, remove, retract, leave, resume, status):
        app.command()(command)


def admit(
    card: Annotated[Path, typer.Argument(help="The newcomer's card.json, or that of a member with new keys.")],
    *,
    home: MaybeHome = None,
    node: NodeOption = None,
    token_file: TokenOption = None,
    certificate: CertificateOption = None,
    fingerprint: Annotated[
        str | None, typer.Option("--fingerprint", help="The card's fingerprint as you heard it, to be compared.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Have the ledger order that a member comes, or comes back with new keys.

    Example: medward federation admit east-card.json --home north --fingerprint "77c0 ..."
    """
    from medward.node.home.cards import read_card

    found = read_card(card)
    compare_fingerprints(fingerprint, found.fingerprint)
    if fingerprint is None:
        errors().print(
            f"the card of {found.name} has the fingerprint {found.fingerprint}, which nobody has compared: hear it "
            f"from them, and if it is another, say `medward federation retract {found.name}`",
            markup=False,
            highlight=False,
        )
    with waiting("the ledger to order it"), _client(home, node, token_file, certificate) as client:
        answer = dict(client.admit(found)) | {"card_fingerprint": found.fingerprint}
    what = f"{found.name} ({found.fingerprint}) comes with incarnation {found.member.incarnation}"
    _say_ordered(answer, what, as_json)


def remove(
    name: Annotated[str, typer.Argument(help="The member that goes.")],
    *,
    home: MaybeHome = None,
    node: NodeOption = None,
    token_file: TokenOption = None,
    certificate: CertificateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have the ledger order that a member goes.

    Example: medward federation remove east --home north
    """
    with waiting("the ledger to order it"), _client(home, node, token_file, certificate) as client:
        answer = client.remove(name)
    _say_ordered(answer, f"{name} goes", as_json)


def retract(
    name: Annotated[str, typer.Argument(help="Whom the wish is about.")],
    *,
    home: MaybeHome = None,
    node: NodeOption = None,
    token_file: TokenOption = None,
    certificate: CertificateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back what this member asked for with `admit`, `remove` or `leave`, as long as it has not been made.

    Example: medward federation retract east --home north
    """
    with waiting("the ledger to order it"), _client(home, node, token_file, certificate) as client:
        answer = client.retract(name)
    if as_json:
        print_json(dict(answer))
    else:
        typer.echo(f"ordered at height {answer['height']}: the wish about {name} is taken back")


def leave(
    home: MaybeHome = None,
    *,
    node: NodeOption = None,
    token_file: TokenOption = None,
    certificate: CertificateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have the ledger order that this member goes; its node stops when that has taken effect.

    Example: medward federation leave --home east
    """
    with waiting("the ledger to order it"), _client(home, node, token_file, certificate) as client:
        answer = client.leave()
    _say_ordered(answer, f"{answer.get('member')} goes", as_json)


def resume(
    home: MaybeHome = None,
    *,
    node: NodeOption = None,
    token_file: TokenOption = None,
    certificate: CertificateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that a federation goes on that stopped after three rounds without a result.

    `medward federation status` says why it stopped. It goes on once f + 1 members (two of four) have said so.

    Example: medward federation resume --home north
    """
    with waiting("the ledger to order it"), _client(home, node, token_file, certificate) as client:
        answer = dict(client.resume())
    if as_json:
        print_json(answer)
    else:
        typer.echo(
            f"ordered at height {answer['height']}: {answer['member']} says that the federation goes on; it does once "
            f"{answer['needed']} members have said so since it stopped"
        )


def status(
    home: Annotated[
        list[Path] | None, typer.Option("--home", help="Home of a running node, or a folder of homes; repeatable.")
    ] = None,
    *,
    node: NodeOption = None,
    token_file: TokenOption = None,
    certificate: CertificateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how nodes and their federation stand, as they say themselves.

    Example: medward federation status --home trial
    """
    from medward.node.api.client import NodeClient
    from medward.node.errors import NodeError

    if node is not None:
        clients = {node: _client(None, node, token_file, certificate)}
    else:
        clients = {str(found.folder): NodeClient.of_home(found) for path in home or () for found in _homes(path)}
    if not clients:
        raise BadUsage("name a running node: --home HOME, or --node URL with --token-file FILE")
    rows: list[dict[str, Any]] = []
    for where, client in clients.items():
        with waiting(f"an answer of {where}"), client:
            try:
                told = _told(where, client.get("/status"))
                rows.append(told | {"known_members": client.get("/members"), "datasets": client.get("/datasets")})
            except NodeError as error:
                rows.append({"node": where, "problem": str(error)})
    if as_json:
        print_json({"nodes": rows})
    else:
        _show(rows)
    if any(row["problem"] for row in rows):
        bad = [printable(row.get("name", row["node"])) for row in rows if row["problem"]]
        raise MedwardError(f"not everything is well with {', '.join(bad)}; see above and the node's log")


def _told(where: str, status: Any) -> dict[str, Any]:
    """Return what a node says; a federation that has stopped is a problem of all its nodes.

    Raises:
        NodeError: it is nothing that a node says.
    """
    from medward.node.errors import NodeError
    from medward.node.interfaces import HOW_TO_RESUME

    kinds = {"name": str, "ledger": dict, "store": dict, "participant": dict, "members": list, "warnings": list}
    if not isinstance(status, dict) or not all(isinstance(status.get(key), kind) for key, kind in kinds.items()):
        raise NodeError(f"what answers at {where} is no medward node, or one of another version; check the address")
    stopped, problem = status["participant"].get("stopped"), status.get("problem")
    if stopped and not problem:
        problem = f"the federation has stopped: {stopped}; {HOW_TO_RESUME}"
    return {"node": where, **status, "problem": problem}


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from medward.node.ledger.wishes import sentence

    def line(text: str) -> None:
        # Names and reasons are others': none is taken for markup, and none changes anything on a terminal.
        console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    table = Table(box=None, pad_edge=False)
    for title in ("member", "phase", "round", "height", "votes", "in reach", "disk left"):
        table.add_column(title, overflow="fold")
    for row in rows:
        ledger, store, part = row.get("ledger", {}), row.get("store", {}), row.get("participant", {})
        cells = (
            f"{row['name']}.{row['incarnation']}" if "name" in row else row["node"],
            str(row.get("phase", "")),
            "" if part.get("round") is None else f"{part['round']} {part['phase']}",
            str(ledger.get("height", "")),
            {True: "yes", False: "no"}.get(ledger.get("votes"), ""),
            f"{ledger.get('in_reach', '?')} of {len(row['members'])}" if "members" in row else "",
            f"{store['disk_free'] / 2**30:.1f} GiB" if "disk_free" in store else "",
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    first = next((row for row in rows if "federation" in row), None)
    console = Console()
    if first is not None:
        line(f"{first['federation']} ({first['fingerprint']})")
    console.print(table)
    for one in next((row["datasets"] for row in rows if "datasets" in row), []):
        what = f"{one['rows']} rows of {one['data_set']}" if one["data_set"] else "sealed data"
        line(f"{one['member']} keeps {one['data']}: {what}, to {', '.join(one['readers'])}")
    for one in next((row["participant"].get("wishes", []) for row in rows if row.get("participant")), []):
        line(sentence(one))
    for row in rows:
        part = row.get("participant", {})
        if part.get("labels") not in (None, "both"):
            line(f"{row['name']} {part['labels_mean']}")
        if part.get("last_final_round") is not None:
            line(f"{row['name']}: {_last_round(part)}")
        for warning in row.get("warnings", []):
            line(f"{row.get('name', row['node'])}: {warning}")
        if row["problem"]:
            line(f"{row.get('name', row['node'])}: {row['problem']}")


def _last_round(part: dict[str, Any]) -> str:
    """Say how long ago the last final round was, how old the model is, and how it does on own validation rows."""
    said = f"the last final round is {part['last_final_round']}, {_ago(part['last_final_seconds'])}"
    if part.get("model_round") is None:
        return said
    if part["model_round"] != part["last_final_round"]:
        said += f"; the model is of round {part['model_round']}, {_ago(part['model_seconds'])}"
    measured = part.get("validation")
    if not measured:
        return said
    names = {"attack_recall": "attack recall", "false_alarm_rate": "false alarms", "expected_cost": "cost of a window"}
    figures = ", ".join(f"{text} {measured[key]:.4f}" for key, text in names.items() if key in measured)
    return f"{said}; on {measured['rows']:.0f} own validation rows: {figures}"


def _ago(seconds: float | None) -> str:
    """Say how long ago something was."""
    if seconds is None:
        return "at a time that this node does not know"
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _say_ordered(answer: Any, what: str, as_json: bool) -> None:
    if as_json:
        print_json(dict(answer))
    else:
        typer.echo(
            f"ordered at height {answer['height']}: {what}, once enough members want it, at a checkpoint; "
            "`medward federation status` shows who else must"
        )


def _client(home: Path | None, node: str | None, token_file: Path | None, certificate: Path | None) -> "NodeClient":
    from medward.node.api.client import NodeClient
    from medward.node.home.folder import Home

    if (home is None) == (node is None) or (node is None) != (token_file is None):
        raise BadUsage("name a running node: --home HOME, or --node URL with --token-file FILE")
    if home is not None:
        return NodeClient.of_home(Home(home))
    assert node is not None
    assert token_file is not None
    return NodeClient.of_url(node, token_file, certificate)


def _homes(path: Path) -> "list[Home]":
    from medward.node.home.folder import Home

    if Home(path).configuration_file.exists():
        return [Home(path)]
    inside = [Home(folder) for folder in sorted(path.glob("*")) if Home(folder).configuration_file.exists()]
    if not inside:
        raise MedwardError(f"{path} is no node's home and holds none; make one: `medward federation init` or `join`")
    return inside


def compare_fingerprints(expected: str | None, found: str) -> None:
    """Refuse a file that does not have the fingerprint that somebody was told, where somebody was."""
    if expected is not None and "".join(expected.split()).lower() != "".join(found.split()):
        raise MedwardError(f"the fingerprint is {found} and not {expected}: this is not the file that you were told of")
