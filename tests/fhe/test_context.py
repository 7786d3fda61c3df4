"""The public side of a sum: labels that no other sum has, and the tests of a vector as they are defined."""

import numpy as np

from medward.fhe.context import Challenge, SumContext
from medward.fhe.parameters import AUDITS, DEGREE, TESTS
from tests.fhe.test_parameters import of
from tests.fhe.world import BEACON, World

WORLD = World(7, values=300)
P = WORLD.parameters.prime


def _exact_tests(challenge: Challenge, vector: np.ndarray) -> list[int]:
    """Return Phi f in Python integers, with the negacyclic product written out."""
    ring = challenge.context.ring
    a = ring.integers(ring.inverse(challenge.context.check_element.copy()))
    f = [int(x) for x in vector]
    full = np.convolve(np.array(a, object), np.array(f, object))
    product = full[:DEGREE].copy()
    product[: DEGREE - 1] -= full[DEGREE:]
    rs, re = challenge.secret_rows.astype(object), challenge.error_rows.astype(object)
    return [int(x) % P for x in rs.T @ np.array(f, object) - re.T @ product]


def test_tests_of_a_vector_are_their_definition() -> None:
    vector = np.random.default_rng(3).integers(-(P // 2), P // 2 + 1, DEGREE).astype(float)
    vector[:3] = (P // 2, -(P // 2), P // 2)
    got = WORLD.challenge.tests(vector[None])[0]
    exact = _exact_tests(WORLD.challenge, vector)
    assert [int(x) % P for x in got] == exact
    assert np.abs(got).max() <= P // 2
    rho, rows = WORLD.challenge.private_check
    for k in range(AUDITS):
        combined = sum(int(r) * e for r, e in zip(rho[k], exact, strict=True)) % P
        assert sum(int(x) * int(y) for x, y in zip(rows[k], vector, strict=True)) % P == combined


def test_private_combinations_differ_between_holders_and_never_repeat() -> None:
    one, other = (Challenge(WORLD.context, BEACON).private_check[0] for _ in range(2))
    assert not np.array_equal(one, other)


def test_sum_of_extreme_residues_in_a_test_is_exact() -> None:
    """All residues at +-(p-1)/2 under rows of one sign: the largest partial sums that can be."""
    challenge = Challenge(WORLD.context, b"other")
    challenge.error_rows = np.ones_like(challenge.error_rows)
    for sign in (1, -1):
        vector = np.full(DEGREE, sign * (P // 2), float)
        assert int(challenge.error_tests(vector)[0]) % P == sign * (P // 2) * DEGREE % P


def test_challenge_rows_are_a_quarter_ones_a_quarter_minus_ones() -> None:
    for rows in (WORLD.challenge.secret_rows, WORLD.challenge.error_rows):
        assert rows.shape == (DEGREE, TESTS)
        for value, share in ((1, 0.25), (-1, 0.25), (0, 0.5)):
            assert abs((rows == value).mean() - share) < 0.006


def test_sums_of_other_parameters_occasions_or_blocks_share_nothing() -> None:
    contexts = [
        SumContext(of(4), b"a", (1, 2, 3, 4), 1),
        SumContext(of(4), b"b", (1, 2, 3, 4), 1),
        SumContext(of(4), b"a", (1, 2, 3, 4), 2),
        SumContext(of(7), b"a", (1, 2, 3, 4), 1),
    ]
    assert len({context.digest for context in contexts}) == 4
    assert len({context.check_element.tobytes() for context in contexts}) == 4
    assert len({Challenge(context, b"x").secret_rows.tobytes() for context in contexts}) == 4
    one = contexts[2]
    elements = [one.check_element, *one.block_elements, one.audit_rows(b"x")[:1], one.audit_rows(b"y")[:1]]
    assert len({element.tobytes() for element in elements}) == 5


def test_label_has_one_reading() -> None:
    """Where one part ends and the next begins is in the bytes, and a number is no text."""
    context = SumContext(of(4), b"occasion", (1, 2, 3, 4), 1)
    purposes: list[tuple[bytes | str | int, ...]] = [
        (),
        ("",),
        ("ab",),
        ("a", "b"),
        ("", "ab"),
        ("1",),
        (1,),
        (b"\x01",),
        (256,),
        (0,),
        ("share", 1, 12),
        ("share", 11, 2),
    ]
    labels = [context.label(*purpose) for purpose in purposes]
    labels.append(SumContext(of(4), b"occasion\x01", (1, 2, 3, 4), 1).label())
    labels.append(SumContext(of(4), b"occasion", (1, 2, 3, 4), 256).label())
    assert len(set(labels)) == len(labels)


def test_beacons_draw_unrelated_challenges_and_audits() -> None:
    other = Challenge(WORLD.context, b"another beacon")
    for one, two in ((WORLD.challenge.secret_rows, other.secret_rows), (WORLD.challenge.error_rows, other.error_rows)):
        # Two rows of a quarter ones and a quarter minus ones agree in 3/8 of the places.
        assert abs((one == two).mean() - 0.375) < 0.006
    assert np.abs(WORLD.context.audit_rows(b"a")).max() <= P // 2
    assert WORLD.context.audit_rows(b"a").shape == (AUDITS, DEGREE)


def test_combined_tests_miss_an_error_in_no_row() -> None:
    """The adjoint of a product: each unit vector is told by the combinations as its tests are."""
    rho, rows = WORLD.challenge.private_check
    units = np.zeros((3, DEGREE))
    for k, place in enumerate((0, 1, DEGREE - 1)):
        units[k, place] = 1
    told = WORLD.challenge.tests(units)
    for k, place in enumerate((0, 1, DEGREE - 1)):
        for r in range(AUDITS):
            expected = sum(int(x) * int(y) for x, y in zip(rho[r], told[k], strict=True)) % P
            assert int(rows[r, place]) % P == expected
