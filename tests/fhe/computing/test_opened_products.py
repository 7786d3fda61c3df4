"""Lists of inner products and owners' shares as bytes: one encoding each; counts that lie are refused."""

from dataclasses import replace

import numpy as np
import pytest

from medward.fhe.computing.formats.fields import HEADER_BYTES, number, owner_field
from medward.fhe.computing.formats.opened_products import (
    most_product_list_bytes,
    most_shares_bytes,
    read_product_list,
    read_shares,
    write_product_list,
    write_shares,
)
from medward.fhe.computing.inner_product_opening import OpenedShares, ProductList, listed, open_shares, parts_of
from medward.fhe.errors import MalformedEncoding
from tests.fhe.computing.products import Unlimited
from tests.fhe.computing.tables import TERMS, products, world

NAMES = ("ahus/0123456789abcdef", "bergen/0123456789abcdef")
OPENING = bytes(range(32))
#: The largest and the least number that there are modulo Q_T.
EXTREMES = (TERMS.modulus // 2, -(TERMS.modulus // 2), 0, -1)
#: Where the number of owners of a list stands, and where that of an owner's shares.
OWNERS_AT = HEADER_BYTES + 32
COUNT_AT = HEADER_BYTES + len(owner_field(NAMES[0])) + 64


def short_list() -> ProductList:
    return ProductList(TERMS, NAMES, EXTREMES, ("one name", "other name"))


def test_same_shares_have_other_bytes_each_time_they_are_written() -> None:
    """So that a hash of them, which is told first, gives nothing away of shares that could be guessed."""
    secret = world().secret(0)
    opened = open_shares(listed(products()), parts_of(products(), secret.owner), secret, Unlimited(secret.fingerprint))
    one, other = write_shares(opened, TERMS), write_shares(opened, TERMS)
    assert one != other
    assert read_shares(TERMS, one) == read_shares(TERMS, other) == opened


def test_extreme_numbers_come_back() -> None:
    data = write_product_list(short_list())
    assert read_product_list(TERMS, data) == short_list()
    assert write_product_list(read_product_list(TERMS, data)) == data
    shares = OpenedShares(NAMES[0], OPENING, EXTREMES)
    assert read_shares(TERMS, write_shares(shares, TERMS)) == shares


def test_longest_names_fit_in_the_sizes_that_are_told_before() -> None:
    owners = tuple(f"{letter}" * 238 + "/0123456789abcdef" for letter in "ab")
    products, numbers = ProductList(TERMS, owners, (1,) * 8, ("x" * 255, "y" * 255)), (1,) * 8
    assert len(write_product_list(products)) == most_product_list_bytes(TERMS, 2, 8)
    assert len(write_shares(OpenedShares(owners[0], OPENING, numbers), TERMS)) == most_shares_bytes(TERMS, 8)


def test_list_of_other_terms_is_refused() -> None:
    with pytest.raises(MalformedEncoding, match="of other terms"):
        read_product_list(replace(TERMS, entries=9), write_product_list(listed(products())))


def test_number_above_its_modulus_is_refused() -> None:
    data = write_product_list(short_list())
    size = -(-TERMS.modulus.bit_length() // 8)
    for value in (TERMS.modulus, 256**size - 1):
        with pytest.raises(MalformedEncoding, match="not below the modulus"):
            read_product_list(TERMS, data[:-size] + number(value, size))
    shares = write_shares(OpenedShares(NAMES[0], OPENING, EXTREMES), TERMS)
    with pytest.raises(MalformedEncoding, match="not below the modulus"):
        read_shares(TERMS, shares[:-size] + number(TERMS.modulus, size))


@pytest.mark.parametrize("count", [0, 9, 1 << 16, (1 << 32) - 1])
def test_count_that_no_opening_has_is_refused_before_anything_of_it_is_read(count: int) -> None:
    """The terms have 8 inner products: what tells of none, or of four billion, is refused by that number."""
    shares = write_shares(OpenedShares(NAMES[0], OPENING, EXTREMES), TERMS)
    assert shares[COUNT_AT : COUNT_AT + 4] == number(4, 4)
    with pytest.raises(MalformedEncoding, match=f"inner products {count}: it is 1 to 8"):
        read_shares(TERMS, shares[:COUNT_AT] + number(count, 4) + shares[COUNT_AT + 4 :])
    data = write_product_list(short_list())
    at = len(data) - 4 - 4 * -(-TERMS.modulus.bit_length() // 8)
    with pytest.raises(MalformedEncoding, match=f"inner products {count}: it is 1 to 8"):
        read_product_list(TERMS, data[:at] + number(count, 4) + data[at + 4 :])


@pytest.mark.parametrize("count", [0, 3, 255])
def test_list_of_no_owners_or_more_than_the_terms_have_is_refused(count: int) -> None:
    data = write_product_list(short_list())
    with pytest.raises(MalformedEncoding, match=f"owners {count}: it is 1 to 2"):
        read_product_list(TERMS, data[:OWNERS_AT] + number(count, 1) + data[OWNERS_AT + 1 :])


@pytest.mark.parametrize("owners", [NAMES[::-1], (NAMES[0],) * 2])
def test_owners_that_are_out_of_order_or_twice_there_are_refused(owners: tuple[str, str]) -> None:
    """One list has one encoding; and nobody's share counts twice."""
    with pytest.raises(MalformedEncoding, match="alphabetical order, each once"):
        read_product_list(TERMS, write_product_list(replace(short_list(), owners=owners)))


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 256, "é"])
def test_name_of_parts_that_is_none_is_neither_written_nor_read(name: str) -> None:
    with pytest.raises(MalformedEncoding, match="no name of parts") as told:
        write_product_list(replace(short_list(), parts=("one name", name)))
    assert str(told.value).isprintable()
    good = number(len("other name"), 1) + b"other name"
    data = write_product_list(short_list())
    assert data.count(good) == 1
    wrong = number(len(name.encode()) % 256, 1) + name.encode()
    with pytest.raises(MalformedEncoding, match="name of parts"):
        read_product_list(TERMS, data.replace(good, wrong))


def test_shares_of_an_owner_that_names_no_key_are_neither_written_nor_read() -> None:
    with pytest.raises(MalformedEncoding, match="names no key"):
        write_shares(OpenedShares("ahus", OPENING, EXTREMES), TERMS)
    data = write_shares(OpenedShares(NAMES[0], OPENING, EXTREMES), TERMS)
    with pytest.raises(MalformedEncoding, match="names no key"):
        read_shares(TERMS, data.replace(b"ahus/0", b"ahus/X"))


def test_altered_bytes_are_refused_or_the_encoding_of_another_list() -> None:
    data = write_product_list(short_list())
    for at in np.random.default_rng(1).integers(0, len(data), 60):
        changed = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        try:
            again = read_product_list(TERMS, changed)
        except MalformedEncoding:
            continue
        assert write_product_list(again) == changed
