"""`medward bench ledger`: PBFT beside etcd, CometBFT and proof of work, with the same clients, in one run."""

from typing import Annotated

import typer


def ledger(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    seconds: Annotated[float, typer.Option(min=1.0, help="Seconds at the peak, and again at half of it.")] = 5.0,
    workers: Annotated[int, typer.Option(min=1, max=512, help="Clients that wait for their answers.")] = 128,
) -> None:
    """Measure throughput and latency of the ledger: n = 4, 7, 10, 16 and payloads from 100 B to 10 kB.

    Example: `medward bench ledger --json --seconds 3`
    """
    from medward.bench.ledger.measures import measure_all
    from medward.bench.rows import BenchmarkRow, print_benchmark

    rows = [
        BenchmarkRow(row.what, row.ours, row.other, row.other_name, row.ratio, row.unit)
        for row in measure_all(seconds, workers)
    ]
    print_benchmark("Ledger", rows, as_json)
