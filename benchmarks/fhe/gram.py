"""An exact Gram matrix of encrypted integers at full size: 65,536 rows, 44 columns, under one key and under two.

Run: python benchmarks/fhe/gram.py           (a minute; prints the table, and keeps it in results/gram.json)
     python benchmarks/fhe/gram.py table     (prints what is kept)

Under two keys each owner has half of the rows. Every opened entry is compared with the plain product of 64-bit
integers. Times are processor times of one thread; "open" is one owner's. Sizes are what would travel: residues as wide
as their primes, seeds in place of what is expanded from them.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from medward.bench.fhe.scoring import UncountedBudget
from medward.bench.rows import machine_description
from medward.fhe.arrays import Integers
from medward.fhe.computing.formats.residue_rows import rows_bytes
from medward.fhe.computing.inner_product_opening import combine_shares, listed, open_shares, parts_of
from medward.fhe.computing.inner_product_terms import InnerProductTerms
from medward.fhe.computing.inner_products import EncryptedColumn, encrypt_column, encrypted_inner_product
from medward.fhe.computing.keys import SecretKey
from medward.fhe.computing.parameters import computing_parameters

KEPT = Path(__file__).parent / "results" / "gram.json"
ROWS, COLUMNS, LARGEST = 65_536, 44, 64
ENTRIES = [(i, j) for i in range(COLUMNS) for j in range(i, COLUMNS)]


def encrypted(secret: SecretKey, terms: InnerProductTerms, table: Integers) -> list[list[EncryptedColumn]]:
    """Return all columns as first factors, and as second ones."""
    return [
        [encrypt_column(secret, terms, np.ascontiguousarray(column), reverse=reverse) for column in table.T]
        for reverse in (False, True)
    ]


def measure(owners: int) -> dict[str, Any]:
    parameters = computing_parameters(16384, 96, 1, 2)
    terms = InnerProductTerms(parameters, ROWS, LARGEST, owners, len(ENTRIES))
    table = np.random.default_rng(owners).integers(-LARGEST, LARGEST, (ROWS, COLUMNS), endpoint=True)
    secrets = [SecretKey(f"owner {place + 1}", parameters, b"benchmark") for place in range(owners)]
    keys = {secret.owner: secret.evaluation_key() for secret in secrets}
    (first,), (second,) = encrypted(secrets[0], terms, np.ones((2, 1), np.int64))
    encrypted_inner_product([(first, second)], keys)  # compiles

    start = time.process_time()
    factors = [encrypted(secret, terms, rows) for secret, rows in zip(secrets, np.split(table, owners), strict=True)]
    encrypt = time.process_time() - start
    start = time.process_time()
    products = [encrypted_inner_product([(a[i], b[j]) for a, b in factors], keys) for i, j in ENTRIES]
    compute = time.process_time() - start
    start = time.process_time()
    together = listed(products)
    shares = [
        open_shares(together, parts_of(products, secret.owner), secret, UncountedBudget(secret.fingerprint))
        for secret in secrets
    ]
    opening = (time.process_time() - start) / owners
    found = combine_shares(together, shares)
    gram = table.T @ table
    blocks = sum(len(column.blocks) for a, b in factors for column in (*a, *b))
    return {
        "owners": owners, "rows": ROWS, "columns": COLUMNS, "largest": LARGEST, "entries": len(ENTRIES),
        "exact": sum(value == int(gram[entry]) for value, entry in zip(found, ENTRIES, strict=True)),
        "encrypt": round(encrypt, 2), "compute": round(compute, 2), "open": round(opening, 2),
        "upload": blocks * (32 + rows_bytes(parameters.degree, parameters.primes[: parameters.top])),
        "shares": len(ENTRIES) * -(-terms.modulus.bit_length() // 8),
        "memory": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1),
        "log2 of the error over half of Delta^2": round(float(np.log2(terms.error)) + 1 - 2 * terms.scale_bits, 1),
    }  # fmt: skip


def table_of(kept: dict[str, Any]) -> str:
    lines = [
        f"{kept['machine']['cpu']}, one thread.",
        "",
        "| keys | exact entries | encrypt, s | compute, s | open, s | ciphertexts, MB | shares of an owner, kB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in kept["rows"]:
        lines.append(
            f"| {row['owners']} | {row['exact']} of {row['entries']} | {row['encrypt']:.1f} | {row['compute']:.1f} | "
            f"{row['open']:.1f} | {row['upload'] / 1e6:,.0f} | {row['shares'] / 1e3:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    if sys.argv[1:] == ["table"]:
        print(table_of(json.loads(KEPT.read_text(encoding="utf-8"))))
        return
    kept: dict[str, Any] = {"machine": machine_description(), "rows": [measure(owners) for owners in (1, 2)]}
    print(table_of(kept))
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    sys.exit(any(row["exact"] != row["entries"] for row in kept["rows"]))


if __name__ == "__main__":
    main()
