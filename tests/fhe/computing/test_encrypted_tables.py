"""Encrypted tables and owners' parts as files: read column by column, of the sizes on record and of nothing else."""

import io
from dataclasses import replace

import numpy as np
import pytest

from medward.fhe.computing.formats.encrypted_tables import read_parts_of, read_table, write_parts, write_table
from medward.fhe.computing.inner_product_opening import parts_of
from medward.fhe.errors import MalformedEncoding
from tests.fhe.computing.tables import (
    COLUMNS,
    ROWS,
    TERMS,
    column_pairs,
    parts_file,
    plain,
    products,
    read,
    tables,
    world,
)


def test_table_of_other_sizes_than_on_record_is_refused() -> None:
    for rows, columns in ((ROWS - 1, COLUMNS), (ROWS, COLUMNS + 1), (ROWS, 1)):
        with pytest.raises(MalformedEncoding, match="it is not of"):
            read(tables()[0], 0, rows, columns)
    with pytest.raises(MalformedEncoding, match="of another owner"):
        read(tables()[0], 1)


def test_table_or_parts_of_other_terms_are_refused() -> None:
    owner, other = world().secret(0).owner, replace(TERMS, entries=9)
    with pytest.raises(MalformedEncoding, match="of other terms"):
        next(read_table(io.BytesIO(tables()[0]), other, owner, ROWS, COLUMNS))
    with pytest.raises(MalformedEncoding, match="of other terms"):
        next(read_parts_of(io.BytesIO(parts_file()), other, owner, 3))


def test_parts_of_another_count_than_asked_for_are_refused() -> None:
    owner = world().secret(0).owner
    for count in (0, 2, 4, (1 << 32) - 1):
        with pytest.raises(MalformedEncoding, match=f"they are not {count}$"):
            next(read_parts_of(io.BytesIO(parts_file()), TERMS, owner, count))


def test_columns_are_handed_out_one_after_the_other() -> None:
    """So that one table, and not all of it, is in memory; what is missing is told by its column and byte."""
    data = tables()[0]
    columns = read_table(io.BytesIO(data[:-1]), TERMS, world().secret(0).owner, ROWS, COLUMNS)
    first, second = next(columns)
    assert (first.reverse, second.reverse) == (False, True)
    assert (first.rows, first.owner, first.terms) == (ROWS, world().secret(0).owner, TERMS)
    with pytest.raises(MalformedEncoding, match=rf"ends at byte {len(data) - 1}, inside column 2: fetch it again"):
        next(columns)


def test_table_that_is_read_is_written_as_the_same_bytes() -> None:
    for place, data in enumerate(tables()):
        file = io.BytesIO()
        write_table(file, TERMS, world().secret(place).owner, ROWS, iter(read(data, place)), COLUMNS)
        assert file.getvalue() == data


def test_parts_come_back_as_they_were() -> None:
    owner = world().secret(0).owner
    found = list(read_parts_of(io.BytesIO(parts_file()), TERMS, owner, 3))
    np.testing.assert_array_equal(np.stack(found), np.stack(list(parts_of(products(), owner))))


def test_residue_above_its_prime_is_refused_and_its_place_is_told() -> None:
    with pytest.raises(MalformedEncoding, match="column 2 is damaged"):
        read(tables()[0][:-800] + b"\xff" * 800)
    with pytest.raises(MalformedEncoding, match="part 3 is damaged"):
        list(read_parts_of(io.BytesIO(parts_file()[:-800] + b"\xff" * 800), TERMS, world().secret(0).owner, 3))


def test_writer_refuses_what_does_not_belong() -> None:
    pairs = column_pairs(plain(0))
    owner, stranger = (world().secret(place).owner for place in range(2))
    for columns, count in ((pairs, 3), ([*pairs, *pairs], 2)):
        with pytest.raises(MalformedEncoding, match=f"of {count} columns, and"):
            write_table(io.BytesIO(), TERMS, owner, ROWS, columns, count)
    swapped = [(pairs[0][1], pairs[0][0])]
    for who, terms, rows, columns in (
        (owner, TERMS, ROWS, swapped),
        (stranger, TERMS, ROWS, pairs[:1]),
        (owner, replace(TERMS, entries=9), ROWS, pairs[:1]),
        (owner, TERMS, ROWS - 1, pairs[:1]),
    ):
        with pytest.raises(MalformedEncoding, match="column 1 is not one of this table"):
            write_table(io.BytesIO(), terms, who, rows, columns, 1)
    for count in (2, 4):
        with pytest.raises(MalformedEncoding, match=f"parts of {count} inner products, and 3 were made"):
            write_parts(io.BytesIO(), TERMS, owner, parts_of(products(), owner), count)
