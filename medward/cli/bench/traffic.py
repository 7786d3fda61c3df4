"""`medward bench traffic`: the meter beside Argus and Suricata, in one run on generated captures."""

import typer

from medward.bench.rows import print_benchmark
from medward.cli._console import say


def measure(
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document instead of a table."),
    packets: int = typer.Option(1_000_000, "--packets", min=1000, help="Packets of the mixture; the flood has 3/10."),
    repeats: int = typer.Option(3, "--repeats", min=1, help="How often each figure is taken; the median counts."),
) -> None:
    """Measure packets a CPU-second and memory, on a ward's mixture and on a SYN flood, one thread each.

    Argus and Suricata are measured beside it where they are installed (Debian: argus-server, suricata).

    Example: medward bench traffic --json > traffic.json
    """
    from medward.bench.traffic.measures import all_rows

    def progress(text: str) -> None:
        say(text, at_once=True)

    print_benchmark("Metering captures, one thread", all_rows(packets, repeats, progress), as_json)
