"""Bounds on a stranger's file: every file of this store is within them, and their price grows with its length alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.store.cid import Cid
from medward.store.errors import LimitExceeded
from medward.store.importer import PROFILES, import_file
from medward.store.limits import DEFAULT_LIMITS, MAX_BLOCK_BYTES, file_of, file_up_to
from medward.store.reader import read_file

SIZES = st.one_of(st.integers(0, 3), st.integers(0, 2**22))


@settings(max_examples=15)
@given(SIZES, st.sampled_from(sorted(PROFILES)))
def test_file_of_the_length_that_is_due_is_read_whole(size: int, profile: str) -> None:
    blocks: dict[Cid, bytes] = {}
    content = bytes(size)
    root = import_file(content, lambda cid, block: blocks.update({cid: bytes(block)}), PROFILES[profile]).cid
    for limits in (file_of(size), file_of(size + 7, size), file_up_to(size), DEFAULT_LIMITS):
        assert b"".join(read_file(root, blocks.__getitem__, limits=limits)) == content
    for limits in (file_of(size + 1), file_of(size + 1, size + 2)):
        with pytest.raises(LimitExceeded, match="not the length of what is due"):
            next(read_file(root, blocks.__getitem__, limits=limits))
    if size:
        with pytest.raises(LimitExceeded, match="not the length of what is due"):
            next(read_file(root, blocks.__getitem__, limits=file_up_to(size - 1)))


@given(st.integers(0, 2**40))
def test_what_stands_around_a_file_costs_little(size: int) -> None:
    limits = file_of(size)
    assert size + 2**16 <= limits.max_bytes <= size * 1.002 + 2**16
    assert limits.max_blocks <= 8 + size / 2**16
    assert limits.max_depth == 8
    assert MAX_BLOCK_BYTES == 2**21
