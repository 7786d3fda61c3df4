"""The log on disk is tested hardest: every cut and every flipped bit must give all that was promised, or a refusal."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from medward.ledger.bank import Deposit
from medward.ledger.errors import JournalCorrupt, JournalError, JournalRolledBack
from medward.ledger.pbft.effects import (
    Accepted,
    Append,
    CheckpointTaken,
    Compact,
    MendBlock,
    Prepared,
    StoreBlock,
    StoreSnapshot,
)
from medward.ledger.pbft.runtime.journal import ReplicaJournal
from tests.ledger.simulator.world import World

IDENTITY = b"i" * 32


@pytest.fixture(scope="module")
def units():
    """What a replica really writes: the units of a short run, with snapshots, compactions and a view change."""
    world = World(7, 4)
    client = world.add_client("client", [Deposit("a", 1) for _ in range(14)])
    world.issue(client)
    world.at(150, lambda: world.crash(world.nodes["h00"]))
    world.run(6000)
    units = world.nodes["h01"].disk.units
    kinds = {type(write) for unit in units for write in unit}
    assert {Append, Compact, StoreBlock, StoreSnapshot} <= kinds
    records = {type(write.record) for unit in units for write in unit if isinstance(write, Append)}
    assert {Accepted, Prepared, CheckpointTaken} <= records
    return units


def write_all(folder, units):
    with ReplicaJournal.create(folder, IDENTITY) as journal:
        for unit in units:
            journal.commit(unit)


def content(folder):
    with ReplicaJournal(folder) as journal:
        return journal.recover()


def test_what_was_committed_is_read_back(tmp_path, units):
    world = World(7, 4)
    disk = world.nodes["h01"].disk
    disk.units = []
    with ReplicaJournal.create(tmp_path / "j", IDENTITY) as journal:
        for unit in units:
            journal.commit(unit)
            disk.units.append(unit)
            if len(disk.units) % 7 == 0:
                assert journal.recover() == disk.recover()
    assert content(tmp_path / "j") == disk.recover()


def test_a_missing_journal_is_never_made_silently(tmp_path):
    with pytest.raises(JournalError, match="new incarnation"):
        ReplicaJournal(tmp_path)


def test_a_folder_that_was_used_is_not_used_again(tmp_path, units):
    write_all(tmp_path, units[:3])
    (tmp_path / "journal.sqlite").unlink()
    with pytest.raises(JournalError, match="empty folder"):
        ReplicaJournal.create(tmp_path, IDENTITY)


def copy_of_open_journal(tmp_path, units):
    """A journal as a crash leaves it: with its write-ahead log, not yet copied into the database."""
    folder, copy = tmp_path / "live", tmp_path / "crashed"
    journal = ReplicaJournal.create(folder, IDENTITY)
    for unit in units:
        journal.commit(unit)
    shutil.copytree(folder, copy)
    journal.close()
    assert (copy / "journal.sqlite-wal").stat().st_size > 0
    return copy


def outcome(folder, expected):
    """Open a damaged journal: it must give everything, or refuse; return which."""
    try:
        found = content(folder)
    except JournalRolledBack:
        return "rolled back"
    except JournalCorrupt:
        return "corrupt"
    # Blocks and snapshots carry certificates and are verified when a replica starts from them.
    assert found.records == expected.records
    return "whole"


def test_a_log_cut_at_any_place_is_recognised(tmp_path, units):
    crashed = copy_of_open_journal(tmp_path, units[-12:])
    expected = content(copied(crashed, tmp_path / "whole"))
    size = (crashed / "journal.sqlite-wal").stat().st_size
    random, seen = Random(1), set()
    cuts = {0, 1, 31, 32, 33, size - 1, size - 100, *(random.randrange(size) for _ in range(60))}
    for cut in sorted(cuts):
        folder = copied(crashed, tmp_path / f"cut-{cut}")
        with open(folder / "journal.sqlite-wal", "r+b") as log:
            log.truncate(cut)
        seen.add(outcome(folder, expected))
        shutil.rmtree(folder)
    assert "rolled back" in seen or "corrupt" in seen
    assert "whole" not in seen


def test_a_flipped_bit_is_recognised_or_harmless(tmp_path, units):
    crashed = copy_of_open_journal(tmp_path, units)
    expected = content(copied(crashed, tmp_path / "whole"))
    random, seen = Random(2), []
    for trial in range(120):
        name = random.choice(["journal.sqlite", "journal.sqlite-wal"])
        folder = copied(crashed, tmp_path / f"flip-{trial}")
        with open(folder / name, "r+b") as file:
            place = random.randrange((folder / name).stat().st_size)
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1 << random.randrange(8)]))
        seen.append(outcome(folder, expected))
        shutil.rmtree(folder)
    assert "rolled back" in seen


def test_a_flipped_bit_in_a_closed_database_never_changes_a_record(tmp_path, units):
    write_all(tmp_path / "closed", units)
    expected = content(copied(tmp_path / "closed", tmp_path / "whole"))
    random, seen = Random(3), []
    for trial in range(120):
        folder = copied(tmp_path / "closed", tmp_path / f"flip-{trial}")
        with open(folder / "journal.sqlite", "r+b") as file:
            place = random.randrange((folder / "journal.sqlite").stat().st_size)
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1 << random.randrange(8)]))
        seen.append(outcome(folder, expected))
        shutil.rmtree(folder)
    assert "corrupt" in seen


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def test_an_old_copy_of_the_database_is_recognised_by_the_witness(tmp_path, units):
    write_all(tmp_path / "j", units[:10])
    backup = copied(tmp_path / "j", tmp_path / "backup")
    with ReplicaJournal(tmp_path / "j") as journal:
        for unit in units[10:20]:
            journal.commit(unit)
    shutil.copy(backup / "journal.sqlite", tmp_path / "j" / "journal.sqlite")
    with pytest.raises(JournalRolledBack):
        content(tmp_path / "j")


def test_a_database_with_as_many_units_as_the_witness_saw_but_other_ones_is_recognised(tmp_path, units):
    votes = [unit for unit in units if any(isinstance(write, Append) for write in unit)]
    for name, last in (("one", votes[3]), ("other", votes[4])):
        write_all(tmp_path / name, [*votes[:3], last])
    with ReplicaJournal(tmp_path / "one") as one, ReplicaJournal(tmp_path / "other") as other:
        assert one.commits == other.commits
    shutil.copy(tmp_path / "other" / "journal.sqlite", tmp_path / "one" / "journal.sqlite")
    with pytest.raises(JournalRolledBack):
        content(tmp_path / "one")


def test_a_torn_witness_leaves_the_one_before(tmp_path, units):
    write_all(tmp_path / "j", units[:10])
    whole = content(copied(tmp_path / "j", tmp_path / "whole"))
    for place in range(0, 144, 5):
        folder = copied(tmp_path / "j", tmp_path / f"torn-{place}")
        with open(folder / "witness", "r+b") as file:
            file.seek(place)
            file.write(b"\xff\x00\xff")
        assert content(folder).records == whole.records


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM journal WHERE position = (SELECT max(position) FROM journal)",
        "DELETE FROM journal WHERE position = (SELECT min(position) FROM journal)",
        "UPDATE journal SET record = zeroblob(length(record)) WHERE position = (SELECT max(position) FROM journal)",
        "UPDATE journal SET record = (SELECT record FROM journal ORDER BY position LIMIT 1) "
        "WHERE position = (SELECT max(position) FROM journal)",
        "DELETE FROM marks",
        "DROP TABLE snapshot",
        "DELETE FROM snapshot WHERE part = 'handovers'",
        "DELETE FROM blocks WHERE height = (SELECT max(height) - 1 FROM blocks)",
        "DELETE FROM batches WHERE number = (SELECT max(number) FROM batches)",
        "UPDATE batches SET transactions = zeroblob(length(transactions))",
    ],
)
def test_a_record_that_is_gone_or_changed_is_recognised(tmp_path, units, damage):
    last_snapshot = max(i for i, unit in enumerate(units) if any(isinstance(w, StoreSnapshot) for w in unit))
    more = [i for i in range(last_snapshot + 1, len(units)) if any(isinstance(w, StoreBlock) for w in units[i])]
    assert len(more) >= 2
    write_all(tmp_path / "j", units)
    database = sqlite3.connect(tmp_path / "j" / "journal.sqlite")
    database.execute(damage)
    database.commit()
    database.close()
    with pytest.raises(JournalCorrupt):
        content(tmp_path / "j")


WRITER = """
import os, pickle, signal, sys
from pathlib import Path
from medward.ledger.pbft.runtime.journal import ReplicaJournal
from medward.ledger.pbft.runtime.witness import Witness
from medward.ledger.pbft.runtime import journal as module
units = pickle.load(open(sys.argv[2], "rb"))
stop_at, place = int(sys.argv[3]), sys.argv[4]
journal = ReplicaJournal(Path(sys.argv[1]))
journal.allocate()
write_witness = Witness.write
def dying(self, unit, chain):
    if place == "before the witness" and unit == stop_at + 1: os.kill(os.getpid(), signal.SIGKILL)
    write_witness(self, unit, chain)
Witness.write = dying
for number, unit in enumerate(units):
    if number == stop_at and place == "inside the transaction":
        journal._database.execute("BEGIN IMMEDIATE")
        journal._database.execute("INSERT INTO journal VALUES (99999, x'00', x'00')")
        os.kill(os.getpid(), signal.SIGKILL)
    journal.commit(unit)
    os.write(1, b"%d\\n" % number)
    if number == stop_at and place == "after": os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("place", ["inside the transaction", "before the witness", "after"])
def test_kill_9_at_a_commit_loses_nothing_that_was_acknowledged(tmp_path, units, place):
    import pickle  # noqa: PLC0415

    (tmp_path / "units").write_bytes(pickle.dumps([list(map(strip, unit)) for unit in units]))
    for stop_at in (0, 5, len(units) // 2, len(units) - 1):
        folder = tmp_path / f"{stop_at}"
        ReplicaJournal.create(folder, IDENTITY).close()
        command = [sys.executable, "-c", WRITER, str(folder), str(tmp_path / "units"), str(stop_at), place]
        run = subprocess.run(command, capture_output=True, check=False)
        assert run.returncode == -signal.SIGKILL, run.stderr
        acknowledged = len(run.stdout.split())
        durable = acknowledged + (place == "before the witness")
        reference = tmp_path / f"reference-{stop_at}"
        write_all(reference, units[:durable])
        assert content(folder) == content(reference)


def strip(write):
    """The application's results are not written; leave them out of what the writer process gets."""
    return StoreBlock(write.block, None) if isinstance(write, StoreBlock) else write


def test_room_for_the_log_is_taken_at_once_and_changes_nothing_else(tmp_path, units):
    write_all(tmp_path / "plain", units)
    with ReplicaJournal.create(tmp_path / "j", IDENTITY) as journal:
        journal.allocate()
        log = tmp_path / "j" / "journal.sqlite-wal"
        size, of_database = log.stat().st_size, (tmp_path / "j" / "journal.sqlite").stat().st_size
        assert size > 8 * 2**20
        assert of_database < 2**20
        for unit in units:
            journal.commit(unit)
        assert log.stat().st_size == size
        assert journal.recover() == content(tmp_path / "plain")
        journal.allocate()
        assert journal.recover() == content(tmp_path / "plain")
    assert content(tmp_path / "j") == content(tmp_path / "plain")


def test_a_log_that_gets_no_room_grows_as_it_may(tmp_path, units):
    write_all(tmp_path / "plain", units)
    with ReplicaJournal.create(tmp_path / "j", IDENTITY) as journal:
        journal._database.execute("PRAGMA max_page_count = 1000")
        journal.allocate()
        for unit in units:
            journal.commit(unit)
    assert content(tmp_path / "j") == content(tmp_path / "plain")


def test_a_full_disk_is_an_error_before_anything_is_sent(tmp_path, units):
    write_all(tmp_path / "j", units[:4])
    journal = ReplicaJournal(tmp_path / "j")
    journal._database.execute("PRAGMA max_page_count = 1")
    many = [write for _ in range(200) for unit in units for write in unit if isinstance(write, Append)]
    with pytest.raises(JournalError, match="does not take"):
        journal.commit(many)


def a_block(units):
    """A block with transactions, and the last records that were written."""
    blocks = [write.block for unit in units for write in unit if isinstance(write, StoreBlock)]
    return next(block for block in blocks if block.transactions)


@pytest.mark.parametrize("table", ["blocks", "batches"])
def test_damaged_block_is_mended_with_its_batch(tmp_path, units, table):
    write_all(tmp_path, units)
    block = a_block(units)
    height = block.certificate.header.height
    with ReplicaJournal(tmp_path) as journal:
        column = {"blocks": "certificate", "batches": "transactions"}[table]
        where = "root = ?"
        journal._database.execute(
            f"UPDATE {table} SET {column} = X'00' WHERE {where}", (block.certificate.header.transactions,)
        )
        with pytest.raises(JournalCorrupt, match=f"block {height} .* is damaged"):
            journal.block(height)
        journal.commit([MendBlock(block)])
        assert journal.block(height) == block


def test_database_that_refuses_to_be_mended_keeps_the_votes_of_the_same_unit(tmp_path, units):
    write_all(tmp_path, units)
    block = a_block(units)
    votes = [write for unit in units for write in unit if isinstance(write, Append)][-3:]
    with ReplicaJournal(tmp_path) as journal:
        before = journal.recover().records
        # As a damaged page of this table would: nothing can be written to it any more.
        journal._database.execute(
            "CREATE TEMP TRIGGER refuse BEFORE INSERT ON main.blocks BEGIN SELECT RAISE(ABORT, 'malformed'); END"
        )
        journal.commit([*votes[:2], MendBlock(block), votes[2]])
    with ReplicaJournal(tmp_path) as journal:
        assert journal.recover().records == (*before, *(vote.record for vote in votes))
        # What was there of the block is there still.
        assert journal.block(block.certificate.header.height) == block


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE blocks SET certificate = 5 WHERE height = 3",
        "UPDATE blocks SET certificate = CAST(x'ff' AS TEXT) WHERE height = 3",
        "UPDATE batches SET transactions = 1.5",
    ],
)
def test_block_of_another_type_is_damage_that_is_mended(tmp_path, units, statement):
    """One flipped bit makes a text or a number of bytes; a replica goes on, and asks the others for the block."""
    write_all(tmp_path, units)
    with ReplicaJournal(tmp_path) as journal:
        whole = {height: journal.block(height) for height in range(1, 6)}
        journal._database.execute(statement)
        damaged = 0
        for height, block in whole.items():
            try:
                assert journal.block(height) == block
            except JournalCorrupt:
                damaged += 1
                journal.commit([MendBlock(block)])
                assert journal.block(height) == block
        assert damaged


def test_text_of_the_same_bytes_is_the_block_itself(tmp_path, units):
    write_all(tmp_path, units)
    with ReplicaJournal(tmp_path) as journal:
        whole = journal.block(3)
        journal._database.execute("UPDATE blocks SET certificate = CAST(certificate AS TEXT)")
        assert journal.block(3) == whole


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET record = 5 WHERE position = (SELECT max(position) FROM journal)",
        "UPDATE journal SET chain = 'text' WHERE position = (SELECT max(position) FROM journal)",
        "UPDATE marks SET position = 'text' WHERE name = 'head'",
        "UPDATE marks SET chain = 9223372036854775807 WHERE name = 'base'",
        "UPDATE marks SET chain = 9223372036854775807 WHERE name = 'head'",
        "UPDATE snapshot SET part = 'x' WHERE part = 'certificate'",
        "UPDATE snapshot SET data = 1.5 WHERE part = 'handovers'",
    ],
)
def test_vote_or_state_of_another_type_is_corrupt(tmp_path, units, statement):
    write_all(tmp_path, units)
    database = sqlite3.connect(tmp_path / "journal.sqlite")
    with database:
        database.execute(statement)
    database.close()
    with pytest.raises(JournalCorrupt):
        content(tmp_path)
