"""`medward score`: flows that nobody else can read, scored with a model that nobody else can read."""

import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medward.cli._console import print_json, say, waiting
from medward.cli._models import MODEL_HELP, open_model
from medward.cli._options import HomeOption, JsonOption
from medward.cli.computing.member import (
    LOOK_SECONDS,
    RUN_AGAIN,
    QuorumWatch,
    client_of,
    compute_for_others,
    kept_order,
    wait_for,
    wait_until_carried_out,
)
from medward.errors import BadUsage, MedwardError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from medward.agents.sentinel.model import SentinelModel
    from medward.federation.scoring.terms import ScoringTerms
    from medward.node.api.client import NodeClient
    from medward.node.scoring.key_folder import KeyFolder

#: The application of such a federation, and what it does.
_KIND = ("scoring", "scores")

app = typer.Typer(
    help="Score encrypted flows with an encrypted model; the members' nodes run (docs/computing.md).",
    no_args_is_help=True,
)


@app.command()
def offer(model: Annotated[Path, typer.Option("--model", help=MODEL_HELP)], *, home: HomeOption) -> None:
    """Offer a model that `medward train --polynomial` made: the node encrypts it, and puts it on record.

    Example: medward score offer --model model/ --home vendor
    """
    from medward.agents.sentinel.polynomial import polynomial_network
    from medward.federation.scoring.circuit import terms_of

    trained = open_model(model)
    terms_of(polynomial_network(trained))
    with _client(home) as client:
        known = len(client.get("/models"))
        folder = _folder(home)
        waits = folder.offers / secrets.token_hex(8)
        trained.save(waits)
        (waits / "ready").write_text("")
        say("the node encrypts the model", at_once=True)
        wait_until_carried_out(client, folder.folder, waits, kept_order("medward score list"))
        found = client.get("/models")
    typer.echo(f"offer {found[0]['offer']} is on record" if len(found) > known else "the offer is on record")


@app.command()
def compute(*, home: HomeOption) -> None:
    """Let a member's node compute for others, from its next start on.

    Example: medward score compute --home cloud
    """
    compute_for_others(home, *_KIND)


@app.command()
def flows(
    table: Annotated[Path, typer.Option("--flows", help="A file of flows of the model's data set.")],
    out: Annotated[Path, typer.Option("--out", help="The CSV file to write decisions and scores into.")],
    *,
    home: HomeOption,
    offer: Annotated[str, typer.Option("--offer", help="The number of the offer; the latest without it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Have flows scored: they leave this member encrypted, and the scores come back for it alone.

    Example: medward score flows --flows today.csv --out scores.csv --home north
    """
    import numpy as np
    import polars as pl

    if not table.exists():
        raise BadUsage(f"{table} is not there; give the file that holds the flows")
    folder = _folder(home)
    with _client(home) as client:
        offers = {one["offer"]: one for one in client.get("/models")}
        if not offers or (offer and offer not in offers):
            raise MedwardError(f"there is no offer {offer}".rstrip() + "; `medward score list` shows what there is")
        chosen = offer or max(offers)
        terms, model = _preparation(client, folder, offers[chosen])
        x = _features(model, table)
        numbers = []
        for start in range(0, len(x), terms.rows):
            waits = folder.flows / f"{secrets.token_hex(8)}.npz"
            hidden = waits.with_name(f".{waits.name}")
            with hidden.open("wb") as file:
                np.savez(file, offer=chosen, x=x[start : start + terms.rows])
            hidden.rename(waits)
            wait_until_carried_out(client, folder.folder, waits)
            numbers.append((folder.folder / f"{waits.stem}.asked").read_text().strip())
            (folder.folder / f"{waits.stem}.asked").unlink()
        scores = np.concatenate([_scores(folder, client, number) for number in numbers])
    best = scores.argmax(axis=1)
    names = np.array(model.classes)
    columns = {f"score {name}": scores[:, place] for place, name in enumerate(model.classes)}
    pl.DataFrame(
        {
            "row": np.arange(len(scores)),
            "decision": np.where(best > 0, "ALERT", "ALLOW"),
            "class": names[best],
            **columns,
        }
    ).write_csv(out)
    alerts = int(np.count_nonzero(best))
    if as_json:
        print_json({"offer": chosen, "batches": numbers, "rows": len(scores), "alerts": alerts, "out": str(out)})
        return
    typer.echo(f"{len(scores)} flows scored, {alerts} alerts: {out}")


@app.command("list")
def list_(*, home: HomeOption, as_json: JsonOption = False) -> None:
    """Show offers and batches, and why a batch has no answer.

    Example: medward score list --home north
    """
    with _client(home) as client:
        offers, batches = client.get("/models"), client.get("/rounds")
        left = client.get("/status")["participant"].get("outputs_left")
    if as_json:
        print_json({"offers": offers, "batches": batches, "outputs_left": left})
        return
    for one in offers:
        typer.echo(f"offer {one['offer']}: {one['vendor']}, {one['classes']} classes, {one['rows']} flows a batch")
    for one in batches:
        typer.echo(f"batch {one['batch']} of {one['hospital']}, {one['rows']} flows: {one['state']}")
    if left is not None:
        typer.echo(f"this member's key may still open {left} ciphertexts")


def _folder(home: Path) -> "KeyFolder":
    from medward.node.home.folder import Home
    from medward.node.scoring.key_folder import KeyFolder

    return KeyFolder(Home(home).participant)


def _client(home: Path) -> "NodeClient":
    return client_of(home, *_KIND)


def _preparation(
    client: "NodeClient", folder: "KeyFolder", told: dict[str, Any]
) -> "tuple[ScoringTerms, SentinelModel]":
    """Return the terms of an offer, and what prepares flows for it."""
    import msgspec

    from medward.federation.scoring.preparation import read_preparation
    from medward.federation.scoring.terms import ScoringTerms

    terms = msgspec.convert(told["terms"], ScoringTerms)
    file = folder.preparations / told["offer"]
    wait_for(client, "the offer's description", file.exists)
    return terms, read_preparation(file.read_bytes(), terms)


def _features(model: "SentinelModel", table: Path) -> "NDArray[np.float32]":
    from medward.flows.history import streams_of
    from medward.flows.opening import dataset_with
    from medward.flows.reading import read_flows

    say(f"reading {table}")
    read = read_flows(dataset_with(model.space.schema), table, "ignored")
    return model.space.build(read, streams_of(read))


def _scores(folder: "KeyFolder", client: "NodeClient", number: str) -> "NDArray[np.float64]":
    import numpy as np

    scores, refused = folder.scores / f"{number}.npy", folder.scores / f"{number}.refused"
    watch = QuorumWatch(RUN_AGAIN)
    with waiting(f"the scores of batch {number}"):
        while not scores.exists():
            if refused.exists():
                raise MedwardError(f"batch {number}: {refused.read_text().strip()}")
            told = next((one for one in client.get("/rounds") if one["batch"] == number), None)
            if told is None:
                raise MedwardError(f"batch {number} gave way to a newer one; have its flows scored again")
            if told["closed"] and not told["answered"]:
                raise MedwardError(f"batch {number} gets no answer: {told['state']}")
            watch.look(client.get("/status"))
            time.sleep(LOOK_SECONDS)
    found: NDArray[np.float64] = np.load(scores, allow_pickle=False)
    return found
