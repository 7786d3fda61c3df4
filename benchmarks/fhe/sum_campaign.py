"""Thousands of sums under one-time keys: 4 to 64 holders, every width, every mix of silent and wrong holders up to f.

    python benchmarks/fhe/sum_campaign.py --every-mix   # about 20 minutes on one core; writes results/sum-campaign.json
    python benchmarks/fhe/sum_campaign.py --sums 300 --json

Every sum is dealt, checked by every holder that answers, reconstructed from the answers (by an audit where the search
for a fitting set gives up) and compared number by number. With up to 16 holders shares travel sealed; with 64 they are
handed over. Wrong holders answer last, knowing every honest answer, and lie alone or together.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medward.fhe import ciphertexts, reconstruction
from medward.fhe.checking import check_dealing, check_own_share, read_audit_response, read_response
from medward.fhe.context import Challenge, SumContext
from medward.fhe.contribution import Contribution, Dealing, read_contribution, share_label
from medward.fhe.hybrid import HybridKey
from medward.fhe.packing import BlockLayout
from medward.fhe.parameters import AUDITS, DEGREE, MOST_CONTRIBUTORS, UPDATE_BITS, sum_parameters
from medward.fhe.ring import polynomials

KEPT = Path(__file__).parent / "results" / "sum-campaign.json"
HOLDERS = (4, 7, 10, 16, 64)
#: Boxes are sealed and opened up to so many holders.
MOST_SEALED = 16
#: One sum in so many of 16 holders has more contributors than holders, up to 1,024.
LARGE_EVERY = 50
#: Of 64 holders, who take most of the time, one sum in so many for each width.
PART_OF_64 = 50
LIES = ("noise", "small noise", "one place", "together", "cancelling")

Vector = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass
class Row:
    """What came of the sums of one number of holders and one width."""

    holders: int
    bits: int
    sums: int = 0
    most_contributors: int = 0
    numbers: int = 0
    mixes: int = 0
    silent: int = 0
    wrong_answers: int = 0
    audits: int = 0
    named: int = 0
    wrong_sums: int = 0
    void: int = 0
    honest_named: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Trial:
    """One sum.

    Args:
        holders, bits, contributors: of the sum.
        values: how many are summed.
        silent, wrong: how many holders are.
        seed: of everything in it.
    """

    holders: int
    bits: int
    contributors: int
    values: int
    silent: int
    wrong: int
    seed: int


class Sum:
    """The members of one sum; what they show each other is checked as it comes."""

    def __init__(self, trial: Trial, keys: Mapping[int, HybridKey]) -> None:
        self.trial, self.random = trial, np.random.default_rng(trial.seed)
        faulty = (max(trial.contributors, trial.holders) - 1) // 3
        threshold = trial.holders - (trial.holders - 1) // 3
        parameters = sum_parameters(trial.bits, trial.contributors, trial.holders, faulty, threshold)
        self.layout = BlockLayout(parameters, 1, trial.values)
        occasion = b"campaign %d" % trial.seed
        holders = tuple(range(1, trial.holders + 1))
        self.context = SumContext(parameters, occasion, holders, self.layout.blocks)
        off = sorted(int(j) for j in self.random.choice(holders, trial.silent + trial.wrong, replace=False))
        self.silent = set(self.random.permutation(off)[: trial.silent].tolist())
        self.wrong = [j for j in off if j not in self.silent]
        self.answering = [j for j in holders if j not in self.silent]
        self.challenge = Challenge(self.context, occasion)
        self.audit_rows = self.context.audit_rows(hashlib.sha256(occasion).digest())
        self.total = np.zeros(1 + trial.values, np.int64)
        self.answers = {j: np.zeros(DEGREE + AUDITS) for j in self.answering}
        self.told: list[Vector] = []
        self.secret = np.zeros(DEGREE, np.int64)
        check_blocks, blocks = [], []
        for dealer in range(1, trial.contributors + 1):
            check_block, block = self._take(dealer, keys)
            check_blocks.append(check_block)
            blocks.append(block)
        self.check_sum = ciphertexts.add_elements(self.context, check_blocks)
        self.sums = ciphertexts.add_elements(self.context, blocks)

    def _values(self) -> Integers:
        """Return a count and values: random ones, or all of them extreme."""
        largest = self.context.parameters.largest_value
        if self.random.random() < 0.25:
            values = np.full(self.trial.values, largest if self.trial.seed % 2 else -largest)
        else:
            values = self.random.integers(-largest, largest + 1, self.trial.values)
        return np.concatenate([self.random.integers(0, 1 << 30, 1), values])

    def _take(self, dealer: int, keys: Mapping[int, HybridKey]) -> tuple[memoryview, memoryview]:
        """Let one member deal, and every answering holder check its share and add it up."""
        context, p = self.context, self.context.parameters.prime
        values = self._values()
        self.total += values
        dealing = Dealing(context, dealer, hashlib.sha256(b"%d %d" % (self.trial.seed, dealer)).digest())
        self.secret += dealing.secrets.secret
        split = self.layout.split(values[:1], values[1:])
        if keys:
            publics = {j: keys[j].public for j in context.present}
            content = read_contribution(context, dealing.contribute(split, publics))
            check_block, blocks = content.check_block, content.blocks
            shares = {
                j: keys[j].unseal(bytes(content.boxes[j]), share_label(context, dealer, j)) for j in self.answering
            }
        else:
            check_block, blocks = memoryview(dealing.check_block()), memoryview(dealing.encrypted(split))
            shares = dealing.shares(self.answering)
        response = read_response(context, dealing.respond(self.challenge))
        self._check_dealing(check_block, blocks, response)
        for j, share in shares.items():
            part = reconstruction.answered_part(check_own_share(self.challenge, j, share, response))
            self.answers[j] = polynomials.add(self.answers[j], part, p)
        self.told.append(read_audit_response(context, dealing.respond_to_audit(self.audit_rows)))
        return check_block, blocks

    def _check_dealing(self, check_block: memoryview, blocks: memoryview, response: Vector) -> None:
        check_dealing(self.challenge, Contribution(check_block, blocks, {}, {}), response)

    def lie(self) -> None:
        """Spoil the wrong holders' answers."""
        p = self.context.parameters.prime
        lie = LIES[self.trial.seed % len(LIES)]
        common = self.random.integers(-1000, 1000, DEGREE + AUDITS).astype(float)
        points = [*self.wrong, *(j for j in self.answering if j not in self.wrong)]
        weights = polynomials.weights(points[: self.context.parameters.threshold], (0,), p)[0]
        for place, j in enumerate(self.wrong):
            by = common * (1 + j)
            if lie == "noise":
                by = self.random.integers(-(p // 2), p // 2, DEGREE + AUDITS).astype(float)
            elif lie == "small noise":
                by = self.random.integers(-3, 4, DEGREE + AUDITS).astype(float)
            elif lie == "one place":
                by = np.eye(1, DEGREE + AUDITS, self.trial.seed % DEGREE)[0]
            elif lie == "cancelling":
                sign = 1 - 2 * (place % 2)
                factor = polynomials.balanced(pow(int(weights[place]), -1, p) * sign, p)
                by = polynomials.combine(np.array([[float(factor)]]), common[None], p)[0]
            self.answers[j] = polynomials.add(self.answers[j], polynomials.balance(by, p), p)

    def decrypt(self, row: Row) -> None:
        """Reconstruct, decrypt and compare; write into `row` what came of it."""
        found = reconstruction.reconstruct(self.context, self.check_sum, self.answers)
        named: Sequence[int] = found.wrong if found else ()
        if found is None:
            row.audits += 1
            good = reconstruction.audit(self.context, self.audit_rows, self.told, self.answers)
            named = [j for j in self.answering if j not in good]
            found = reconstruction.reconstruct(self.context, self.check_sum, {j: self.answers[j] for j in good})
        row.named += len(named)
        row.honest_named += len(set(named) - set(self.wrong))
        if found is None:
            row.void += 1
            return
        total = self.layout.join(ciphertexts.decrypt(self.context, self.sums, found.secret))
        exact = np.array_equal(total, self.total) and np.array_equal(found.secret, self.secret)
        row.wrong_sums += not exact
        row.numbers += total.size


def trials(sums: int) -> list[Trial]:
    """Return the campaign: so many sums, spread over holders and widths, mixes of silent and wrong in turn."""
    out = []
    cells = list(product(HOLDERS, UPDATE_BITS))
    for place, (holders, bits) in enumerate(cells):
        faulty = (holders - 1) // 3
        mixes = [(s, w) for s in range(faulty + 1) for w in range(faulty + 1 - s)]
        count = sums // PART_OF_64
        if holders != 64:
            others = len(cells) - len(UPDATE_BITS)
            count = (sums - count * len(UPDATE_BITS)) // others
            count += place < sums - (sums // PART_OF_64) * len(UPDATE_BITS) - count * others
        # A step that has no divisor in common with the number of mixes reaches all of them, the far ones early.
        step = next(k for k in range(len(mixes) * 5 // 8 + 1, 2 * len(mixes) + 2) if np.gcd(k, len(mixes)) == 1)
        for k in range(count):
            silent, wrong = mixes[k * step % len(mixes)]
            large = holders == 16 and k % LARGE_EVERY == LARGE_EVERY - 1
            contributors = holders
            if large:
                contributors = MOST_CONTRIBUTORS if k % (2 * LARGE_EVERY) == LARGE_EVERY - 1 else 65 + 53 * place
            values = 100 if holders == 64 or large else 2500
            out.append(Trial(holders, bits, contributors, values, silent, wrong, 10_000 * place + k))
    return out


def other_mixes(played: list[Trial]) -> list[Trial]:
    """Return a sum of 64 holders for each mix of silent and wrong that was not played, the widths in turn."""
    of_64 = [trial for trial in played if trial.holders == HOLDERS[-1]]
    faulty = (HOLDERS[-1] - 1) // 3
    mixes = [(s, w) for s in range(faulty + 1) for w in range(faulty + 1 - s)]
    left = [mix for mix in mixes if mix not in {(trial.silent, trial.wrong) for trial in of_64}]
    first = max((trial.seed for trial in of_64), default=0) + 1
    return [
        Trial(HOLDERS[-1], UPDATE_BITS[k % len(UPDATE_BITS)], HOLDERS[-1], 100, silent, wrong, first + k)
        for k, (silent, wrong) in enumerate(left)
    ]


def run(campaign: list[Trial], quiet: bool) -> list[Row]:
    """Run the campaign, printing a line for each number of holders and width."""
    keys = {j: HybridKey() for j in range(1, MOST_SEALED + 1)}
    rows: dict[tuple[int, int], Row] = {}
    mixes: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for trial in sorted(campaign, key=lambda trial: (trial.holders, trial.bits)):
        cell = trial.holders, trial.bits
        if cell not in rows and rows and not quiet:
            print(_line(next(reversed(rows.values()))), flush=True)
        row = rows.setdefault(cell, Row(*cell))
        started = time.process_time()
        members = Sum(trial, keys if trial.holders <= MOST_SEALED else {})
        members.lie()
        members.decrypt(row)
        row.seconds += time.process_time() - started
        row.sums += 1
        row.most_contributors = max(row.most_contributors, trial.contributors)
        row.silent += trial.silent
        row.wrong_answers += trial.wrong
        mixes.setdefault(cell, set()).add((trial.silent, trial.wrong))
        row.mixes = len(mixes[cell])
    if rows and not quiet:
        print(_line(next(reversed(rows.values()))), flush=True)
    return list(rows.values())


_HEAD = (
    "| holders | bits | sums | contributors up to | mixes | silent | wrong answers | audits | named | wrong sums | s |"
)


def _line(row: Row) -> str:
    return (
        f"| {row.holders} | {row.bits} | {row.sums:,} | {row.most_contributors:,} | {row.mixes} | {row.silent:,} | "
        f"{row.wrong_answers:,} | {row.audits} | {row.named:,} | {row.wrong_sums} | {row.seconds:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sums", type=int, default=3000)
    parser.add_argument("--every-mix", action="store_true", help="add a sum for each mix of 64 holders left out")
    parser.add_argument("--json", action="store_true", help="print one JSON document, and keep nothing")
    arguments = parser.parse_args()
    if not arguments.json:
        print(_HEAD + "\n" + "|---" * 11 + "|", flush=True)
    campaign = trials(arguments.sums)
    rows = run(campaign + other_mixes(campaign) if arguments.every_mix else campaign, arguments.json)
    keys = ("sums", "numbers", "silent", "wrong_answers", "audits", "named", "wrong_sums", "void", "honest_named")
    summary = {key: sum(getattr(row, key) for row in rows) for key in keys}
    text = json.dumps({"summary": summary, "rows": [asdict(row) for row in rows]}, indent=1)
    if arguments.json:
        print(text)
    else:
        KEPT.write_text(text + "\n", encoding="utf-8")
        print(f"\n{summary}\nkept in {KEPT}")
    sys.exit(1 if summary["wrong_sums"] or summary["void"] or summary["honest_named"] else 0)


if __name__ == "__main__":
    main()
