"""Lists of inner products that are opened together, and owners' shares of them, as bytes.

    list     header | digest of the terms (32) | owners (1), each: length (1), name | each owner: length (1), name of
             its parts | how many (4) | coefficient 0 of c_0 modulo Q_T of each
    shares   header | owner: length (1), name | digest of the list (32) | salt (32) | how many (4)
             | p_i modulo Q_T of each

A number modulo Q_T has as many bytes as Q_T needs. The salt is random, so that a hash of the bytes tells nothing of
shares that are not shown yet (spec/computing.md, sections 10 and 12).
"""

import os

from medward.fhe.computing.formats.fields import (
    HEADER_BYTES,
    MOST_NAME,
    FieldReader,
    FormatKind,
    header,
    number,
    owner_field,
)
from medward.fhe.computing.inner_product_opening import OpenedShares, ProductList
from medward.fhe.computing.inner_product_terms import InnerProductTerms
from medward.fhe.errors import CiphertextMismatch, MalformedEncoding
from medward.fhe.ring.primes import balanced

_DIGEST_BYTES, _SALT_BYTES = 32, 32


def most_product_list_bytes(terms: InnerProductTerms, owners: int, count: int) -> int:
    """Return the size that no list of so many inner products exceeds."""
    return HEADER_BYTES + _DIGEST_BYTES + 1 + owners * 2 * (1 + MOST_NAME) + 4 + count * _number_bytes(terms)


def most_shares_bytes(terms: InnerProductTerms, count: int) -> int:
    """Return the size that no owner's shares of so many inner products exceed."""
    return HEADER_BYTES + 1 + MOST_NAME + _DIGEST_BYTES + _SALT_BYTES + 4 + count * _number_bytes(terms)


def write_product_list(products: ProductList) -> bytes:
    """Return the bytes of a list of inner products.

    Raises:
        MalformedEncoding: an owner's name, or a name of parts, is none.
    """
    terms = products.terms
    out = [header(FormatKind.PRODUCT_LIST, terms.parameters), terms.digest, number(len(products.owners), 1)]
    out += map(owner_field, products.owners)
    out += map(_name_field, products.parts)
    out.append(number(len(products.constants), 4))
    return b"".join([*out, _numbers(terms, products.constants)])


def read_product_list(terms: InnerProductTerms, data: bytes | memoryview) -> ProductList:
    """Return the list that `write_product_list` made bytes of.

    Args:
        terms: that all who compute together have.
        data: the bytes.

    Raises:
        MalformedEncoding: the bytes are no list of inner products of these terms.
    """
    reader = FieldReader(FormatKind.PRODUCT_LIST, terms.parameters, data)
    if reader.take(_DIGEST_BYTES) != terms.digest:
        raise reader.wrong("of other terms")
    owners = tuple(reader.owner() for _ in range(reader.number(1, "owners", 1, terms.owners)))
    if list(owners) != sorted(set(owners)):
        raise reader.wrong("with owners that are not in alphabetical order, each once")
    parts = tuple(_read_name(reader) for _ in owners)
    constants = _read_numbers(reader, terms)
    try:
        return ProductList(terms, owners, constants, parts)
    except CiphertextMismatch as error:
        raise reader.wrong(f"that nobody opens: {error}") from None


def write_shares(shares: OpenedShares, terms: InnerProductTerms) -> bytes:
    """Return the bytes of an owner's shares, with a fresh salt.

    Raises:
        MalformedEncoding: the owner's name is none.
    """
    head = header(FormatKind.OPENED_SHARES, terms.parameters) + owner_field(shares.owner) + shares.opening
    return head + os.urandom(_SALT_BYTES) + number(len(shares.shares), 4) + _numbers(terms, shares.shares)


def read_shares(terms: InnerProductTerms, data: bytes | memoryview) -> OpenedShares:
    """Return the shares that `write_shares` made bytes of.

    Args:
        terms: that all who compute together have.
        data: the bytes.

    Raises:
        MalformedEncoding: the bytes are no shares with these terms.
    """
    reader = FieldReader(FormatKind.OPENED_SHARES, terms.parameters, data)
    owner, opening = reader.owner(), reader.take(_DIGEST_BYTES)
    reader.take(_SALT_BYTES)
    return OpenedShares(owner, opening, _read_numbers(reader, terms))


def _number_bytes(terms: InnerProductTerms) -> int:
    return -(-terms.modulus.bit_length() // 8)


def _numbers(terms: InnerProductTerms, values: tuple[int, ...]) -> bytes:
    return b"".join(number(value % terms.modulus, _number_bytes(terms)) for value in values)


def _read_numbers(reader: FieldReader, terms: InnerProductTerms) -> tuple[int, ...]:
    count, size = reader.number(4, "inner products", 1, terms.entries), _number_bytes(terms)
    data = reader.take(count * size)
    reader.end()
    found = [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]
    if max(found) >= terms.modulus:
        raise reader.wrong("with a number that is not below the modulus")
    return tuple(balanced(value, terms.modulus) for value in found)


def _name_field(name: str) -> bytes:
    data = name.encode()
    if not 1 <= len(data) <= MOST_NAME or not name.isascii() or not name.isprintable():
        raise MalformedEncoding(f"{name[:64]!r} is no name of parts")
    return number(len(data), 1) + data


def _read_name(reader: FieldReader) -> str:
    data = reader.take(reader.number(1, "the length of a name of parts", 1, MOST_NAME))
    if not data.isascii() or not data.decode("ascii").isprintable():
        raise reader.wrong("with a name of parts that is none")
    return data.decode("ascii")
