"""Keys, ciphertexts and opened parts that are the same in every run, and what writes and reads them."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from medward.fhe.computing.ciphertexts import Ciphertext, expanded_c1
from medward.fhe.computing.context import computing_context
from medward.fhe.computing.flooding import FloodShape
from medward.fhe.computing.formats.ciphertexts import read_ciphertext, write_ciphertext
from medward.fhe.computing.formats.keys import (
    read_evaluation_key,
    read_public_key,
    write_evaluation_key,
    write_public_key,
)
from medward.fhe.computing.formats.opened_parts import read_opened_part, write_opened_part
from medward.fhe.computing.keys import EvaluationKey, GadgetKey, PublicElements, PublicKey, SwitchingKey, fingerprint_of
from medward.fhe.computing.noise import ErrorBound
from medward.fhe.computing.opening import OpenedPart
from medward.fhe.computing.parameters import BASE_PRIMES
from medward.fhe.sampling import expand_vector, framed
from tests.fhe.computing.world import LABEL, small

TINY = small(levels=1, degree=64)
PRIMES = TINY.primes[: TINY.top]


def elements(name: str, count: int, primes: tuple[int, ...]) -> np.ndarray:
    return np.stack(
        [[expand_vector(framed(name, k, i), q, TINY.degree) for i, q in enumerate(primes)] for k in range(count)]
    )


def public_key(name: str = "ahus") -> PublicKey:
    b = elements(name, 1, PRIMES)[0]
    return PublicKey(f"{name}/{fingerprint_of(TINY, LABEL, b)[:16]}", TINY, LABEL, b)


def evaluation_key(gadget: bool = False) -> EvaluationKey:
    digits = len(TINY.digits(1))
    b, d0, d2, square, moved = (elements(f"{k}", digits, TINY.primes) for k in range(5))
    b[0, : TINY.top] = public_key().b
    public = PublicElements(public_key().owner, TINY, bytes(range(32)))
    many = GadgetKey(*(elements(f"gadget {k}", len(TINY.digits(1, 1)), TINY.primes) for k in range(3)))
    return EvaluationKey(
        public.owner, TINY, LABEL, public.seed, SwitchingKey(square, public.expand("square")), b, d0,
        public.expand("d1"), d2, {127: SwitchingKey(moved, public.expand("automorphism", 127))},
        many if gadget else None,
    )  # fmt: skip


def by_owner() -> Ciphertext:
    owner, seed = public_key().owner, bytes(range(32))
    parts = np.stack([elements("c", 1, PRIMES)[0], expanded_c1(TINY, owner, 1, seed)])
    return Ciphertext(TINY, 1, (owner,), parts, computing_context(TINY).noise.fresh(1.0, 1), seed)


def for_owner() -> Ciphertext:
    bound = computing_context(TINY).noise.fresh_public(1.0, 1)
    return Ciphertext(TINY, 1, (public_key().owner,), elements("f", 2, PRIMES), bound)


def computed() -> Ciphertext:
    names = tuple(sorted(public_key(name).owner for name in ("ahus", "bergen")))
    return Ciphertext(TINY, 0, names, elements("c", 3, TINY.primes[:BASE_PRIMES]), ErrorBound(2.0, 1000.0, 0.5))


def opened_part() -> OpenedPart:
    return OpenedPart(
        public_key().owner, TINY, bytes(range(32)), FloodShape(17, 9), elements("p", 1, TINY.primes[:BASE_PRIMES])[0]
    )


#: What writes, what reads, and an example, by the name of the format.
Format = tuple[Callable[..., bytes], Callable[..., object], object]


@lru_cache(maxsize=1)
def formats() -> dict[str, Format]:
    return {
        "public key": (write_public_key, read_public_key, public_key()),
        "evaluation key": (write_evaluation_key, read_evaluation_key, evaluation_key()),
        "key with a gadget": (write_evaluation_key, read_evaluation_key, evaluation_key(gadget=True)),
        "encrypted": (write_ciphertext, read_ciphertext, by_owner()),
        "encrypted for": (write_ciphertext, read_ciphertext, for_owner()),
        "computed": (write_ciphertext, read_ciphertext, computed()),
        "opened part": (write_opened_part, read_opened_part, opened_part()),
    }
