"""`medward data seal`, `unseal`, `withdraw` and `key`: data sets that only their owner, and whom it chose, can read."""

from pathlib import Path
from typing import Annotated

import typer

from medward.cli._console import print_json, say, waiting
from medward.cli._options import HomeOption, JsonOption
from medward.errors import BadUsage


def add_to(app: typer.Typer) -> None:
    """Add the commands to `medward data`."""
    for command in (seal, unseal, withdraw, key):
        app.command()(command)


def seal(
    path: Annotated[Path, typer.Argument(help="The file or folder with the data set.")],
    *,
    home: HomeOption,
    to: Annotated[list[str] | None, typer.Option("--to", help="Another member who can open it; repeatable.")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Seal bytes of any kind, unchecked, without schema or rows.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Encrypt a data set, keep it in the store of the running node, and put its CID and schema on the ledger.

    The data set is read whole first, so that what is on record is true: the schema's hash and the number of rows. It is
    encrypted (AES-256-GCM) under a key that only this member, and each one named by --to, can open. Lose HOME/data/key
    and nobody can: keep a copy of it in a safe place.

    Example: medward data seal wustl-ehms-2020.csv --home north
    """
    from medward.node.api.client import NodeClient
    from medward.node.home.folder import Home
    from medward.node.sealed_data import sealing

    if not path.exists():
        raise BadUsage(f"{path} is no file or folder; name the one that holds the data set.")
    member = Home(home)
    with NodeClient.of_home(member) as client:
        client.get("/datasets")  # before a long reading: does the node answer?
        dataset, schema, rows = ("", b"", 0) if raw else _checked(path)
        say(f"encrypting {path}, and waiting for the ledger to order it")
        cid = sealing.seal(member, client, path, schema, rows, to or ())
    if as_json:
        print_json({"data": cid, "data_set": dataset or None, "schema": schema.hex(), "rows": rows, "to": to or []})
        return
    said = f"{path}" if raw else f"{rows} rows of {dataset}"
    typer.echo(f"{cid}: {said}, sealed and on record; `medward data unseal {cid} --home {home}` opens it")


def unseal(
    what: Annotated[str, typer.Argument(help="The CID of sealed data, or a file that holds them.")],
    *,
    home: HomeOption,
    out: Annotated[
        Path, typer.Option("--out", help="The folder that gets the file or folder which was sealed.")
    ] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Decrypt a sealed data set that this member can open.

    Every byte is checked. Nothing is under its name before all of it was, so a changed or shortened data set leaves
    nothing behind.

    Example: medward data unseal bafybei... --home north --out opened
    """
    from medward.node.api.client import NodeClient
    from medward.node.home.folder import Home
    from medward.node.sealed_data import sealing

    member = Home(home)
    with NodeClient.of_home(member) as client:
        say(f"decrypting {what}")
        result = sealing.unseal(member, what, out, client if client.healthy() else None)
    origin = result.header.origin
    if as_json:
        print_json(
            {
                "path": str(result.path),
                "member": origin.member,
                "schema": origin.schema.hex(),
                "rows": origin.rows,
                "readers": list(result.header.readers),
            }
        )
        return
    typer.echo(f"{result.path}: sealed by {origin.member}, to {', '.join(result.header.readers)}")


def withdraw(
    cid: Annotated[str, typer.Argument(help="The CID of a data set that this member sealed.")],
    *,
    home: HomeOption,
    as_json: JsonOption = False,
) -> None:
    """Take a sealed data set off the record and out of the store of the running node.

    The ledger remembers that it was there. Copies that others fetched stay readable to those it was sealed to.

    Example: medward data withdraw bafybei... --home north
    """
    from medward.node.api.client import NodeClient
    from medward.node.home.folder import Home

    with waiting("the ledger to order it"), NodeClient.of_home(Home(home)) as client:
        answer = client.about_data("withdraw", cid)
    if as_json:
        print_json(dict(answer))
    else:
        typer.echo(f"{cid} is off the record, and no longer kept here")


def key(*, home: HomeOption, as_json: JsonOption = False) -> None:
    """Publish this member's key for sealed data, so that other members can seal data to it.

    Example: medward data key --home south
    """
    from medward.node.api.client import NodeClient
    from medward.node.home.folder import Home

    with waiting("the ledger to order it"), NodeClient.of_home(Home(home)) as client:
        answer = client.about_data("publish", "key")
    if as_json:
        print_json(dict(answer))
    else:
        typer.echo(f"published as {answer['key']}; others seal data to this member with --to")


def _checked(path: Path) -> tuple[str, bytes, int]:
    """Read a data set whole; return its name, the digest of its schema, and how many rows it has."""
    from medward.flows.opening import open_data

    say(f"reading {path}")
    dataset, flows = open_data(str(path), seed=0)
    return dataset.name, dataset.schema.digest, len(flows)
