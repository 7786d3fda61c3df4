"""What one encrypted round costs each role as federations grow: sizes from the parameters, times from a benchmark.

    python benchmarks/scaling.py [--weights 250000] [--bits 8] [--bench benchmarks/results/fhe-bench.json]

K hospitals contribute; n of them hold the key, check, add and share. With n = K every hospital does everything, as
medward's federations do now (K at most 64); with n < K the n are a key committee. Sizes are exact, from the derived
parameter sets, for members who may be malicious. Times are blocks times the measured times of one proof, of `medward
bench fhe` for 16 members: the ring, and with it the work on one proof, does not depend on K or n. 250,000 weights are
about what Sentinel has on X-IoMT.
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

from medward.fhe.encoding import HEADER_BYTES, Kind, element_bytes
from medward.fhe.errors import UnsafeParameters
from medward.fhe.parameters import MOST_HOLDERS, capacity, sum_parameters
from medward.fhe.proofs import proof_bytes
from medward.ledger.membership import MAX_MEMBERS

RESULTS = Path(__file__).parent / "results" / "fhe-bench.json"
#: (contributors, holders).
SIZES = ((4, 4), (10, 10), (16, 16), (64, 64), (128, 16), (128, 64), (1000, 16), (1000, 64))


@dataclass(frozen=True)
class Times:
    """Milliseconds of one thread."""

    prove: float
    verify: float
    prove_share: float
    verify_share: float

    @classmethod
    def of(cls, rows: list[dict[str, object]], name: str) -> "Times":
        """Return the times of a parameter set from the rows of `medward bench fhe --json`."""
        found = {str(row["what"]): float(str(row["ours"])) for row in rows if row["unit"] == "ms"}

        def one(what: str) -> float:
            return found[f"{what}; {name}, 8 bits, 16 malicious members"]

        return cls(one("prove a ciphertext"), one("verify a ciphertext"), one("prove a share"), one("verify a share"))


def records(contributors: int, holders: int) -> int:
    """Return how many records a round puts on the ledger when nobody fails."""
    contributing = 2 * contributors  # Commit, Submit
    # Attest, ShareCommit, Share, Attest to shares, Finish, Vote
    return 1 + contributing + 6 * holders + 1


def row(name: str, contributors: int, holders: int, weights: int, bits: int, times: Times) -> str:
    """Return one line of the table."""
    where = f"| {contributors} | {holders} | {name} |"
    try:
        p = sum_parameters(name, bits, capacity(contributors), holders)
    except UnsafeParameters as error:
        return f"{where} {error} | | | | | | |"
    blocks = math.ceil(weights / p.values_per_ciphertext)
    sent = blocks * (HEADER_BYTES + 2 * element_bytes(p) + proof_bytes(p, Kind.CIPHERTEXT_PROOF))
    share = blocks * (HEADER_BYTES + element_bytes(p) + proof_bytes(p, Kind.SHARE_PROOF))
    fetched = contributors * sent + holders * share
    prove = blocks * times.prove / 1000
    examine = blocks * contributors * times.verify / 1000
    shares = blocks * (times.prove_share + holders * times.verify_share) / 1000
    return (
        f"{where} {blocks} | {sent / 1e6:.2f} | {share / 1e6:.2f} | {fetched / 1e6:,.0f} | {prove:.3f} | "
        f"{examine:,.2f} | {shares:,.2f} | {records(contributors, holders):,} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=int, default=250_000)
    parser.add_argument("--bits", type=int, default=8)
    parser.add_argument("--bench", type=Path, default=RESULTS)
    words = parser.parse_args()
    rows = json.loads(words.bench.read_text())["rows"]
    print(
        f"{words.weights} weights of {words.bits} bits; at most {MOST_HOLDERS} holders, {MAX_MEMBERS} ledger members\n"
    )
    print(
        "| hospitals | key holders | set | blocks | MB a contributor sends | MB a holder sends | MB a holder fetches | "
        "s to prove a contribution | s to examine all | s for shares | records |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for contributors, holders in SIZES:
        for name in ("AGG-M", "AGG-L"):
            print(row(name, contributors, holders, words.weights, words.bits, Times.of(rows, name)))


if __name__ == "__main__":
    main()
