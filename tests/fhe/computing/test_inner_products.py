"""Exact inner products: every entry is the plain one, and what is not proved exact or does not belong is refused."""

import json
import runpy
from dataclasses import replace
from itertools import combinations_with_replacement
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe.computing.inner_product_terms import LARGEST_INTEGER, InnerProductTerms
from medward.fhe.computing.inner_products import (
    encrypt_column,
    encrypted_inner_product,
)
from medward.fhe.computing.keys import SecretKey
from medward.fhe.computing.parameters import computing_parameters
from medward.fhe.errors import CiphertextMismatch, NoiseTooLarge, UnsafeParameters
from tests.fhe.computing.products import SMALL, opened, pair, some, terms, world
from tests.fhe.computing.world import Owners, owners, small

ROOT = Path(__file__).parents[3]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 300), st.integers(0, 14), st.integers(0, 2**32))
def test_gram_matrix_of_all_owners_rows_is_exact(count: int, rows: int, bits: int, seed: int) -> None:
    of, largest = terms(rows * count, 1 << bits, count, 3), 1 << bits
    secrets = [world().secret(place) for place in range(count)]
    tables = [some(rows * 2, largest, seed + place).reshape(rows, 2) for place in range(count)]
    entries = list(combinations_with_replacement(range(2), 2))
    columns = [
        ([encrypt_column(s, of, x.copy()) for x in t.T], [encrypt_column(s, of, x.copy(), reverse=True) for x in t.T])
        for s, t in zip(secrets, tables, strict=True)
    ]
    products = [encrypted_inner_product([(a[i], b[j]) for a, b in columns], world().keys) for i, j in entries]
    gram = sum(table.T @ table for table in tables)
    assert opened(products, world()) == [int(gram[entry]) for entry in entries]


def test_columns_of_different_owners_have_an_exact_inner_product() -> None:
    """One has the features, another the labels of the same rows; and both orders in one sum."""
    of = terms(600, 100, 2)
    first, second = world().secret(0), world().secret(1)
    x, y = some(300, 100, 1), some(300, 100, 2)
    one = encrypt_column(first, of, x), encrypt_column(second, of, y, reverse=True)
    other = encrypt_column(second, of, y), encrypt_column(first, of, x, reverse=True)
    products = [encrypted_inner_product(pairs, world().keys) for pairs in ([one], [other], [one, other])]
    assert opened(products, world()) == [int(x @ y), int(x @ y), int(2 * x @ y)]


@pytest.mark.parametrize("count", [1, 4])
def test_largest_integers_that_terms_allow_are_exact(count: int) -> None:
    largest = largest_allowed(count)
    of, ones = terms(256 * count, largest, count, 2), np.ones(256, np.int64)
    most, least = ones * largest, ones * -largest
    products = [
        encrypted_inner_product([pair(world().secret(k), of, most, y) for k in range(count)], world().keys)
        for y in (most, least)
    ]
    assert opened(products, world()) == [of.most, -of.most]


def largest_allowed(count: int) -> int:
    """The largest power of two that such terms allow."""
    for bits in range(50, 0, -1):
        try:
            return terms(256 * count, 1 << bits, count, 2).largest
        except NoiseTooLarge:
            continue
    raise AssertionError("no integers are allowed")


def test_terms_that_prove_nothing_are_refused_before_anything_is_encrypted() -> None:
    with pytest.raises(NoiseTooLarge, match="cannot be proved exact with a modulus of 197 bits"):
        terms(256, 2 * largest_allowed(1), 1, 2)
    with pytest.raises(NoiseTooLarge):
        InnerProductTerms(small(levels=1), 300, 100)
    with pytest.raises(NoiseTooLarge):
        InnerProductTerms(SMALL, 1 << 40, LARGEST_INTEGER, 4, 1 << 20, 1 << 40, 128)
    for wrong in ({"owners": 5}, {"owners": 0}, {"largest": 0}, {"largest": 1 << 51}, {"rows": 0}, {"entries": 0}):
        with pytest.raises(CiphertextMismatch):
            replace(terms(), **wrong)
    with pytest.raises(UnsafeParameters):
        replace(terms(), bits=8)


def test_columns_that_do_not_belong_are_refused() -> None:
    of, secret = terms(), world().secret(0)
    x = some(300, 100, 8)
    first, second = pair(secret, of, x, x)
    short = encrypt_column(secret, of, x[:299], reverse=True)
    other = encrypt_column(secret, replace(of, entries=9), x, reverse=True)
    for pairs in ([], [(first, short)], [(first, first)], [(second, second)], [(first, other)], [(first, second)] * 2):
        with pytest.raises(CiphertextMismatch):
            encrypted_inner_product(pairs, world().keys)
    stranger = encrypt_column(world().secret(1), of, x, reverse=True)
    with pytest.raises(CiphertextMismatch, match="of 2 owners"):
        encrypted_inner_product([(first, stranger)], world().keys)
    with pytest.raises(CiphertextMismatch, match="is missing"):
        encrypted_inner_product([(first, second)], {})
    for wrong in (x.astype(np.float64), x[:0], np.tile(x, 2), x[None], x + 101, x - 101):
        with pytest.raises(CiphertextMismatch):
            encrypt_column(secret, of, wrong)
    with pytest.raises(CiphertextMismatch, match="other parameters"):
        encrypt_column(owners(1).secret(0), of, x)


def test_ciphertexts_of_one_column_are_never_the_same() -> None:
    of, secret, x = terms(), world().secret(0), some(300, 100, 9)
    one, other = (encrypt_column(secret, of, x).blocks.parts for _ in range(2))
    assert len(one) == ceil(300 / SMALL.degree)
    assert not np.any(np.all(one == other, axis=-1))


def test_table_of_the_page_is_the_kept_run_and_every_entry_was_exact() -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / "fhe" / "gram.py"))
    kept = json.loads(script["KEPT"].read_text(encoding="utf-8"))
    assert [row["exact"] for row in kept["rows"]] == [row["entries"] for row in kept["rows"]] == [990, 990]
    assert script["table_of"](kept) in (ROOT / "docs" / "computing.md").read_text(encoding="utf-8")


def test_65536_rows_are_exact_in_the_full_ring() -> None:
    """Three of 44 columns, at the terms of the whole Gram matrix."""
    parameters = computing_parameters(16384, 96, 1, 2)
    of = InnerProductTerms(parameters, 65_536, 64, 2, 990)
    made = [SecretKey(name, parameters, b"a federation") for name in ("ahus", "bergen")]
    full = Owners(parameters, {s.owner: s for s in made}, {s.owner: s.evaluation_key() for s in made})
    tables = [some(32_768 * 3, 64, k).reshape(3, 32_768) for k in range(2)]
    entries = list(combinations_with_replacement(range(3), 2))
    products = [
        encrypted_inner_product(
            [pair(secret, of, table[i], table[j]) for secret, table in zip(made, tables, strict=True)], full.keys
        )
        for i, j in entries
    ]
    gram = sum(table @ table.T for table in tables)
    assert opened(products, full) == [int(gram[entry]) for entry in entries]


@pytest.mark.slow
def test_gram_matrix_of_65536_rows_and_44_columns_is_exact_in_every_entry() -> None:
    """Under one key, as the page has it; two keys have three columns of as many rows above."""
    found = runpy.run_path(str(ROOT / "benchmarks" / "fhe" / "gram.py"))["measure"](1)
    assert (found["rows"], found["columns"], found["exact"], found["entries"]) == (65_536, 44, 990, 990)
