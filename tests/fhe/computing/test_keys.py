"""Keys that are made again and again tell no more than the first: what hides under common elements stays the same."""

import numpy as np
import pytest

from medward.fhe.computing.context import computing_context
from medward.fhe.computing.keys import GadgetKey, SecretKey, gadget_elements
from medward.fhe.sampling import KeyStream
from tests.fhe.computing.world import LABEL, small

#: So many that the mean of their errors is off by less than 1/2 in every coefficient: at 5 of its deviations.
_KEYS = 1200
#: The row of one prime: whoever knows s modulo one prime knows s.
_ROW = slice(0, 1)


def _integers(ring, element):
    """A single row as balanced integers."""
    return np.array(ring.integers(ring.inverse(element.copy(), _ROW), _ROW), dtype=np.int64)


def _average_out(secret, common, hidden):
    """Return s modulo the first prime, from many b = -s a + e under one a: the errors' mean tells each of them."""
    ring = computing_context(secret.parameters).ring
    differences = [_integers(ring, ring.subtract(b, hidden[0], _ROW)) for b in hidden]
    if not np.any(differences):
        return None
    first_error = -np.rint(np.mean(differences, axis=0)).astype(np.int64)
    exact = ring.subtract(hidden[0], ring.embed(first_error[None], 1, _ROW), _ROW)
    # Now exact = -s a, slot by slot.
    prime = secret.parameters.primes[0]
    quotients = [-int(x) * pow(int(a), -1, prime) % prime for x, a in zip(exact[0], common[0], strict=True)]
    return np.array(quotients, dtype=np.int64)


def _same(secret, quotients):
    prime = secret.parameters.primes[0]
    return np.array_equal(quotients, secret.s[0].astype(np.int64) % prime)


@pytest.mark.parametrize("part", ["b", "v"])
def test_errors_drawn_anew_under_common_elements_give_the_secret_away(monkeypatch, part):
    """The attack on a weakened variant. v is under u: modulo a prime of another digit it holds nothing but -s u + e."""
    secret = SecretKey("ahus", small(levels=1, degree=64), LABEL)
    digit = 0 if part == "b" else 1  # the digit whose own primes do not hold the first one
    common = gadget_elements(secret.parameters, LABEL)[0 if part == "b" else 1][digit][_ROW]
    monkeypatch.setattr(SecretKey, "_gadget_stream", lambda self: KeyStream())
    keys = [secret._gadget_key(secret._gadget_stream()) for _ in range(_KEYS)]
    found = _average_out(secret, common, [getattr(key, part)[digit][_ROW] for key in keys])
    assert found is not None
    assert _same(secret, found)


@pytest.mark.parametrize("part", ["b", "d", "v"])
def test_keys_that_are_made_again_have_the_same_gadget(part):
    seed = bytes(range(32))
    first, again, elsewhere = (
        SecretKey("ahus", small(), LABEL, seed).evaluation_key(rotations=rotations, gadget=True)
        for rotations in ((), (), (1,))
    )
    assert isinstance(first.gadget, GadgetKey)
    for other in (again, elsewhere):
        np.testing.assert_array_equal(getattr(first.gadget, part), getattr(other.gadget, part))
        np.testing.assert_array_equal(first.b, other.b)
        # What is under elements of the key itself is new each time.
        assert not np.array_equal(first.d1, other.d1)
        assert not np.array_equal(first.d2, other.d2)


def test_averaging_our_keys_finds_nothing():
    secret = SecretKey("ahus", small(), LABEL)
    common = gadget_elements(secret.parameters, LABEL)[0][0][_ROW]
    keys = [secret.evaluation_key(gadget=True) for _ in range(3)]
    assert _average_out(secret, common, [key.gadget.b[0][_ROW] for key in keys]) is None


def test_two_owners_and_two_federations_have_gadgets_of_their_own():
    seed = bytes(range(32))
    made = [SecretKey("ahus", small(), label, key).evaluation_key(gadget=True).gadget
            for label, key in ((LABEL, seed), (b"another", seed), (LABEL, bytes(32)))]  # fmt: skip
    for part in ("b", "d", "v"):
        assert len({getattr(gadget, part).tobytes() for gadget in made}) == 3
