"""The historical quaternion scheme falls to linear algebra; it stays in the benchmarks only as a warning."""

import secrets

import pytest

from medward.bench.fhe.lipschitz import (
    LipschitzMatrix,
    Quaternion,
    QuaternionScheme,
    left_representation,
    multiply,
    row_reduced,
)

# Two primes of 256 bits; their product is public, the attacks never use them.
P = 2**256 - 189
Q = 2**255 - 19
N = P * Q


def _random() -> Quaternion:
    return secrets.randbelow(N), secrets.randbelow(N), secrets.randbelow(N), secrets.randbelow(N)


def test_scheme_adds_and_multiplies_as_published() -> None:
    scheme = QuaternionScheme(N)
    a, b = _random(), _random()
    x, y = scheme.encrypt(a), scheme.encrypt(b)
    assert scheme.decrypt(x) == a
    assert scheme.decrypt(scheme.add(x, y)) == tuple((p + q) % N for p, q in zip(a, b, strict=True))
    real = (a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3]) % N
    assert scheme.decrypt(multiply(x, y, N))[0] == real


def test_matrices_multiply_as_quaternions_do() -> None:
    one, i, j, k = (left_representation(tuple(int(a == b) for a in range(4)), 101) for b in range(4))  # type: ignore[arg-type]
    minus_one = left_representation((-1, 0, 0, 0), 101)
    assert multiply(i, j, 101) == k
    assert multiply(j, i, 101) == left_representation((0, 0, 0, -1), 101)
    assert [multiply(x, x, 101) for x in (one, i, j, k)] == [one, minus_one, minus_one, minus_one]


def test_rows_are_reduced_by_invertible_entries_alone() -> None:
    """Modulo 15 neither 3 nor 5 has an inverse, so a column of them has no pivot."""
    rows = [[3, 1, 1], [5, 2, 0]]
    assert row_reduced(rows, 3, 15) == [1, 2]
    assert [[row[1], row[2]] for row in rows] == [[1, 0], [0, 1]]
    zero = [[0, 0], [0, 0]]
    assert row_reduced(zero, 2, 15) == []
    assert zero == [[0, 0], [0, 0]]


def _coordinates(ciphertext: LipschitzMatrix, dimension: int) -> list[int]:
    """The 4 d^2 independent entries: the first column of each 4 x 4 block."""
    return [ciphertext[4 * i + k][4 * j] for i in range(dimension) for j in range(dimension) for k in range(4)]


@pytest.mark.parametrize(("dimension", "pairs"), [(2, 20), (4, 68)])
def test_known_pairs_decrypt_every_fresh_message(dimension: int, pairs: int) -> None:
    scheme = QuaternionScheme(N, dimension)
    known = [(m, _coordinates(scheme.encrypt(m), dimension)) for m in (_random() for _ in range(pairs))]
    rows = [[*coordinates, *message] for message, coordinates in known]
    width = 4 * dimension * dimension
    pivots = row_reduced(rows, width, N)
    functional = [[0] * 4 for _ in range(width)]
    for i, column in enumerate(pivots):
        functional[column] = rows[i][width:]
    for _ in range(20):
        message = _random()
        seen = _coordinates(scheme.encrypt(message), dimension)
        guess = tuple(sum(c * f[k] for c, f in zip(seen, functional, strict=True)) % N for k in range(4))
        assert guess == message


def test_one_encryption_of_zero_opens_every_real_message() -> None:
    scheme = QuaternionScheme(N)
    rows = [list(row) for row in scheme.encrypt((0, 0, 0, 0))]
    size = len(rows)
    pivots = row_reduced(rows, size, N)
    free = next(column for column in range(size) if column not in pivots)
    null = [0] * size
    null[free] = 1
    for i, column in enumerate(pivots):
        null[column] = -rows[i][free] % N
    for _ in range(20):
        value = secrets.randbelow(N)
        image = multiply(scheme.encrypt((value, 0, 0, 0)), [[x] for x in null], N)
        at = next(i for i, x in enumerate(null) if x % P and x % Q)
        assert image[at][0] * pow(null[at], -1, N) % N == value
