"""Products of the columns of encrypted tables, one owner's after another's.

Rows of different owners never meet in a product, so each owner's part of a result follows from its own table and key,
and one table is in memory at a time (spec/computing.md, section 13).
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

from medward.federation.outsourced.terms import BadOutsourcing, OutsourcedTerms
from medward.fhe.arrays import Doubles, Integers
from medward.fhe.computing.formats.encrypted_tables import ColumnPair, read_table, write_parts
from medward.fhe.computing.inner_product_opening import ProductList
from medward.fhe.computing.inner_products import encrypt_column, encrypted_inner_product
from medward.fhe.computing.keys import EvaluationKey, SecretKey
from medward.fhe.errors import MalformedEncoding
from medward.fhe.ring.primes import balanced


def encrypted_columns(secret: SecretKey, terms: OutsourcedTerms, columns: Integers) -> Iterator[ColumnPair]:
    """Yield an owner's columns under its key, each as a first factor and as a second one.

    Args:
        secret: the owner's.
        terms: of the plan.
        columns: int64[rows, columns].
    """
    for values in columns.T:
        one = np.ascontiguousarray(values)
        yield (
            encrypt_column(secret, terms.products, one),
            encrypt_column(secret, terms.products, one, reverse=True),
        )


def owner_products(
    terms: OutsourcedTerms, table: Sequence[ColumnPair], key: EvaluationKey
) -> Iterator[tuple[int, Doubles]]:
    """Yield coefficient 0 of c_0, and c_1, of each product of one owner's columns.

    Args:
        terms: of the plan.
        table: the owner's columns.
        key: the owner's evaluation key.
    """
    keys = {key.owner: key}
    for first, second in terms.entries():
        product = encrypted_inner_product([(table[first][0], table[second][1])], keys)
        yield product.constant, product.parts[0]


def write_owner_parts(
    file: BinaryIO, table: BinaryIO, terms: OutsourcedTerms, key: EvaluationKey, rows: int, owner: str
) -> Sequence[int]:
    """Write one owner's part of all products to a file, and return coefficient 0 of each.

    All is deterministic: who computes it again has the same bytes.

    Args:
        file: open for writing, in bytes.
        table: the owner's encrypted rows, open for reading.
        terms: of the plan.
        key: the owner's evaluation key.
        rows: how many the owner said that it encrypted.
        owner: its name, for sentences.

    Raises:
        BadOutsourcing: the rows are none.
    """
    try:
        columns = list(read_table(table, terms.products, key.owner, rows, terms.table_columns))
    except MalformedEncoding as error:
        raise BadOutsourcing(f"the rows of {owner} are none: {error}") from None
    constants: list[int] = []

    def parts() -> Iterator[Doubles]:
        for constant, part in owner_products(terms, columns, key):
            constants.append(constant)
            yield part

    write_parts(file, terms.products, key.owner, parts(), terms.numbers)
    return constants


def product_list(
    terms: OutsourcedTerms, holders: Sequence[str], parts: Sequence[tuple[str, Sequence[int]]]
) -> ProductList:
    """Return the result of a task.

    Args:
        terms: of the plan.
        holders: the owners' names in ciphertexts, in alphabetical order.
        parts: of each owner, the name of the blob of its parts, and coefficient 0 of each.
    """
    sums = (sum(constants) for constants in zip(*(constants for _, constants in parts), strict=True))
    balance = tuple(balanced(constant, terms.products.modulus) for constant in sums)
    return ProductList(terms.products, tuple(holders), balance, tuple(name for name, _ in parts))
