"""`medward bench`: measure a part of medward against what others offer, in one run on this machine."""

import typer

from medward.cli.bench import fhe, store, traffic
from medward.cli.bench.agents import agents
from medward.cli.bench.ledger import ledger

app = typer.Typer(help="Measure a part of medward beside its alternatives, in one run.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Each benchmark prints ratios: above 1 where medward is better."""


app.command()(agents)
app.command("fhe")(fhe.measure)
app.command("store")(store.measure)
app.command("ledger")(ledger)
app.command("traffic")(traffic.measure)
