"""`medward bench fhe`: transforms and encrypted sums beside SEAL, TenSEAL, OpenFHE, Paillier, RSA, ElGamal and AES."""

import typer

from medward.bench.rows import print_benchmark
from medward.cli._console import say


def measure(
    part: list[str] = typer.Option([], help="transforms, computing, many-keys, scoring or sums alone; repeatable."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document instead of a table."),
) -> None:
    """Measure encrypted sums, computing on ciphertexts, and what both are made of, on one thread.

    Libraries that are not installed are left out (`pip install 'medward[bench]'`).

    Example: medward bench fhe --json > fhe.json
    """
    say("compiling kernels")
    from medward.bench.fhe.measures import rows_of

    rows = rows_of(part, lambda text: say(text, at_once=True))
    print_benchmark("Encrypted sums, one thread", rows, as_json)
