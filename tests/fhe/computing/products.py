"""Terms, columns and shares of inner products in a small ring, for tests of all that is done with them."""

import numpy as np

from medward.fhe.arrays import Integers
from medward.fhe.computing.inner_product_opening import (
    OpenedShares,
    combine_shares,
    listed,
    open_shares,
    parts_of,
)
from medward.fhe.computing.inner_product_terms import InnerProductTerms
from medward.fhe.computing.inner_products import (
    EncryptedColumn,
    EncryptedInnerProduct,
    encrypt_column,
)
from medward.fhe.computing.keys import SecretKey
from medward.fhe.computing.opening import OpeningBudget
from tests.fhe.computing.world import Owners, owners, small

SMALL = small(levels=1, scale_bits=96)


class Unlimited:
    """A budget that nothing counts, where the journal is not what is tested."""

    def __init__(self, key: str, outputs: int = 1024, bits: int = 64) -> None:
        self.key, self.outputs, self.bits = key, outputs, bits

    def spend(self) -> None:
        """Count nothing."""


def world() -> Owners:
    return owners(4, SMALL)


def terms(rows: int = 300, largest: int = 100, count: int = 1, entries: int = 8) -> InnerProductTerms:
    return InnerProductTerms(SMALL, rows, largest, count, entries)


def pair(secret: SecretKey, of: InnerProductTerms, x: Integers, y: Integers) -> tuple[EncryptedColumn, EncryptedColumn]:
    return encrypt_column(secret, of, x), encrypt_column(secret, of, y, reverse=True)


def shown(products: list[EncryptedInnerProduct], secret: SecretKey, budget: OpeningBudget) -> OpenedShares:
    return open_shares(listed(products), parts_of(products, secret.owner), secret, budget)


def shares_of(products: list[EncryptedInnerProduct], of: Owners) -> list[OpenedShares]:
    secrets = [of.secrets[owner] for owner in products[0].owners]
    return [shown(products, secret, Unlimited(secret.fingerprint)) for secret in secrets]


def opened(products: list[EncryptedInnerProduct], of: Owners) -> list[int]:
    return combine_shares(listed(products), shares_of(products, of))


def some(count: int, largest: int, seed: int) -> Integers:
    return np.random.default_rng(seed).integers(-largest, largest, count, endpoint=True)
