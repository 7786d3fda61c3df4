"""Bounds on errors of operations on ciphertexts beside what is measured: the table of spec/computing.md, section 8.

Run: python benchmarks/computing_tables.py [--sets 1]   (prints Markdown; half a minute)

Messages have modulus 1 in every slot. "Measured" is the largest root mean square error of a slot in so many runs with
fresh keys, times the scale, so that it is in the units of the bound.
"""

import argparse
from collections.abc import Callable
from math import log2

import numpy as np

from medward.fhe.computing.ciphertexts import Ciphertext, decrypt, encode, encrypt, encrypt_for
from medward.fhe.computing.evaluation import add, lower, multiply, multiply_plain, rotate
from medward.fhe.computing.keys import EvaluationKey, SecretKey
from medward.fhe.computing.parameters import computing_parameters

SETS = ((16384, 45, 5, 2), (32768, 45, 12, 4))
RUNS = 3
Case = Callable[["Pair"], tuple[Ciphertext, np.ndarray]]


class Pair:
    """Two owners with fresh keys, a ciphertext of each, and what they hold."""

    def __init__(self, arguments: tuple[int, int, int, int], run: int) -> None:
        self.parameters = computing_parameters(*arguments)
        self.first, second = (SecretKey(name, self.parameters, b"tables") for name in ("first", "second"))
        self.secrets = {key.owner: key for key in (self.first, second)}
        self.keys: dict[str, EvaluationKey] = {n: s.evaluation_key(rotations=(1,)) for n, s in self.secrets.items()}
        generator = np.random.default_rng(run)
        self.a, self.b = (np.exp(2j * np.pi * generator.random(self.parameters.slots)) for _ in range(2))
        self.x = encrypt_for(self.first.public_key(), self.a)
        self.y = encrypt_for(second.public_key(), self.b)
        self.w = encrypt_for(self.first.public_key(), self.b)

    def squares(self) -> tuple[Ciphertext, np.ndarray]:
        """Square until no level is left."""
        x, a = self.x, self.a
        while x.level:
            x, a = multiply(x, x, self.keys), a * a
        return x, a


CASES: dict[str, Case] = {
    "encrypt under the secret key": lambda p: (encrypt(p.first, p.a), p.a),
    "encrypt under the public key": lambda p: (p.x, p.a),
    "add": lambda p: (add(p.x, p.y), p.a + p.b),
    "multiply, one owner": lambda p: (multiply(p.x, p.w, p.keys), p.a * p.b),
    "multiply, two owners": lambda p: (multiply(p.x, p.y, p.keys), p.a * p.b),
    "multiply by a plaintext": lambda p: (
        multiply_plain(encrypt(p.first, p.a), encode(p.parameters, p.b, 1.0, p.parameters.levels)),
        p.a * p.b,
    ),
    "rotate": lambda p: (rotate(encrypt(p.first, p.a), 1, p.keys), np.roll(p.a, -1)),
    "lower to level 0": lambda p: (lower(encrypt(p.first, p.a), 0), p.a),
    "square at every level": lambda p: p.squares(),
}


def figures(arguments: tuple[int, int, int, int], case: Case) -> tuple[float, float]:
    """Return log2 of the bound and of the largest error measured."""
    bound, most = 0.0, 0.0
    for run in range(RUNS):
        pair = Pair(arguments, run)
        result, expected = case(pair)
        scale = pair.parameters.scales[result.level]
        error = float(np.sqrt(np.mean(np.abs(decrypt(result, pair.secrets) - expected) ** 2)))
        if error > result.slot_error:
            raise AssertionError("an error exceeds its bound")
        bound, most = result.slot_error * scale, max(most, error * scale)
    return log2(bound), log2(most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sets", type=int, default=len(SETS), help="how many of the parameter sets")
    sets = SETS[: parser.parse_args().sets]
    heads = [f"N = {n}, scale 2^{bits}: bound, measured, factor" for n, bits, _, _ in sets]
    print(f"| operation | {' | '.join(heads)} |")
    print("|" + "---|" * (1 + len(sets)))
    for name, case in CASES.items():
        found = [figures(arguments, case) for arguments in sets]
        cells = [f"2^{bound:.1f}, 2^{most:.1f}, 2^{bound - most:.1f}" for bound, most in found]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
