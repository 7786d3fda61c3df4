"""Products of the columns of encrypted tables, one owner's after another's.

Rows of different owners never meet in a product, so each owner's part of a result follows from its own table and key,
and one table is in memory at a time (spec/computing.md, section 13).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from medward.federation.outsourced.terms import OutsourcedTerms
from medward.fhe.arrays import Doubles, Integers
from medward.fhe.computing.formats.encrypted_tables import ColumnPair
from medward.fhe.computing.inner_products import encrypt_column, encrypted_inner_product
from medward.fhe.computing.keys import EvaluationKey, SecretKey


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
