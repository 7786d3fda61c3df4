"""`medward bench store`: naming, keeping and fetching 50 MB beside SHA-256, a plain copy and a real Kubo."""

import typer

from medward.bench.rows import print_benchmark
from medward.cli._console import say


def measure(
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document instead of a table."),
    megabytes: int = typer.Option(50, "--megabytes", min=1, max=1000, help="Size of the blob."),
    repeats: int = typer.Option(9, "--repeats", min=1, help="How often each figure is taken; the median counts."),
) -> None:
    """Measure naming, a durable add and a verified fetch over mutual TLS, and the memory that they need.

    Kubo is measured beside them where it is installed (`ipfs` on the PATH, or MEDWARD_KUBO).

    Example: medward bench store --json > store.json
    """

    from medward.bench.store.measures import all_rows

    def progress(text: str) -> None:
        say(text, at_once=True)

    rows = all_rows(megabytes * 1_000_000, repeats, progress)
    print_benchmark(f"Content-addressed storage, {megabytes} MB", rows, as_json)
