"""The random linear check of a sum that was not fetched."""

from dataclasses import replace

import numpy as np
import pytest

from medward.fhe.encryption import Ciphertext, sum_ciphertexts
from medward.fhe.errors import MalformedEncoding, SumRejected
from medward.fhe.keys import parameters_ring
from medward.fhe.parameters import sum_parameters
from medward.fhe.sumcheck import check_statements, decode_statement, encode_statement, sum_statement

from .sums import Federation, updates

PARAMETERS = sum_parameters("AGG-M", 8, 16, 3, "semi-honest")
FEDERATION = Federation.of(PARAMETERS)
CIPHERTEXTS = {i: FEDERATION.encrypt(updates(PARAMETERS, "random", i)) for i in range(1, 5)}
TOTAL = sum_ciphertexts(PARAMETERS, list(CIPHERTEXTS.values()))
BEACON = b"block hash, round 3, chunk 0"


@pytest.fixture(scope="module")
def statements() -> dict[int, tuple[int, ...]]:
    return {i: sum_statement(PARAMETERS, c, BEACON) for i, c in CIPHERTEXTS.items()}


def test_true_sum_passes(statements) -> None:
    check_statements(PARAMETERS, statements, sum_statement(PARAMETERS, TOTAL, BEACON))


def test_wrong_sums_are_refused(statements) -> None:
    ring = parameters_ring(PARAMETERS)
    changed = ring.zero()
    changed[2, 100] = 1
    wrong = [
        replace(TOTAL, c0=ring.add(TOTAL.c0, changed)),
        replace(TOTAL, c1=ring.add(TOTAL.c1, changed)),
        Ciphertext(TOTAL.c1, TOTAL.c0),
        CIPHERTEXTS[2],
        sum_ciphertexts(PARAMETERS, [CIPHERTEXTS[i] for i in (1, 2, 3)]),
    ]
    for aggregate in wrong:
        with pytest.raises(SumRejected):
            check_statements(PARAMETERS, statements, sum_statement(PARAMETERS, aggregate, BEACON))


def test_statement_for_another_beacon_is_refused(statements) -> None:
    with pytest.raises(SumRejected):
        check_statements(PARAMETERS, statements, sum_statement(PARAMETERS, TOTAL, b"another block"))


def test_statement_of_the_wrong_length_is_refused(statements) -> None:
    with pytest.raises(SumRejected, match="number of values"):
        check_statements(PARAMETERS, statements, sum_statement(PARAMETERS, TOTAL, BEACON)[:-1])


def test_statement_takes_75_bytes_and_round_trips(statements) -> None:
    data = encode_statement(PARAMETERS, statements[1])
    assert len(data) == 75
    assert decode_statement(PARAMETERS, data) == statements[1]
    for wrong in (data[:-1], data + b"\0", b"\xff" * 75):
        with pytest.raises(MalformedEncoding):
            decode_statement(PARAMETERS, wrong)


def test_statement_is_the_inner_product_by_definition() -> None:
    """Against Python integers, on a ciphertext with two non-zero residues."""
    ring = parameters_ring(PARAMETERS)
    one, two = ring.zero(), ring.zero()
    one[0, 5], two[3, 8191] = 7, -3
    unit, other = ring.zero(), ring.zero()
    unit[0, 5], other[3, 8191] = 1, 1
    y = sum_statement(PARAMETERS, Ciphertext(one, two), BEACON)
    r0 = sum_statement(PARAMETERS, Ciphertext(unit, ring.zero()), BEACON)
    r1 = sum_statement(PARAMETERS, Ciphertext(ring.zero(), other), BEACON)
    primes = np.tile(np.array(ring.primes, object), 3)
    assert list(y) == [(7 * int(a) - 3 * int(b)) % int(q) for a, b, q in zip(r0, r1, primes, strict=True)]
