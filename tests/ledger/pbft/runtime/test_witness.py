"""The witness of a journal: whatever a torn write leaves, the newest whole entry is read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.ledger.pbft.runtime.witness import WITNESS_FILE, Witness


def chain(unit: int) -> bytes:
    return unit.to_bytes(32, "big")


def test_newest_unit_is_read_again_after_a_restart(tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    assert witness.read() == (0, b"")
    for unit in (1, 2, 3, 4):
        witness.write(unit, chain(unit))
        assert witness.read() == (unit, chain(unit))
    witness.close()
    assert (tmp_path / WITNESS_FILE).stat().st_mode & 0o077 == 0
    again = Witness(tmp_path)
    assert again.read() == (4, chain(4))
    again.close()


@given(st.integers(1, 2**40), st.integers(0, 71), st.integers(1, 255))
def test_torn_write_leaves_the_entry_before_it(
    tmp_path_factory: pytest.TempPathFactory, unit: int, at: int, change: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    witness = Witness(folder)
    witness.write(unit, chain(unit))
    witness.write(unit + 1, chain(unit + 1))
    content = bytearray((folder / WITNESS_FILE).read_bytes())
    content[(unit + 1) % 2 * 72 + at] ^= change
    (folder / WITNESS_FILE).write_bytes(content)
    assert witness.read() == (unit, chain(unit))
    witness.close()


@given(st.binary(max_size=200))
def test_other_bytes_are_no_witness(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("journal")
    (folder / WITNESS_FILE).write_bytes(content)
    witness = Witness(folder)
    assert witness.read() == (0, b"")
    witness.close()
