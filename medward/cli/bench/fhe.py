"""`medward bench fhe`: transforms and encrypted sums beside SEAL, TenSEAL, OpenFHE, Paillier, RSA, ElGamal and AES."""

import typer

from medward.report.benchmark import print_benchmark


def measure(
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document instead of a table."),
) -> None:
    """Measure encrypted sums and what they are made of, on one thread.

    Libraries that are not installed are left out (`pip install 'medward[bench]'`).

    Example: medward bench fhe --json > fhe.json
    """
    from medward.cli.bench import _fhe_rows  # noqa: PLC0415  (compiles kernels: only when asked for)

    def progress(text: str) -> None:
        typer.echo(f"{text} ...", err=True)

    print_benchmark("Encrypted sums, one thread", _fhe_rows.all_rows(progress), as_json)
