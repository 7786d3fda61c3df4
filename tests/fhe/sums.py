"""A federation in one process, for tests of the scheme: all keys in one place, which no real node ever has."""

from dataclasses import dataclass

import numpy as np

from medward.fhe.decryption import combine, decryption_share
from medward.fhe.encryption import Ciphertext, encrypt
from medward.fhe.keys import SecretKey, generate_key, joint_key, reference_string
from medward.fhe.parameters import SumParameters
from medward.fhe.ring import Element


@dataclass
class Federation:
    """n holders' keys of one epoch."""

    parameters: SumParameters
    a: Element
    secrets: list[SecretKey]
    public: list[Element]
    key: Element

    @classmethod
    def of(cls, parameters: SumParameters, holders: int | None = None) -> "Federation":
        """Make fresh keys for all holders, or for fewer than the parameters allow."""
        a = reference_string(parameters, b"test federation", 1)
        pairs = [generate_key(parameters, a) for _ in range(holders or parameters.holders)]
        public = [b for _, b in pairs]
        return cls(parameters, a, [s for s, _ in pairs], public, joint_key(parameters, public))

    def encrypt(self, values: np.ndarray) -> Ciphertext:
        """Encrypt one block."""
        return encrypt(self.parameters, self.a, self.key, values)[0]

    def decrypt(self, aggregate: Ciphertext) -> np.ndarray:
        """Let all holders answer and decode the sum."""
        shares = [decryption_share(self.parameters, s, aggregate.c1)[0] for s in self.secrets]
        return combine(self.parameters, aggregate, shares)


def updates(parameters: SumParameters, kind: str, seed: int) -> np.ndarray:
    """One member's block: "random", "lowest", "highest" or "alternating" values."""
    shape = (parameters.lanes, parameters.degree)
    low, high = parameters.smallest_value, parameters.largest_value
    if kind == "lowest":
        return np.full(shape, low, np.int64)
    if kind == "highest":
        return np.full(shape, high, np.int64)
    if kind == "alternating":
        grid = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) % 2
        return np.where(grid == 0, low, high).astype(np.int64)
    return np.random.default_rng(seed).integers(low, high + 1, shape)
