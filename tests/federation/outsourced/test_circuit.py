"""Products of one owner's encrypted columns: those of the terms in their order, exact, and made one after the other."""

import io
from functools import lru_cache
from itertools import islice

import numpy as np
import pytest

from medward.federation.outsourced.circuit import encrypted_columns, owner_products
from medward.fhe.computing.formats.encrypted_tables import ColumnPair, read_table
from medward.fhe.computing.inner_product_opening import ProductList, combine_shares, open_shares
from medward.fhe.errors import CiphertextMismatch
from tests.federation.outsourced.world import TERMS, columns_of, key_of, plain_numbers, secret_of, table_of
from tests.federation.scoring.world import Budget


@lru_cache(maxsize=1)
def table() -> list[ColumnPair]:
    owner, rows = secret_of("north").owner, len(columns_of("north"))
    return list(read_table(io.BytesIO(table_of("north")), TERMS.products, owner, rows, TERMS.table_columns))


def test_products_are_the_numbers_of_the_terms_in_their_order() -> None:
    secret = secret_of("north")
    found = list(owner_products(TERMS, table(), key_of("north")))
    products = ProductList(TERMS.products, (secret.owner,), tuple(constant for constant, _ in found), ("parts",))
    shares = open_shares(products, (part for _, part in found), secret, Budget(secret.fingerprint))
    assert combine_shares(products, [shares]) == plain_numbers("north")


def test_products_and_columns_are_made_one_after_the_other() -> None:
    """A member that computes has one product in memory, not all of them."""
    first, again = (next(iter(owner_products(TERMS, table(), key_of("north")))) for _ in range(2))
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1], again[1])
    columns = columns_of("north")
    pairs = list(islice(encrypted_columns(secret_of("north"), TERMS, columns), 2))
    assert [(one.reverse, other.reverse, one.rows) for one, other in pairs] == [(False, True, len(columns))] * 2


def test_key_of_another_owner_computes_nothing() -> None:
    with pytest.raises(CiphertextMismatch, match=r"evaluation key of north/.* is missing"):
        next(owner_products(TERMS, table(), key_of("south")))


def test_integers_larger_than_the_terms_allow_are_not_encrypted() -> None:
    columns = columns_of("north").copy()
    columns[0, 1] = TERMS.largest + 1
    pairs = encrypted_columns(secret_of("north"), TERMS, columns)
    next(pairs)
    with pytest.raises(CiphertextMismatch, match="clip first"):
        next(pairs)
