"""Dealers that deviate, each in one way."""

import numpy as np

from medward.fhe.checking import read_share
from medward.fhe.context import Challenge, SumContext
from medward.fhe.contribution import SALT_BYTES, SEED_BYTES, Dealing
from medward.fhe.encoding import EncodingKind, header, pack_residues, unpack_residues
from medward.fhe.parameters import DEGREE, SIGMA, TESTS
from medward.fhe.ring import polynomials
from medward.fhe.sampling import KeyStream, gaussian, uniform_vector


class IdealMultiple(Dealing):
    """Adds round(p g / P) to its check block, g a multiple of an ideal's generator, so that P times it is short."""

    factor = 2

    def generator(self) -> list[int]:
        return [1 if j % 4 == 0 else 0 for j in range(DEGREE)]

    def check_block(self) -> bytes:
        ring, p, factor = self._context.ring, self._context.parameters.prime, self.factor
        u = [polynomials.balanced((2 * p * x + factor) // (2 * factor), p) for x in self.generator()]
        b = unpack_residues(super().check_block(), p, DEGREE)[None]
        return pack_residues(ring.add(b, ring.forward(np.array([u], float))), p)


class IdealMultiple65537(IdealMultiple):
    factor = 65537

    def generator(self) -> list[int]:
        root = pow(3, (self.factor - 1) // (2 * DEGREE), self.factor)
        return [pow(root, DEGREE - 1 - j, self.factor) for j in range(DEGREE)]


class OtherSecret(Dealing):
    """Deals another secret, short too, than that of its check block."""

    def __init__(self, context: SumContext, dealer: int, key: bytes) -> None:
        super().__init__(context, dealer, key)
        self.values[0, :DEGREE] = gaussian(KeyStream(bytes(32)), SIGMA**2, DEGREE)


class LargeSecret(Dealing):
    """A secret with a coefficient above 2B, in its check block and in its dealing."""

    size = 26_000

    def __init__(self, context: SumContext, dealer: int, key: bytes) -> None:
        super().__init__(context, dealer, key)
        self.secrets.secret[17] = self.size
        self.values[0, 17] = self.size


class EdgeSecret(LargeSecret):
    """As large as the tests usually let pass."""

    size = 6500


class OneShareOff(Dealing):
    """Deals holder `victim`, one that gets residues, a share of which one coefficient is off by one."""

    victim = 4

    def shares(self, holders):
        out = super().shares(holders)
        if self.victim in out:
            p, width = self._context.parameters.prime, self._context.parameters.width
            vector = unpack_residues(out[self.victim][:-SALT_BYTES], p, width)
            vector[7] += 1
            out[self.victim] = pack_residues(vector, p) + out[self.victim][-SALT_BYTES:]
        return out


class UniformCiphertext(Dealing):
    """Sends uniform residues in place of ciphertexts."""

    def encrypted(self, values: np.ndarray) -> bytes:
        p = self._context.parameters.prime
        return b"".join(pack_residues(uniform_vector(KeyStream(), p, DEGREE), p) for _ in range(self._context.blocks))


class Ghost(Dealing):
    """A uniform check block, so no short secret; good shares to the t - 1 that are `served`, noise to the others."""

    served: tuple[int, ...] = (1, 2)

    def check_block(self) -> bytes:
        p = self._context.parameters.prime
        self.block = uniform_vector(KeyStream(), p, DEGREE)
        return pack_residues(self.block, p)

    def shares(self, holders):
        if not hasattr(self, "dealt"):
            parameters = self._context.parameters
            self.dealt = super().shares(range(1, parameters.holders + 1))
            for j in self.dealt:
                if j not in self.served:
                    stream, salt = KeyStream(), self.dealt[j][-SALT_BYTES:]
                    noise = uniform_vector(stream, parameters.prime, parameters.width)
                    seeded = j < parameters.threshold
                    body = stream.take(SEED_BYTES) if seeded else pack_residues(noise, parameters.prime)
                    self.dealt[j] = body + salt
        return {j: self.dealt[j] for j in holders}

    def vector(self, holder: int) -> np.ndarray:
        return read_share(self._context, holder, self.dealt[holder])

    def respond(self, challenge: Challenge) -> bytes:
        """Values that fit the served holders and are short at 0."""
        parameters = self._context.parameters
        p = parameters.prime
        ring = self._context.ring
        errors = challenge.error_tests(ring.inverse(self.block[None].copy())[0])
        short = np.random.default_rng(1).integers(-3000, 3000, TESTS)
        at_zero = polynomials.balance(short - errors, p)
        rows = [at_zero]
        for j in self.served:
            vector = self.vector(j)
            rows.append(polynomials.add(challenge.tests(vector[None, :DEGREE])[0], vector[DEGREE : DEGREE + TESTS], p))
        weights = polynomials.weights((0, *self.served), range(parameters.threshold), p)
        return header(EncodingKind.RESPONSE, self._context.digest) + pack_residues(
            polynomials.combine(weights, np.stack(rows), p), p
        )

    def respond_to_audit(self, rows: np.ndarray) -> bytes:
        parameters = self._context.parameters
        p = parameters.prime
        told = [
            polynomials.add(
                polynomials.products(rows, self.vector(j)[None, :DEGREE], p)[0], self.vector(j)[DEGREE + TESTS :], p
            )
            for j in self.served
        ]
        weights = polynomials.weights((0, *self.served), range(parameters.threshold), p)
        values = polynomials.combine(weights, np.stack([np.zeros_like(told[0]), *told]), p)
        return header(EncodingKind.AUDIT_RESPONSE, self._context.digest) + pack_residues(values, p)
