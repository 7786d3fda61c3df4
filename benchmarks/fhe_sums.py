"""Thousands of encrypted sums, each compared with the exact one: every set, width and kind of members, 4 to 64 members.

A trial is one sum of random or extreme updates; every member contributes and holds a key. In every second trial some
holders are silent and opened from their dealt shares, 1 to n - t of them. Each sum is added and combined in two orders,
and their bytes must be equal. Updates, silent holders and orders follow from the seed; keys, errors and floods come
from the operating system, as always. Cells (a set, width, kind and number of members) in FILE are not run again.

Run: python benchmarks/fhe_sums.py [--trials 50] [--seed 1] [--cells 0:60] [--out FILE] [--json]
"""

import argparse
import json
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medward.fhe import dealing
from medward.fhe.decryption import combine, decryption_share, opened_share
from medward.fhe.encoding import decode_ciphertext, encode_ciphertext
from medward.fhe.encryption import encrypt, sum_ciphertexts
from medward.fhe.keys import SecretKey, generate_key, joint_key, reference_string
from medward.fhe.parameters import NAMED_SETS, UPDATE_BITS, Members, SumParameters, capacity, sum_parameters
from medward.fhe.ring import Element

KINDS = ("random", "lowest", "highest", "alternating")


@dataclass
class Cell:
    """Keys of one federation, and the secrets of the holders that may be silent, opened from dealt shares."""

    parameters: SumParameters
    a: Element
    secrets: list[SecretKey]
    key: Element
    opened: dict[int, Element]


def make_cell(parameters: SumParameters, openings: int, generator: random.Random) -> Cell:
    a = reference_string(parameters, b"campaign", 1)
    pairs = [generate_key(parameters, a) for _ in range(parameters.holders)]
    key = joint_key(parameters, [b for _, b in pairs])
    holders = tuple(range(1, parameters.holders + 1))
    t = dealing.threshold(parameters.holders)
    opened = {}
    for silent in generator.sample(holders, openings):
        context = dealing.DealingContext(b"campaign", 1, silent, holders, t)
        dealt = dealing.deal(parameters, context, pairs[silent - 1][0])
        response = dealing.respond(parameters, dealt, b"beacon")
        shares = {
            j: dealing.check_dealt_share(
                parameters, context, j, dealt.shares[j], digest=dealt.digests[j], beacon=b"beacon", response=response
            )
            for j in generator.sample([h for h in holders if h != silent], t)
        }
        opened[silent] = dealing.open_secret(parameters, context, a, pairs[silent - 1][1], shares)
    return Cell(parameters, a, [s for s, _ in pairs], key, opened)


def values_of(parameters: SumParameters, kind: str, generator: np.random.Generator) -> np.ndarray:
    shape = (parameters.lanes, parameters.degree)
    low, high = parameters.smallest_value, parameters.largest_value
    if kind == "random":
        return generator.integers(low, high + 1, shape)
    if kind == "alternating":
        return np.where(np.add.outer(np.arange(shape[0]), np.arange(shape[1])) % 2 == 0, low, high)
    return np.full(shape, low if kind == "lowest" else high)


def trial(cell: Cell, contributors: int, kind: str, silent: list[int], chance: random.Random) -> int:
    """Return how many lanes are wrong; bytes that differ between two orders count as one more."""
    p = cell.parameters
    generator = np.random.default_rng(chance.getrandbits(64))
    values = [values_of(p, kind, generator) for _ in range(contributors)]
    ciphertexts = [encrypt(p, cell.a, cell.key, v)[0] for v in values]
    total = sum_ciphertexts(p, ciphertexts)
    encoding = encode_ciphertext(p, total)
    differ = encoding != encode_ciphertext(p, sum_ciphertexts(p, chance.sample(ciphertexts, len(ciphertexts))))
    total = decode_ciphertext(p, encoding)
    shares = [
        opened_share(p, cell.opened[j], total.c1) if j in silent else decryption_share(p, secret, total.c1)[0]
        for j, secret in enumerate(cell.secrets, start=1)
    ]
    sums = combine(p, total, shares)
    differ |= sums.tobytes() != combine(p, total, chance.sample(shares, len(shares))).tobytes()
    return int(np.count_nonzero(sums != sum(values))) + int(differ)


def cells() -> list[tuple[str, int, Members, int]]:
    """Return (set, bits, kind of members, number of members) of every cell."""
    out: list[tuple[str, int, Members, int]] = []
    for name in NAMED_SETS:
        kinds: tuple[Members, ...] = ("semi-honest",) if name == "AGG-S40" else ("semi-honest", "malicious")
        out += [(name, bits, kind, count) for kind in kinds for bits in UPDATE_BITS for count in (4, 16, 64)]
    return out


def run_cell(cell: tuple[str, int, Members, int], trials: int, seed: int) -> dict[str, object]:
    """Run one cell's trials and return its row."""
    name, bits, kind, count = cell
    start = time.process_time()
    chance = random.Random(f"{seed} {cell}")
    parameters = sum_parameters(name, bits, capacity(count), count, kind)
    openings = min(
        count - dealing.threshold(count), max(1, trials - 2)
    )  # so that every number of silent holders occurs
    keys = make_cell(parameters, openings, chance)
    wrong = silent_most = opened = 0
    for number in range(trials):
        silent = chance.sample(sorted(keys.opened), 1 + number // 2 % openings) if number % 2 else []
        silent_most, opened = max(silent_most, len(silent)), opened + bool(silent)
        wrong += trial(keys, count, KINDS[number // 2 % len(KINDS)], silent, chance)
    return {
        "set": name, "bits": bits, "members": kind, "count": count, "seed": seed, "trials": trials,
        "lanes": trials * parameters.values_per_ciphertext, "trials with silent holders": opened,
        "most opened": silent_most, "wrong": wrong, "seconds": round(time.process_time() - start, 1),
    }  # fmt: skip


def main() -> int:
    """Run what is missing, print it, and return how many lanes were wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cells", default=":", help="a range of the 60 cells, as 0:10")
    parser.add_argument("--out", type=Path, help="keep each finished cell here, a JSON line each")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    kept = words.out.read_text().splitlines() if words.out is not None and words.out.exists() else []
    results = [json.loads(line) for line in kept]
    done = {(row["set"], row["bits"], row["members"], row["count"], row["seed"], row["trials"]) for row in results}
    first, last = words.cells.split(":")
    for cell in cells()[int(first or 0) : int(last) if last else None]:
        if (*cell, words.seed, words.trials) in done:
            continue
        results.append(run_cell(cell, words.trials, words.seed))
        print(results[-1], file=sys.stderr, flush=True)
        if words.out is not None:
            with words.out.open("a") as file:
                file.write(json.dumps(results[-1]) + "\n")
    summary = {
        key: sum(row[key] for row in results) for key in ("trials", "lanes", "trials with silent holders", "wrong")
    }
    print(json.dumps({"summary": summary, "rows": results}, indent=2) if words.json else summary)
    return int(summary["wrong"])


if __name__ == "__main__":
    sys.exit(main() != 0)
