"""The tables of spec/computing.md: bounds on errors beside what is measured (section 8), and sizes (section 10).

    python benchmarks/fhe/computing_tables.py bounds [--sets 1]      half a minute
    python benchmarks/fhe/computing_tables.py sizes

Both print Markdown. Sizes are those of bytes that the formats write.

Messages have modulus 1 in every slot. "Measured" is the largest root mean square error of a slot in so many runs with
fresh keys, times the scale, so that it is in the units of the bound.
"""

import argparse
from collections.abc import Callable
from functools import cached_property
from math import log2

import numpy as np

from medward.fhe.computing.ciphertexts import Ciphertext, decrypt, encode, encrypt, encrypt_for
from medward.fhe.computing.evaluation import add, lower, multiply, multiply_plain, rotate
from medward.fhe.computing.flooding import FloodShape
from medward.fhe.computing.formats.ciphertexts import write_ciphertext
from medward.fhe.computing.formats.keys import write_evaluation_key, write_public_key
from medward.fhe.computing.formats.opened_parts import write_opened_part
from medward.fhe.computing.keys import EvaluationKey, GadgetKey, PublicKey, SecretKey, SwitchingKey
from medward.fhe.computing.noise import ErrorBound
from medward.fhe.computing.opening import OpenedPart
from medward.fhe.computing.parameters import computing_parameters
from medward.fhe.computing.relinearisation import Relinearisation

SETS = ((16384, 45, 5, 2), (32768, 45, 12, 4))
#: Sets whose sizes are told: those that the page estimates the security of.
SIZED = ((8192, 40, 1, 1), (16384, 45, 5, 2), (32768, 84, 5, 4), (32768, 45, 12, 4))
RUNS = 3
Case = Callable[["Pair"], tuple[Ciphertext, np.ndarray]]


class Pair:
    """Two owners with fresh keys, a ciphertext of each, and what they hold."""

    def __init__(self, arguments: tuple[int, int, int, int], run: int) -> None:
        self.parameters = computing_parameters(*arguments)
        self.first, second = (SecretKey(name, self.parameters, b"tables") for name in ("first", "second"))
        self.secrets = {key.owner: key for key in (self.first, second)}
        generator = np.random.default_rng(run)
        self.a, self.b = (np.exp(2j * np.pi * generator.random(self.parameters.slots)) for _ in range(2))
        self.x = encrypt_for(self.first.public_key(), self.a)
        self.y = encrypt_for(second.public_key(), self.b)
        self.w = encrypt_for(self.first.public_key(), self.b)

    @cached_property
    def keys(self) -> dict[str, EvaluationKey]:
        """Keys to multiply and rotate."""
        return {owner: secret.evaluation_key(rotations=(1,)) for owner, secret in self.secrets.items()}

    @cached_property
    def many_owners_keys(self) -> dict[str, EvaluationKey]:
        """Keys to multiply as for many owners."""
        return {owner: secret.evaluation_key(gadget=True) for owner, secret in self.secrets.items()}

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
    "multiply, two owners, KKLSS": lambda p: (multiply(p.x, p.y, p.many_owners_keys, Relinearisation.KKLSS), p.a * p.b),
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


def written(arguments: tuple[int, int, int, int]) -> dict[str, int]:
    """Return the bytes of each object with these parameters; residues are all 0, for their size is that of any."""
    parameters = computing_parameters(*arguments)
    owners, seed = tuple(f"hospital number {k}/0123456789abcdef" for k in range(1, 9)), bytes(32)
    width, levels = len(parameters.primes), parameters.levels

    def zeros(*shape: int) -> np.ndarray:
        return np.broadcast_to(0.0, (*shape, parameters.degree))

    def ciphertext(count: int, level: int, seed: bytes | None = None) -> int:
        parts = zeros(1 + count, parameters.limbs(level))
        bound = ErrorBound(1.0, 2.0**20, 1.0)
        return len(write_ciphertext(Ciphertext(parameters, level, owners[:count], parts, bound, seed)))

    def evaluation(rotations: int, gadget: bool) -> int:
        whole = zeros(len(parameters.digits(levels)), width)
        pair = SwitchingKey(whole, whole)
        moved = {2 * k + 3: pair for k in range(rotations)}
        fine = zeros(len(parameters.digits(levels, parameters.gadget_digit)), width) if gadget else whole
        many = GadgetKey(fine, fine, fine) if gadget else None
        key = EvaluationKey(owners[0], parameters, b"label", seed, pair, whole, whole, whole, whole, moved, many)
        return len(write_evaluation_key(key))

    plain = evaluation(0, False)
    part = OpenedPart(owners[0], parameters, bytes(32), FloodShape(17, 9), zeros(2))
    out = {
        "public key": len(write_public_key(PublicKey(owners[0], parameters, b"label", zeros(parameters.top)))),
        "evaluation key": plain,
        "for each rotation more": evaluation(1, False) - plain,
    }
    if parameters.gadget_digit:
        out["for products of many owners more"] = evaluation(0, True) - plain
    return out | {
        "ciphertext, just encrypted": ciphertext(1, parameters.levels, seed),
        "the same after an addition": ciphertext(1, parameters.levels),
        "result of two owners, level 0": ciphertext(2, 0),
        "result of eight owners, level 0": ciphertext(8, 0),
        "opened part": len(write_opened_part(part)),
    }


def print_sizes() -> None:
    found = [written(arguments) for arguments in SIZED]
    heads = [f"N = {n}, 2^{bits}, {levels} levels, digit {digit}" for n, bits, levels, digit in SIZED]
    print(f"| bytes | {' | '.join(heads)} |")
    print("|" + "---|" * (1 + len(SIZED)))
    for name in found[-1]:
        cells = [f"{sizes[name]:,}" if name in sizes else "none" for sizes in found]
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("bounds", "sizes"))
    parser.add_argument("--sets", type=int, default=len(SETS), help="how many of the parameter sets of bounds")
    words = parser.parse_args()
    if words.what == "sizes":
        print_sizes()
        return
    sets = SETS[: words.sets]
    heads = [f"N = {n}, scale 2^{bits}: bound, measured, factor" for n, bits, _, _ in sets]
    print(f"| operation | {' | '.join(heads)} |")
    print("|" + "---|" * (1 + len(sets)))
    for name, case in CASES.items():
        found = [figures(arguments, case) for arguments in sets]
        cells = [f"2^{bound:.1f}, 2^{most:.1f}, 2^{bound - most:.1f}" for bound, most in found]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
