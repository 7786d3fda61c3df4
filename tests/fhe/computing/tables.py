"""Two owners' encrypted tables, the products of their columns, and what reads the bytes of each."""

import io
from collections.abc import Callable
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from medward.fhe.computing.formats.encrypted_tables import (
    ColumnPair,
    read_parts_of,
    read_table,
    write_parts,
    write_table,
)
from medward.fhe.computing.formats.opened_products import (
    read_product_list,
    read_shares,
    write_product_list,
    write_shares,
)
from medward.fhe.computing.inner_product_opening import (
    listed,
    open_shares,
    parts_of,
)
from medward.fhe.computing.inner_product_terms import InnerProductTerms
from medward.fhe.computing.inner_products import EncryptedInnerProduct, encrypt_column, encrypted_inner_product
from tests.fhe.computing.products import Unlimited
from tests.fhe.computing.world import Owners, owners, small

SMALL = small(levels=1, scale_bits=96)


TERMS = InnerProductTerms(SMALL, 300, 100, 2, 8)


ROWS, COLUMNS = 150, 2


def world() -> Owners:
    return owners(2, SMALL)


def column_pairs(rows: np.ndarray, place: int = 0) -> list[ColumnPair]:
    secret = world().secret(place)
    return [
        (encrypt_column(secret, TERMS, x.copy()), encrypt_column(secret, TERMS, x.copy(), reverse=True)) for x in rows.T
    ]


def plain(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-100, 100, (ROWS, COLUMNS), endpoint=True)


@lru_cache(maxsize=1)
def tables() -> tuple[bytes, ...]:
    """Two owners' tables."""
    out = []
    for place in range(2):
        file = io.BytesIO()
        write_table(file, TERMS, world().secret(place).owner, ROWS, column_pairs(plain(place), place), COLUMNS)
        out.append(file.getvalue())
    return tuple(out)


def read(data: bytes, place: int = 0, rows: int = ROWS, columns: int = COLUMNS) -> list[ColumnPair]:
    return list(read_table(io.BytesIO(data), TERMS, world().secret(place).owner, rows, columns))


@lru_cache(maxsize=1)
def products() -> list[EncryptedInnerProduct]:
    read_back = [read(data, place) for place, data in enumerate(tables())]
    entries = combinations_with_replacement(range(COLUMNS), 2)
    return [
        encrypted_inner_product([(pairs[i][0], pairs[j][1]) for pairs in read_back], world().keys) for i, j in entries
    ]


def parts_file() -> bytes:
    file = io.BytesIO()
    owner = world().secret(0).owner
    write_parts(file, TERMS, owner, parts_of(products(), owner), len(products()))
    return file.getvalue()


def readers() -> dict[str, tuple[bytes, Callable[[bytes], Any]]]:
    secret = world().secret(0)
    opened = open_shares(listed(products()), parts_of(products(), secret.owner), secret, Unlimited(secret.fingerprint))
    return {
        "table": (tables()[0], read),
        "parts": (parts_file(), lambda data: list(read_parts_of(io.BytesIO(data), TERMS, secret.owner, 3))),
        "list": (write_product_list(listed(products())), lambda data: read_product_list(TERMS, data)),
        "shares": (write_shares(opened, TERMS), lambda data: read_shares(TERMS, data)),
    }
