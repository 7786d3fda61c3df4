"""A member's computing key: made once with its journal, for one parameter set, readable by nobody else."""

import stat
from pathlib import Path

import pytest

from medward.errors import MedwardError
from medward.fhe.computing.parameters import ComputingParameters
from medward.node.computing.key import OUTPUTS, ComputingKey, keep_opened
from medward.node.errors import NodeError
from medward.store.errors import StoreFull
from tests.fhe.computing.world import small

SET: ComputingParameters = small(levels=1, degree=64)
LABEL = b"scoring"


def test_key_is_made_once_and_is_the_same_afterwards(tmp_path: Path) -> None:
    folder = ComputingKey(tmp_path)
    assert not folder.made
    made = folder.secret("ahus", SET, LABEL)
    assert folder.made
    again = ComputingKey(tmp_path).secret("ahus", SET, LABEL)
    assert (again.fingerprint, again.owner, again.seed) == (made.fingerprint, made.owner, made.seed)
    journal = folder.journal()
    assert (journal.key, journal.outputs) == (made.fingerprint, OUTPUTS)
    journal.close()


def test_nobody_else_may_read_what_is_kept(tmp_path: Path) -> None:
    folder = ComputingKey(tmp_path)
    folder.secret("ahus", SET, LABEL)
    for path in (tmp_path, *tmp_path.rglob("*")):
        if path.name != "opened.sqlite":
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


@pytest.mark.parametrize(("parameters", "label"), [(small(levels=2, degree=64), LABEL), (SET, b"another")])
def test_key_for_another_set_is_told_and_stays(tmp_path: Path, parameters: ComputingParameters, label: bytes) -> None:
    folder = ComputingKey(tmp_path)
    seed = folder.secret("ahus", SET, LABEL).seed
    with pytest.raises(NodeError, match="networks of another shape"):
        folder.secret("ahus", parameters, label)
    assert folder.secret("ahus", SET, LABEL).seed == seed


@pytest.mark.parametrize(
    ("name", "content"), [("seed", b""), ("seed", b"0" * 31), ("set", None), ("set", b""), ("set", b"\xff\xfe")]
)
def test_damaged_key_is_told_in_a_sentence_and_no_other_is_made(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    folder = ComputingKey(tmp_path)
    made = folder.secret("ahus", SET, LABEL)
    file = tmp_path / name
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(MedwardError) as caught:
        folder.secret("ahus", SET, LABEL)
    assert made.seed.hex() not in str(caught.value)
    assert made.seed not in str(caught.value).encode()


def test_key_that_was_never_finished_begins_anew_with_a_journal_of_its_own(tmp_path: Path) -> None:
    folder = ComputingKey(tmp_path)
    first = folder.secret("ahus", SET, LABEL)
    (tmp_path / "seed").unlink()
    second = folder.secret("ahus", SET, LABEL)
    assert second.fingerprint != first.fingerprint
    journal = folder.journal()
    assert journal.key == second.fingerprint
    journal.close()


def test_nothing_is_opened_where_the_disk_has_no_room_for_it(tmp_path: Path) -> None:
    opened = []
    with pytest.raises(StoreFull, match="make room on the disk"):
        keep_opened(tmp_path / "shares", 1 << 62, lambda: opened.append(1) or b"")  # type: ignore[func-returns-value]
    assert not opened
    assert list(tmp_path.iterdir()) == []
    keep_opened(tmp_path / "shares", 100, lambda: b"shares")
    assert (tmp_path / "shares").read_bytes() == b"shares"
