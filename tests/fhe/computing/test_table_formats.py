"""Encrypted tables, lists of inner products, their parts and shares as bytes: one encoding each, of a known size."""

import io

import numpy as np
import pytest

from medward.fhe.computing.formats.encrypted_tables import (
    most_parts_bytes,
    most_table_bytes,
    read_parts_of,
    write_parts,
)
from medward.fhe.computing.formats.keys import most_evaluation_key_bytes, write_evaluation_key
from medward.fhe.computing.formats.opened_products import (
    most_product_list_bytes,
    most_shares_bytes,
    read_product_list,
    read_shares,
    write_product_list,
    write_shares,
)
from medward.fhe.computing.inner_product_opening import (
    combine_shares,
    listed,
    open_shares,
    parts_of,
)
from medward.fhe.errors import MalformedEncoding
from tests.fhe.computing.products import Unlimited
from tests.fhe.computing.tables import COLUMNS, ROWS, SMALL, TERMS, parts_file, plain, products, readers, tables, world


def test_results_of_what_travelled_as_bytes_are_exact() -> None:
    """Tables, the list, one owner's parts and all shares go through their bytes."""
    together = read_product_list(TERMS, write_product_list(listed(products())))
    assert together == listed(products())
    shares = []
    for place in range(2):
        secret, file = world().secret(place), io.BytesIO()
        write_parts(file, TERMS, secret.owner, parts_of(products(), secret.owner), len(products()))
        file.seek(0)
        parts = read_parts_of(file, TERMS, secret.owner, len(products()))
        data = write_shares(open_shares(together, parts, secret, Unlimited(secret.fingerprint)), TERMS)
        assert len(data) <= most_shares_bytes(TERMS, len(products()))
        shares.append(read_shares(TERMS, data))
    gram = sum(plain(place).T @ plain(place) for place in range(2))
    assert combine_shares(together, shares) == [gram[0, 0], gram[0, 1], gram[1, 1]]


def test_sizes_are_known_before_anything_is_fetched() -> None:
    assert all(most_table_bytes(TERMS, ROWS, COLUMNS) - 300 < len(data) <= most_table_bytes(TERMS, ROWS, COLUMNS)
               for data in tables())  # fmt: skip
    assert most_parts_bytes(TERMS, 3) - 300 < len(parts_file()) <= most_parts_bytes(TERMS, 3)
    assert len(write_product_list(listed(products()))) <= most_product_list_bytes(TERMS, 2, 3)
    for conjugation in (False, True):
        key = write_evaluation_key(world().secret(0).evaluation_key(conjugation=conjugation))
        most = most_evaluation_key_bytes(SMALL, int(conjugation))
        assert most - 1300 < len(key) <= most


@pytest.mark.parametrize("name", ["table", "parts", "list", "shares"])
def test_bytes_that_are_cut_or_go_on_are_refused_in_one_sentence(name: str) -> None:
    data, reads = readers()[name]
    for wrong in (data[:-1], data + b"\0", data[: len(data) // 2], data[:20], b"", b"MWC1" + bytes(200)):
        with pytest.raises(MalformedEncoding) as found:
            reads(wrong)
        assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", ["table", "parts", "list", "shares"])
def test_bytes_of_another_kind_owner_or_terms_are_refused(name: str) -> None:
    data, reads = readers()[name]
    for other, (wrong, _) in readers().items():
        if other != name:
            with pytest.raises(MalformedEncoding):
                reads(wrong)
    rng = np.random.default_rng(0)
    for at in [*range(24), *rng.integers(24, 78, 20)]:
        changed = data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :]
        try:
            again = reads(changed)
        except MalformedEncoding:
            continue
        # What may differ is what the bytes are for: a digest that names something else, or a salt.
        assert name in ("shares", "list"), at
        assert again is not None
