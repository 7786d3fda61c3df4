"""`medward bench fhe`: transforms and encrypted sums beside SEAL, TenSEAL, OpenFHE, Paillier, RSA, ElGamal and AES."""

import typer
from rich.console import Console

from medward.bench.rows import print_benchmark


def measure(
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document instead of a table."),
) -> None:
    """Measure one member's whole part in encrypted sums, and what they are made of, on one thread.

    Libraries that are not installed are left out (`pip install 'medward[bench]'`).

    Example: medward bench fhe --json > fhe.json
    """
    with Console(stderr=True).status("compiling kernels ...") as status:  # shown on a terminal only
        from medward.bench.fhe.measures import all_rows

        rows = all_rows(lambda text: status.update(f"{text} ..."))
    print_benchmark("Encrypted sums, one thread", rows, as_json)
