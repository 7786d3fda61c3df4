"""What one encrypted round costs each role as federations grow: sizes from the parameters, times from a benchmark.

    python benchmarks/fhe/scaling.py [--weights 250000] [--bits 8] [--bench benchmarks/fhe/results/fhe-bench.json]

K hospitals contribute; h of them hold shares, check and answer. Up to 64 hospitals all hold shares; with h < K the h
are a committee. Sizes are exact, from the derived parameter sets. Times are those of `medward bench fhe` for as many
holders and at least as many ciphertext blocks: of a contribution as they are, of checking and of decrypting multiplied
with the contributors, which is a little too much, since finding the secret does not depend on them.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medward.bench.fhe.member_part import WEIGHTS
from medward.federation.model.wire import parts, sum_set
from medward.fhe.packing import BlockLayout
from medward.fhe.parameters import MOST_HOLDERS, sum_parameters
from medward.ledger.membership import MAX_MEMBERS

RESULTS = Path(__file__).parent / "results" / "fhe-bench.json"
#: (contributors, holders).
SIZES = ((4, 4), (16, 16), (64, 64), (128, 64), (1000, 16), (1000, 64))
#: What was measured: (members, bits).
CELLS = tuple((members, bits) for members in (4, 16, 64) for bits in (8, 16))


@dataclass(frozen=True)
class Times:
    """Seconds of one thread.

    Args:
        contribute: contribute and respond.
        examine: check one dealing, and one's share of it.
        answer: add up the shares.
        decrypt: find the secret and decrypt, for one contributor.
    """

    contribute: float
    examine: float
    answer: float
    decrypt: float

    @classmethod
    def of(cls, milliseconds: Mapping[str, float], members: int, bits: int) -> "Times":
        """Return the times of a measured cell from the rows of `medward bench fhe --json`."""
        label = f", {bits} bits, {members} members"

        def one(what: str) -> float:
            found = (spent for row, spent in milliseconds.items() if row.startswith(what) and row.endswith(label))
            return next(found) / 1000

        return cls(
            one("contribute") + one("respond"), one("examine one"), one("answer"), one("decrypt") / members
        )  # fmt: skip


def times_for(milliseconds: Mapping[str, float], holders: int, blocks: int) -> Times | None:
    """Return the times of the cell with so many holders and the fewest blocks that suffice; None if there is none."""
    enough = [
        (BlockLayout(sum_set(bits, members), 0, WEIGHTS).blocks, members, bits)
        for members, bits in CELLS
        if members == holders
    ]
    enough = [cell for cell in enough if cell[0] >= blocks]
    return Times.of(milliseconds, *min(enough)[1:]) if enough else None


def records(contributors: int, holders: int) -> int:
    """Return how many records a round puts on the ledger when nobody fails.

    BeginRound; Commit, Submit, Finish, Vote of each contributor; Attest, Answer and the next SealingKey of each holder.
    """
    return 1 + 4 * contributors + 3 * holders


def row(contributors: int, holders: int, weights: int, bits: int, milliseconds: Mapping[str, float]) -> str:
    """Return one line of the table."""
    threshold = holders - (holders - 1) // 3
    parameters = sum_parameters(bits, contributors, holders, (contributors - 1) // 3, threshold)
    sizes, blocks = parts(parameters, 0, weights), BlockLayout(parameters, 0, weights).blocks
    sent = sizes.contribution + sizes.response
    fetched = (contributors - 1) * sent + (holders - 1) * sizes.answer
    times = times_for(milliseconds, holders, blocks)
    if times is None:
        spent = "– | – | –"
    else:
        ending = times.answer + contributors * times.decrypt
        spent = f"{times.contribute:.3f} | {contributors * times.examine:.3f} | {ending:.3f}"
    return (
        f"| {contributors:,} | {holders} | {blocks} | {sent / 1e6:.2f} | {sizes.answer / 1e6:.3f} | "
        f"{fetched / 1e6:,.1f} | {spent} | {records(contributors, holders):,} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=int, default=WEIGHTS)
    parser.add_argument("--bits", type=int, default=8)
    parser.add_argument("--bench", type=Path, default=RESULTS)
    words = parser.parse_args()
    rows = json.loads(words.bench.read_text(encoding="utf-8"))["rows"]
    milliseconds = {str(row["what"]): float(row["ours"]) for row in rows if row["unit"] == "ms"}
    most = f"at most {MOST_HOLDERS} holders, {MAX_MEMBERS} ledger members"
    print(f"{words.weights:,} weights of {words.bits} bits; {most}\n")
    print(
        "| hospitals | holders | blocks | MB a contributor sends | MB a holder's answer | MB a holder fetches | "
        "s to contribute and respond | s to check all | s to answer and decrypt | records |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for contributors, holders in SIZES:
        print(row(contributors, holders, words.weights, words.bits, milliseconds))


if __name__ == "__main__":
    main()
