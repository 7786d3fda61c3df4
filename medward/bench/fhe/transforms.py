"""Transforms and products of polynomials beside SEAL's: processor time on one thread, medians of alternating runs."""

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

from medward.bench.fhe.others import installed
from medward.bench.rows import BenchmarkRow
from medward.fhe.ring.ring import Element, Ring
from medward.fhe.sampling import expand_element

_RUNS = 7
#: What a row compares. Ours end at slots of degree four, two layers before SEAL's at single values; what that saves
#: comes back in the slots' products. So the third row lets ours do as many butterflies as a complete transform (a
#: quarter of the time at four times the degree has just as many), and the last times what a product takes in all.
WHAT = (
    "forward transform",
    "inverse transform",
    "forward transform with as many butterflies as a complete one",
    "inverse transform with as many butterflies as a complete one",
    "product of transforms",
    "product of two polynomials: two forward transforms, product, inverse",
)

Action = Callable[[], float]


def transform_rows(rounds: int = 100, degrees: tuple[int, ...] = (2048, 8192, 16384, 32768)) -> list[BenchmarkRow]:
    """Return the rows for each degree, microseconds for one limb of 50 bits.

    Sums use degree 2048 and one limb. SEAL allows no more there; at larger degrees both work on four limbs.

    Args:
        rounds: repetitions within a run, at degree 8192; fewer at larger ones.
        degrees: N of the rings.
    """
    seal = installed("seal")
    name = f"SEAL (seal-python {version('seal-python')})" if seal else None
    rows = []
    for degree in degrees:
        repeat = max(2, rounds * 8192 // degree)
        limbs = 1 if degree < 8192 else 4
        ours = _Ours(degree, limbs, repeat).actions()
        theirs = _Seal(seal, degree, limbs, repeat).actions() if seal else (None,) * len(WHAT)
        for what, mine, other in zip(WHAT, ours, theirs, strict=True):
            our_time, their_time = _by_turns(mine, other)
            rows.append(
                BenchmarkRow(
                    f"{what}, one 50-bit limb, N = {degree}",
                    our_time * 1e6,
                    None if their_time is None else their_time * 1e6,
                    name,
                    None if their_time is None else their_time / our_time,
                    "us",
                )
            )
    return rows


class _Ours:
    """Times this ring's operations, seconds per limb."""

    def __init__(self, degree: int, limbs: int, repeat: int) -> None:
        self._ring, self._larger = Ring(degree, limbs), Ring(4 * degree, limbs)
        self._limbs, self._repeat = limbs, repeat

    def actions(self) -> tuple[Action, ...]:
        """Return one action for each of WHAT."""
        forward, inverse = self._transforms(self._ring, 1)
        more_forward, more_inverse = self._transforms(self._larger, 4)
        return forward, inverse, more_forward, more_inverse, self._product(), self._whole()

    def _transforms(self, ring: Ring, share: int) -> tuple[Action, Action]:
        element = expand_element(b"element", ring)
        limbs = self._limbs * share
        pair = _Toggle(lambda: ring.forward(element), lambda: ring.inverse(element), self._repeat, limbs)
        return pair.forward, pair.inverse

    def _elements(self) -> tuple[Element, Element, Element]:
        first, second = (expand_element(label, self._ring) for label in (b"first", b"second"))
        return first, second, self._ring.zero()

    def _product(self) -> Action:
        a, b, c = self._elements()
        return _repeated(lambda: self._ring.multiply_add(a, b, c), lambda: None, self._repeat, self._limbs)

    def _whole(self) -> Action:
        ring, (a, b, zero) = self._ring, self._elements()

        def whole() -> None:
            ring.inverse(ring.multiply_add(ring.forward(a), ring.forward(b), zero))

        return _repeated(whole, lambda: None, self._repeat, self._limbs)


class _Seal:
    """Times SEAL's operations, seconds per limb of one polynomial; a ciphertext has two polynomials."""

    def __init__(self, seal: Any, degree: int, limbs: int, repeat: int) -> None:
        parameters = seal.EncryptionParameters(seal.scheme_type.bfv)
        parameters.set_poly_modulus_degree(degree)
        parameters.set_coeff_modulus(seal.CoeffModulus.Create(degree, [50] * limbs))
        parameters.set_plain_modulus(seal.PlainModulus.Batching(degree, 20))
        context = seal.SEALContext(parameters)
        encryptor = seal.Encryptor(context, seal.KeyGenerator(context).create_public_key())
        self._plaintext = seal.BatchEncoder(context).encode([1] * degree)
        self._evaluator = seal.Evaluator(context)
        self._first, self._second = (encryptor.encrypt(self._plaintext) for _ in range(2))
        self._limbs = self._first.size() * self._first.coeff_modulus_size()
        self._evaluator.transform_to_ntt_inplace(self._plaintext, self._first.parms_id())
        self._repeat = repeat

    def actions(self) -> tuple[Action, ...]:
        """Return one action for each of WHAT."""
        to_ntt, from_ntt = self._evaluator.transform_to_ntt_inplace, self._evaluator.transform_from_ntt_inplace
        multiply = self._evaluator.multiply_plain_inplace
        first, second, factor, plaintext = self._first, self._second, self._first_in_ntt(), self._plaintext
        pair = _Toggle(lambda: to_ntt(first), lambda: from_ntt(first), self._repeat, self._limbs)

        def whole() -> None:
            to_ntt(first)
            to_ntt(second)  # stands for the other factor's transform; multiply_plain takes one that is transformed
            multiply(first, plaintext)
            from_ntt(first)

        product = _repeated(lambda: multiply(factor, plaintext), lambda: None, self._repeat, self._limbs)
        chain = _repeated(whole, lambda: from_ntt(second), self._repeat, self._limbs)
        return pair.forward, pair.inverse, pair.forward, pair.inverse, product, chain

    def _first_in_ntt(self) -> Any:
        other = type(self._first)(self._first)
        self._evaluator.transform_to_ntt_inplace(other)
        return other


class _Toggle:
    """Runs forward and inverse transforms of one object in turn, each direction on its own clock."""

    def __init__(self, forward: Callable[[], object], inverse: Callable[[], object], repeat: int, limbs: int) -> None:
        self._directions = (forward, inverse)
        self._repeat, self._limbs = repeat, limbs

    def forward(self) -> float:
        """Return the seconds of a forward transform of one limb."""
        return self._run()[0]

    def inverse(self) -> float:
        """Return the seconds of an inverse transform of one limb."""
        return self._run()[1]

    def _run(self) -> tuple[float, float]:
        spent = [0.0, 0.0]
        for _ in range(self._repeat):
            for k, direction in enumerate(self._directions):
                start = time.thread_time()
                direction()
                spent[k] += time.thread_time() - start
        return spent[0] / self._repeat / self._limbs, spent[1] / self._repeat / self._limbs


def _repeated(action: Callable[[], object], restore: Callable[[], object], repeat: int, limbs: int) -> Action:
    """Return an action that repeats another, with something untimed after each time, and returns its seconds a limb."""

    def run() -> float:
        spent = 0.0
        for _ in range(repeat):
            start = time.thread_time()
            action()
            spent += time.thread_time() - start
            restore()
        return spent / repeat / limbs

    return run


def _by_turns(mine: Action, other: Action | None) -> tuple[float, float | None]:
    """Return the medians of both, run by turns so that both see the same machine."""
    turns = [(mine(), 0.0 if other is None else other()) for _ in range(1 + _RUNS)][1:]
    ours, theirs = (float(np.median(times)) for times in zip(*turns, strict=True))
    return ours, None if other is None else theirs
