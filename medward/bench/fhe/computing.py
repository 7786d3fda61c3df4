"""Operations on ciphertexts beside SEAL's: processor time on one thread, medians of runs by turns in one process.

Both have the same ciphertext primes. SEAL switches keys with one special prime of 60 bits and one prime a digit, as it
always does; ours has as many special primes as a digit has. Products under several keys have nothing beside them in
SEAL, and are compared with SEAL's product under one key.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from importlib.metadata import version
from typing import Any

import numpy as np

from medward.bench.fhe.others import installed
from medward.bench.rows import BenchmarkRow
from medward.fhe.computing.ciphertexts import Ciphertext, decrypt, encrypt
from medward.fhe.computing.evaluation import add, multiply, rotate
from medward.fhe.computing.keys import SecretKey
from medward.fhe.computing.parameters import computing_parameters
from medward.fhe.computing.relinearisation import Relinearisation

_RUNS = 21
_SEAL_SPECIAL_BITS = 60
#: How many keys both factors are under where growth is measured.
KEYS = (2, 4, 8, 16)
_PRODUCT, _TWO_KEYS = "multiply, relinearise, rescale", "two disjoint keys, multiply"
_Action = Callable[[], object]


@dataclass(frozen=True)
class ComputingSet:
    """Arguments of a parameter set, and how large SEAL's primes are."""

    degree: int
    scale_bits: int
    levels: int
    digit: int

    @property
    def prime_bits(self) -> list[int]:
        """Bits of the ciphertext's primes."""
        return [50, 50, *[self.scale_bits] * self.levels]


SETS = (ComputingSet(16384, 45, 5, 2), ComputingSet(32768, 45, 12, 4))


def computing_rows(
    sets: tuple[ComputingSet, ...] = SETS, runs: int = _RUNS, for_tests: bool = False
) -> list[BenchmarkRow]:
    """Return the rows of each set, milliseconds.

    Args:
        sets: what is measured.
        runs: turns.
        for_tests: allow sets that are insecure.
    """
    seal = installed("seal")
    name = f"SEAL (seal-python {version('seal-python')})" if seal else None
    rows = []
    for one in sets:
        ours = _actions(one, for_tests)
        theirs = _seal(seal, one) if seal else {}
        spent = _by_turns([*ours.values(), *theirs.values()], runs)
        ours_ms = dict(zip(ours, spent, strict=False))
        theirs_ms = dict(zip(theirs, spent[len(ours) :], strict=True))
        for what, mine in ours_ms.items():
            other = theirs_ms.get(_PRODUCT if what == _TWO_KEYS else what)
            ratio = None if other is None else other / mine
            rows.append(BenchmarkRow(f"{what}; N = {one.degree}", mine, other, name, ratio, "ms"))
    return rows


def many_key_rows(
    one: ComputingSet = SETS[0], counts: Sequence[int] = KEYS, runs: int = 5, for_tests: bool = False
) -> list[BenchmarkRow]:
    """Return the rows of products whose factors are both under so many keys, with each method, milliseconds.

    Args:
        one: what is measured.
        counts: of keys, rising.
        runs: turns.
        for_tests: allow a set that is insecure.
    """
    seal = installed("seal")
    name = f"SEAL (seal-python {version('seal-python')})" if seal else None
    actions = _many_keys(one, counts, for_tests)
    theirs = [_seal(seal, one)[_PRODUCT]] if seal else []
    spent = _by_turns([*actions.values(), *theirs], runs)
    other = spent[-1] if seal else None
    return [
        BenchmarkRow(f"{what}; N = {one.degree}", mine, other, name, None if other is None else other / mine, "ms")
        for what, mine in zip(actions, spent, strict=False)
    ]


def _many_keys(one: ComputingSet, counts: Sequence[int], for_tests: bool) -> dict[str, _Action]:
    """Return what is timed, after its results were found right."""
    parameters = computing_parameters(one.degree, one.scale_bits, one.levels, one.digit, for_tests=for_tests)
    made = [SecretKey(f"owner {k:02}", parameters, b"bench") for k in range(max(counts))]
    secrets = {secret.owner: secret for secret in made}
    keys = {owner: secret.evaluation_key(gadget=True) for owner, secret in secrets.items()}
    values = np.linspace(-1, 1, parameters.slots)
    actions: dict[str, _Action] = {}
    for count in counts:
        a, b = (reduce(add, [encrypt(secret, values) for secret in made[:count]]) for _ in range(2))
        for method in Relinearisation:
            _check(multiply(a, b, keys, method), secrets, (count * values) ** 2)
            actions[f"{count} keys in both factors, {method.value}"] = partial(multiply, a, b, keys, method)
    return actions


def _check(result: Ciphertext, secrets: dict[str, SecretKey], expected: Any) -> None:
    if np.sqrt(np.mean(np.abs(decrypt(result, secrets) - expected) ** 2)) > result.slot_error:
        raise AssertionError("a result is wrong; its time means nothing")


def _actions(one: ComputingSet, for_tests: bool) -> dict[str, _Action]:
    """Return what is timed, after its results were found right."""
    parameters = computing_parameters(one.degree, one.scale_bits, one.levels, one.digit, for_tests=for_tests)
    first, second = (SecretKey(owner, parameters, b"bench") for owner in ("first", "second"))
    secrets = {first.owner: first, second.owner: second}
    keys = {owner: secret.evaluation_key(rotations=(1,)) for owner, secret in secrets.items()}
    values = [np.linspace(-1, 1, parameters.slots), np.linspace(1, 0, parameters.slots)]
    a, b = (encrypt(first, x) for x in values)
    other = encrypt(second, values[1])

    _check(multiply(a, b, keys), secrets, values[0] * values[1])
    _check(multiply(a, other, keys), secrets, values[0] * values[1])
    _check(rotate(a, 1, keys), secrets, np.roll(values[0], -1))
    return {
        _PRODUCT: lambda: multiply(a, b, keys),
        "rotate": lambda: rotate(a, 1, keys),
        _TWO_KEYS: lambda: multiply(a, other, keys),
    }


def _seal(seal: Any, one: ComputingSet) -> dict[str, _Action]:
    parameters = seal.EncryptionParameters(seal.scheme_type.ckks)
    parameters.set_poly_modulus_degree(one.degree)
    bits = [*one.prime_bits, _SEAL_SPECIAL_BITS]
    parameters.set_coeff_modulus(seal.CoeffModulus.Create(one.degree, bits))
    context = seal.SEALContext(parameters, True, seal.sec_level_type.none)  # only its speed is of interest
    generator, encoder, evaluator = seal.KeyGenerator(context), seal.CKKSEncoder(context), seal.Evaluator(context)
    encryptor = seal.Encryptor(context, generator.create_public_key())
    square, moved = generator.create_relin_keys(), seal.GaloisKeys()
    generator.create_galois_keys([1], moved)
    plain = encoder.encode([0.5] * (one.degree // 2), 2.0**one.scale_bits)
    a, b = encryptor.encrypt(plain), encryptor.encrypt(plain)

    def product() -> object:
        result = evaluator.multiply(a, b)
        evaluator.relinearize_inplace(result, square)
        evaluator.rescale_to_next_inplace(result)
        return result

    return {_PRODUCT: product, "rotate": lambda: evaluator.rotate_vector(a, 1, moved)}


def _by_turns(actions: list[_Action], runs: int) -> list[float]:
    """Return the median milliseconds of each action, all run by turns so that all see the same machine."""
    turns = []
    for _ in range(1 + runs):
        turn = []
        for action in actions:
            start = time.thread_time()
            action()
            turn.append((time.thread_time() - start) * 1e3)
        turns.append(turn)
    return [float(np.median(times)) for times in zip(*turns[1:], strict=True)]
