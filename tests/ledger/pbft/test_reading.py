"""Another's journal is read from a copy: it stays as it is, and each damage is told without hiding the rest."""

import hashlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from medward.ledger.encoding import encode
from medward.ledger.errors import LedgerError
from medward.ledger.execution import transactions_root
from medward.ledger.pbft.effects import SaveChunk, StoreBlock, StoreEvidence
from medward.ledger.pbft.messages import Evidence
from medward.ledger.pbft.reading import JournalContent, copy_of_journal, read_journal
from medward.ledger.pbft.runtime.journal import ReplicaJournal
from tests.ledger.pbft.runtime.test_journal import units, write_all

__all__ = ["units"]
PROOF = Evidence("h03", b"one", b"other")


@pytest.fixture(scope="module")
def written(tmp_path_factory, units):
    """A journal as a replica leaves it, with a proof of equivocation and a part of a snapshot under way."""
    folder = tmp_path_factory.mktemp("reading") / "journal"
    write_all(folder, [*units, [StoreEvidence(PROOF), SaveChunk(hashlib.sha256(b"part").digest(), b"part")]])
    return folder


@pytest.fixture
def journal(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "journal"))


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def altered(folder: Path, *statements: str, **values: object) -> JournalContent:
    database = sqlite3.connect(folder / "journal.sqlite")
    with database:
        for statement in statements:
            database.execute(statement, values)
    database.close()
    return read_journal(folder)


def told(content):
    return [damage.what for damage in content.damage]


def test_journal_is_read_whole_and_stays_as_it_is(journal, units):
    before = files(journal)
    content = read_journal(journal)
    assert files(journal) == before
    assert content.damage == ()
    assert content.altered == {}
    stored = [write.block for unit in units for write in unit if isinstance(write, StoreBlock)]
    assert content.blocks == {block.certificate.header.height: block for block in stored}
    with ReplicaJournal(Path(shutil.copytree(journal, journal.with_name("again")))) as again:
        assert content.snapshot == again.recover().snapshot
    assert content.snapshot is not None
    assert content.evidence == (PROOF,)


def test_journal_that_is_written_now_is_read_between_two_transactions(journal, units):
    with ReplicaJournal(journal) as writing:
        expected = read_journal(journal, in_use=True)
        writing.write([StoreEvidence(Evidence("h01", b"1", b"2"))])
        # What is not sealed is not there yet.
        assert read_journal(journal, in_use=True) == expected
        writing.seal()
        writing.flush()
        assert len(read_journal(journal, in_use=True).evidence) == 2
    with copy_of_journal(journal) as copy:
        assert (copy / "journal.sqlite").exists()
    assert not copy.exists()


def test_folder_without_a_journal_is_told(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(LedgerError, match="there is no journal in"):
            read_journal(folder)
    (tmp_path / "journal.sqlite").mkdir()
    with pytest.raises(LedgerError, match="there is no journal in"):
        read_journal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no database at all", b"SQLite format 3\0" + bytes(4080)])
def test_file_that_is_no_database_is_damage_and_no_error(journal, content):
    (journal / "journal.sqlite").write_bytes(content)
    (journal / "journal.sqlite-wal").unlink(missing_ok=True)
    found = read_journal(journal)
    assert len(found.damage) == 1
    assert "journal.sqlite is damaged: " in told(found)[0]
    assert found.blocks == {}


def first_block(content: JournalContent) -> int:
    """The lowest height whose block holds transactions."""
    return min(height for height, block in content.blocks.items() if block.transactions)


BATCH = "UPDATE batches SET transactions = :new WHERE root = (SELECT root FROM blocks WHERE height = :height)"


@pytest.mark.parametrize(
    "new", [b"", b"\xff", encode((b"another",)), encode(())], ids=["empty", "torn", "other", "none"]
)
def test_block_with_other_transactions_than_its_header_names_is_shown_as_altered(journal, new):
    whole = read_journal(journal)
    height = first_block(whole)
    content = altered(journal, BATCH, new=new, height=height)
    assert set(content.altered) == {height}
    assert content.altered[height].transactions == new
    assert content.altered[height].certificate == whole.blocks[height].certificate
    assert content.blocks == {number: block for number, block in whole.blocks.items() if number != height}


def test_block_whose_transactions_are_gone_is_shown_as_altered_with_none(journal):
    height = first_block(read_journal(journal))
    content = altered(
        journal, "DELETE FROM batches WHERE root = (SELECT root FROM blocks WHERE height = :height)", height=height
    )
    assert content.altered[height].transactions is None


def test_each_damage_is_told_with_its_place_and_hides_no_other(journal):
    whole = read_journal(journal)
    one, other, *_ = sorted(whole.blocks)
    content = altered(
        journal,
        "UPDATE blocks SET certificate = x'ff' WHERE height = :one",
        "UPDATE blocks SET height = 1000000 WHERE height = :other",
        "UPDATE chunks SET data = x'00'",
        "UPDATE evidence SET data = x'00'",
        "INSERT INTO batches (root, transactions, number) VALUES (:root, x'00', 1000000)",
        one=one,
        other=other,
        root=transactions_root((b"never ordered",)),
    )
    found = {damage.height: damage.what for damage in content.damage if damage.height is not None}
    assert found[one].startswith(f"the certificate of block {one} does not read back: ")
    assert found[1000000] == "block 1000000 is stored under another height or root than its own"
    for sentence in (
        "batch 1000000, which is in no block, is not the one that its root names",
        "part 1 of a snapshot that is being fetched does not match its digest",
        "proof of equivocation 1 does not read back: ",
    ):
        assert any(one.startswith(sentence) for one in told(content)), sentence
    assert set(content.blocks) == set(whole.blocks) - {one, other}
    assert content.snapshot == whole.snapshot
    assert content.evidence == ()
    assert not any(str(journal.parent) not in one and "medward-audit-" in one for one in told(content))


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM snapshot WHERE part = 'handovers'", "the stored snapshot has no part 'handovers'"),
        ("UPDATE snapshot SET data = x'ff' WHERE part = 'certificate'", "the stored snapshot does not read back: "),
    ],
)
def test_snapshot_that_is_not_whole_is_told(journal, statement, said):
    content = altered(journal, statement)
    assert content.snapshot is None
    assert any(one.startswith(said) for one in told(content))


def test_record_that_was_changed_is_told_in_the_journal_s_own_folder(journal):
    content = altered(journal, "UPDATE journal SET record = x'ff' WHERE position = (SELECT max(position) FROM journal)")
    assert content.damage
    assert all("medward-audit-" not in one for one in told(content))


COLUMNS = (
    *("blocks.certificate", "blocks.root", "batches.transactions", "batches.root", "snapshot.part", "chunks.data"),
    *("chunks.digest", "evidence.data", "journal.record", "journal.chain", "marks.name"),
)


@pytest.mark.parametrize("column", COLUMNS)
def test_value_of_any_type_is_damage_and_no_error(written, tmp_path, column):
    table, name = column.split(".")
    # A number that a length is read from, and what one flipped bit makes of bytes: a text, here one that is none.
    for number, value in enumerate(("9223372036854775807", "CAST(x'ff' AS TEXT)")):
        folder = Path(shutil.copytree(written, tmp_path / str(number)))
        statement = f"UPDATE {table} SET {name} = {value} WHERE rowid = (SELECT max(rowid) FROM {table})"
        content = altered(folder, statement)
        assert content.damage or content.altered, value


# It might go on for ever as well; then a reader that reads it would hang instead of failing.
MILLION = """
DROP TABLE evidence;
CREATE VIEW evidence AS
WITH RECURSIVE n(position, data) AS (
    SELECT 1, x'00' UNION ALL SELECT position + 1, x'00' FROM n WHERE position < 1000000
)
SELECT * FROM n;
"""


@pytest.mark.parametrize(
    "script",
    [
        MILLION,
        "DROP TABLE chunks",
        "CREATE TRIGGER more AFTER INSERT ON marks BEGIN SELECT 1; END",
        "CREATE INDEX slow ON evidence (length(hex(zeroblob(1000000))))",
    ],
)
def test_tables_that_no_replica_makes_are_told_and_not_read(journal, script):
    database = sqlite3.connect(journal / "journal.sqlite")
    database.executescript(script)
    database.close()
    content = read_journal(journal)
    assert told(content) == ["journal.sqlite is damaged: its tables are not those of a journal"]
    assert content.blocks == {}
