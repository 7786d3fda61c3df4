"""A "noise-free" matrix scheme over Lipschitz quaternions, as published; kept to be measured and broken, never used.

A message quaternion sits in the corner of an upper triangular matrix T of random quaternions over Z_n, n = p q, and
C = K T K^-1 (after El-Yahyaoui and Ech-Cherif El Kettani, Technologies 7(1) 21, 2019; our reconstruction). Decryption
is linear in C, so a few known pairs give it away: tests/bench/fhe/test_lipschitz.py.
"""

import math
import secrets
from collections.abc import Callable

LipschitzMatrix = list[list[int]]
Quaternion = tuple[int, int, int, int]


def left_representation(x: Quaternion, n: int) -> LipschitzMatrix:
    """Return the 4 x 4 integer matrix of left multiplication by x."""
    a, b, c, d = x
    rows = [[a, -b, -c, -d], [b, a, -d, c], [c, d, a, -b], [d, -c, b, a]]
    return [[value % n for value in row] for row in rows]


def multiply(x: LipschitzMatrix, y: LipschitzMatrix, n: int) -> LipschitzMatrix:
    """Return x y mod n."""
    columns = list(zip(*y, strict=True))
    return [[sum(a * b for a, b in zip(row, column, strict=True)) % n for column in columns] for row in x]


def row_reduced(rows: LipschitzMatrix, columns: int, n: int) -> list[int]:
    """Bring the first `columns` columns of `rows` into reduced echelon form in place; return the pivots' columns."""
    pivots: list[int] = []
    for column in range(columns):
        top = len(pivots)
        pivot = next((i for i in range(top, len(rows)) if math.gcd(rows[i][column], n) == 1), None)
        if pivot is None:
            continue
        rows[top], rows[pivot] = rows[pivot], rows[top]
        inverse = pow(rows[top][column], -1, n)
        rows[top] = [value * inverse % n for value in rows[top]]
        for i, row in enumerate(rows):
            if i != top and row[column]:
                factor = row[column]
                rows[i] = [(value - factor * lead) % n for value, lead in zip(row, rows[top], strict=True)]
        pivots.append(column)
    return pivots


class QuaternionScheme:
    """The historical scheme.

    Args:
        modulus: n = p q of two secret primes.
        dimension: of the quaternion matrices.
    """

    def __init__(self, modulus: int, dimension: int = 2) -> None:
        self.modulus = modulus
        self.dimension = dimension
        while True:
            self._key = self._blocks(lambda _i, _j: self._random())
            size = 4 * dimension
            rows = [row + [int(i == j) for j in range(size)] for i, row in enumerate(self._key)]
            if len(row_reduced(rows, size, modulus)) == size:
                self._inverse = [row[size:] for row in rows]
                return

    def encrypt(self, message: Quaternion) -> LipschitzMatrix:
        """Return the ciphertext, integers [4 d, 4 d] mod n."""
        zero = (0, 0, 0, 0)
        plain = self._blocks(lambda i, j: message if i == j == 0 else self._random() if j >= i else zero)
        return multiply(multiply(self._key, plain, self.modulus), self._inverse, self.modulus)

    def decrypt(self, ciphertext: LipschitzMatrix) -> Quaternion:
        """Return the message of a ciphertext, or of sums and products of ciphertexts."""
        first = [[row[0]] for row in self._key]
        column = multiply(self._inverse, multiply(ciphertext, first, self.modulus), self.modulus)
        return column[0][0], column[1][0], column[2][0], column[3][0]

    def add(self, x: LipschitzMatrix, y: LipschitzMatrix) -> LipschitzMatrix:
        """Return the ciphertext of the sum."""
        return [[(a + b) % self.modulus for a, b in zip(p, q, strict=True)] for p, q in zip(x, y, strict=True)]

    def _random(self) -> Quaternion:
        n = self.modulus
        return secrets.randbelow(n), secrets.randbelow(n), secrets.randbelow(n), secrets.randbelow(n)

    def _blocks(self, entry: Callable[[int, int], Quaternion]) -> LipschitzMatrix:
        out: LipschitzMatrix = [[] for _ in range(4 * self.dimension)]
        for i in range(self.dimension):
            for j in range(self.dimension):
                for k, row in enumerate(left_representation(entry(i, j), self.modulus)):
                    out[4 * i + k] += row
        return out
