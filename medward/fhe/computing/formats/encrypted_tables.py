"""A table of encrypted columns of integers, and owners' parts of inner products, as files that are read in order.

    table   header | owner | digest of the terms (32) | rows (8) | columns (4)
            | each column: blocks of the first factor, blocks of the second, each: seed of c_1 (32) | c_0
    parts   header | owner | digest of the terms (32) | how many (4) | c_i of each

Owners stand with their length (1). The size of either follows from the terms and the numbers of rows, columns and
products, so it is known before anything is fetched (spec/computing.md, section 10).
"""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from medward.fhe.arrays import Doubles
from medward.fhe.computing.ciphertexts import expanded_c1
from medward.fhe.computing.formats.byte_source import ByteSource
from medward.fhe.computing.formats.fields import (
    HEADER_BYTES,
    MOST_NAME,
    SEED_BYTES,
    FieldReader,
    FormatKind,
    header,
    number,
    owner_field,
    packed,
)
from medward.fhe.computing.formats.residue_rows import rows_bytes, unpack_rows
from medward.fhe.computing.inner_product_terms import InnerProductTerms
from medward.fhe.computing.inner_products import EncryptedColumn, column_of
from medward.fhe.errors import MalformedEncoding

_DIGEST_BYTES = 32
ColumnPair = tuple[EncryptedColumn, EncryptedColumn]
"""A column as a first factor, and as a second one."""


def most_table_bytes(terms: InnerProductTerms, rows: int, columns: int) -> int:
    """Return the size that no table of so many rows and columns exceeds."""
    blocks = -(-rows // terms.parameters.degree)
    return _head_bytes() + 12 + columns * 2 * blocks * (SEED_BYTES + _element_bytes(terms))


def most_parts_bytes(terms: InnerProductTerms, count: int) -> int:
    """Return the size that no owner's parts of so many inner products exceed."""
    return _head_bytes() + 4 + count * _element_bytes(terms)


def write_table(
    file: BinaryIO, terms: InnerProductTerms, owner: str, rows: int, columns: Iterable[ColumnPair], count: int
) -> None:
    """Write columns to a file, one after the other.

    Args:
        file: open for writing, in bytes.
        terms: of all columns.
        owner: of all columns.
        rows: of each column.
        columns: made while they are written.
        count: how many columns there are.

    Raises:
        MalformedEncoding: a column is another's, or there are more or fewer.
    """
    primes = terms.parameters.primes[: terms.parameters.top]
    file.write(_head(FormatKind.ENCRYPTED_TABLE, terms, owner) + number(rows, 8) + number(count, 4))
    written = 0
    for pair in columns:
        for column, reverse in zip(pair, (False, True), strict=True):
            if (column.terms, column.owner, column.rows, column.reverse) != (terms, owner, rows, reverse):
                raise MalformedEncoding(f"column {written + 1} is not one of this table")
            for seed, (c0, _) in zip(column.seeds, column.blocks.parts, strict=True):
                file.write(seed + packed(c0, primes))
        written += 1
    if written != count:
        raise MalformedEncoding(f"an encrypted table of {count} columns, and {written} were made")


def read_table(file: BinaryIO, terms: InnerProductTerms, owner: str, rows: int, columns: int) -> Iterator[ColumnPair]:
    """Yield the columns of a table one after the other.

    Args:
        file: open for reading, in bytes.
        terms: that all who compute together have.
        owner, rows, columns: as they are on record.

    Raises:
        MalformedEncoding: the file holds something else, ends too early, or goes on after its end.
    """
    source = ByteSource(file, "encrypted table")
    _check_head(source, FormatKind.ENCRYPTED_TABLE, terms, owner)
    told = source.take(12, "its size")
    if told != number(rows, 8) + number(columns, 4):
        raise MalformedEncoding(f"encrypted table: it is not of {rows} rows and {columns} columns")
    parameters, level = terms.parameters, terms.parameters.levels
    primes, blocks = parameters.primes[: parameters.top], -(-rows // parameters.degree)
    for place in range(columns):
        pair = []
        for reverse in (False, True):
            parts, seeds = np.empty((blocks, 2, parameters.top, parameters.degree)), list[bytes]()
            for c0, c1 in parts:
                seeds.append(source.take(SEED_BYTES, f"column {place + 1}"))
                c0[:] = _element(source, terms, primes, f"column {place + 1}")
                c1[:] = expanded_c1(parameters, owner, level, seeds[-1])
            pair.append(column_of(terms, owner, rows, reverse, parts, seeds))
        yield pair[0], pair[1]
    source.end()


def write_parts(file: BinaryIO, terms: InnerProductTerms, owner: str, parts: Iterable[Doubles], count: int) -> None:
    """Write one owner's parts of inner products to a file, one after the other.

    Args:
        file: open for writing, in bytes.
        terms, owner: of all of them.
        parts: c_i of each, float64[limbs, N] in evaluation form; made while they are written.
        count: how many there are.

    Raises:
        MalformedEncoding: there are more or fewer.
    """
    primes, written = terms.parameters.primes[: terms.parameters.top], 0
    file.write(_head(FormatKind.PRODUCT_PARTS, terms, owner) + number(count, 4))
    for part in parts:
        file.write(packed(part, primes))
        written += 1
    if written != count:
        raise MalformedEncoding(f"parts of {count} inner products, and {written} were made")


def read_parts_of(file: BinaryIO, terms: InnerProductTerms, owner: str, count: int) -> Iterator[Doubles]:
    """Yield one owner's parts of inner products, float64[limbs, N] each.

    Args:
        file: open for reading, in bytes.
        terms: that all who compute together have.
        owner: whose parts they must be.
        count: how many they must be.

    Raises:
        MalformedEncoding: the file holds something else, ends too early, or goes on after its end.
    """
    source = ByteSource(file, "parts of inner products")
    _check_head(source, FormatKind.PRODUCT_PARTS, terms, owner)
    if source.take(4, "its size") != number(count, 4):
        raise MalformedEncoding(f"parts of inner products: they are not {count}")
    primes = terms.parameters.primes[: terms.parameters.top]
    for place in range(count):
        yield _element(source, terms, primes, f"part {place + 1}")
    source.end()


def _head_bytes() -> int:
    return HEADER_BYTES + 1 + MOST_NAME + _DIGEST_BYTES


def _head(kind: FormatKind, terms: InnerProductTerms, owner: str) -> bytes:
    return header(kind, terms.parameters) + owner_field(owner) + terms.digest


def _element_bytes(terms: InnerProductTerms) -> int:
    return rows_bytes(terms.parameters.degree, terms.parameters.primes[: terms.parameters.top])


def _check_head(source: ByteSource, kind: FormatKind, terms: InnerProductTerms, owner: str) -> None:
    expected = _head(kind, terms, owner)
    found = source.take(len(expected), "its beginning")
    reader = FieldReader(kind, terms.parameters, found)
    if found != expected:
        raise reader.wrong(f"of another owner than {owner}, or of other terms")


def _element(source: ByteSource, terms: InnerProductTerms, primes: tuple[int, ...], place: str) -> Doubles:
    data = source.take(_element_bytes(terms), place)
    try:
        return unpack_rows(memoryview(data), terms.parameters.degree, primes)
    except MalformedEncoding as error:
        raise MalformedEncoding(f"{place} is damaged: {error}") from None
