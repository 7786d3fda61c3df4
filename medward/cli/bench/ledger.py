"""`medward bench ledger`: PBFT beside etcd, CometBFT and proof of work, with the same clients, in one run."""

from typing import Annotated

import typer

from medward.cli._console import say


def ledger(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    seconds: Annotated[
        float, typer.Option(min=1.0, max=3600.0, help="Seconds at the peak, and again at half of it.")
    ] = 5.0,
    workers: Annotated[int, typer.Option(min=1, max=512, help="Clients that wait for their answers.")] = 128,
) -> None:
    """Measure throughput and latency of the ledger: n = 4, 7, 10, 16 and payloads from 100 B to 10 kB.

    Example: `medward bench ledger --json --seconds 3`
    """
    from medward.bench.ledger.measures import measure_all
    from medward.bench.rows import print_benchmark

    say("measuring the ledger")
    print_benchmark("Ledger", list(measure_all(seconds, workers)), as_json)
