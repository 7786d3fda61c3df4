"""An audit names what was altered, tried on every kind of record, every part of a block and every block of a store."""

import random
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import get_args

import pytest

from medward.audit.findings import AuditResult, Finding
from medward.audit.homes import audit
from medward.audit.pbft_ledger import LedgerAudit
from medward.federation.application import FederationApplication
from medward.federation.records import Record, decode_record
from medward.ledger.encoding import decode_form
from medward.ledger.pbft.reading import read_journal
from medward.ledger.transactions import decode_transaction
from medward.node.home.folder import Home
from medward.node.training.rules import read_agreement
from medward.store.cid import Cid
from tests.audit.homes import altered, one_byte_altered

pytestmark = pytest.mark.slow
ALTERED, OTHER = "hospital-2", "hospital-3"
KINDS = {kind.__name__ for kind in get_args(Record)}
TABLES = {"journal", "marks", "batches", "blocks", "snapshot", "chunks", "evidence"}
#: Of rows that nothing refers to by them.
NUMBERS = {("batches", "number"), ("evidence", "position")}


@pytest.fixture
def folder(audited_homes: dict[str, Home]) -> Path:
    return audited_homes[ALTERED].folder.parent


@pytest.fixture
def home(audited_homes: dict[str, Home]) -> Home:
    return audited_homes[ALTERED]


def database_of(home: Home) -> Path:
    return home.ledger / "journal" / "journal.sqlite"


def rows_of(home: Home, query: str) -> list[tuple[int, bytes]]:
    with closing(sqlite3.connect(f"{database_of(home).absolute().as_uri()}?immutable=1", uri=True)) as database:
        return database.execute(query).fetchall()


def records_of(home: Home) -> Iterator[tuple[int, int, bytes]]:
    """Yield (height, number in the block, encoded) of every transaction that a home has."""
    query = "SELECT height, transactions FROM blocks JOIN batches USING (root) ORDER BY height"
    for height, batch in rows_of(home, query):
        for place, encoded in enumerate(decode_form(batch, tuple[bytes, ...])):
            yield height, place, encoded


def kind_of(encoded: bytes) -> str:
    return type(decode_record(decode_transaction(encoded).payload)).__name__


@contextmanager
def one_byte_of_each(home: Home, values: Iterable[bytes], drawn: random.Random) -> Iterator[None]:
    """Let the file that holds these stored values have another byte somewhere in each of them for a while."""
    content = database_of(home).read_bytes()
    for value in values:
        found = []
        while len(found) != 1:  # a long value lies in several pages, and some bytes stand in other records too
            at = drawn.randrange(len(value))
            start = max(0, at - 16)
            found = [match.start() for match in re.finditer(re.escape(value[start : at + 17]), content)]
        content = one_byte_altered(content, found[0] + at - start)
    with altered(database_of(home), content):
        yield


@contextmanager
def as_rows(home: Home, table: str, changes: Sequence[tuple[str, object, object]]) -> Iterator[None]:
    """Let somebody who knows the database alter values of its rows for a while, and leave no trace in its pages."""
    with altered(database_of(home), database_of(home).read_bytes()):
        with closing(sqlite3.connect(database_of(home), isolation_level=None)) as database:
            for column, stored, other in changes:
                done = database.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (other, stored))
                assert done.rowcount
            database.execute("PRAGMA journal_mode = DELETE")
        yield


def ledger_problems(homes: Mapping[str, Home]) -> list[Finding]:
    federation = next(iter(homes.values())).federation()
    found = AuditResult()
    journals = {name: read_journal(home.ledger / "journal") for name, home in homes.items()}
    application = FederationApplication(read_agreement(federation.application.parameters))
    LedgerAudit(federation.genesis, journals, found).run(application, lambda *_: None)
    return found.problems


def test_one_altered_byte_in_every_kind_of_record_is_named_with_its_author(
    audited_homes: dict[str, Home], home: Home, folder: Path
) -> None:
    expected: dict[int, str] = {}
    chosen = []
    for height, _, encoded in records_of(home):
        kind = kind_of(encoded)
        if kind not in expected.values():
            expected[height] = kind
            chosen.append(encoded)
    assert set(expected.values()) == KINDS
    with one_byte_of_each(home, chosen, random.Random(1)):
        found = audit(folder, only=0)
    said = {
        p.height: re.search(r"transaction \d+ of \d+, the record (\w+) of hospital-\d,", p.what) for p in found.problems
    }
    assert {height: match and match[1] for height, match in said.items()} == expected
    assert {problem.home for problem in found.problems} == {ALTERED}
    assert len(found.problems) == len(KINDS)
    assert found.groups["rounds"].checked["sums"] == 1, "the other homes have them whole"


def test_altered_record_of_a_home_alone_is_named_by_its_signature(home: Home) -> None:
    height, place, encoded = next(one for one in records_of(home) if one[0] == 70)
    payload = decode_transaction(encoded).payload
    with one_byte_of_each(home, [payload], random.Random(2)):
        problems = ledger_problems({ALTERED: home})
    assert [problem.height for problem in problems[:2]] == [height, height]
    said = rf"transaction {place + 1} of \d+, (the record \w+|an unknown record) of hospital-\d, was altered"
    assert re.match(said, problems[0].what), problems[0].what
    assert "nothing from here on can be replayed" in problems[1].what
    # A checkpoint that is certified later cannot be reached any more.
    assert all("a checkpoint is certified here" in problem.what for problem in problems[2:])


def test_every_byte_of_a_certificate_counts(audited_homes: dict[str, Home], home: Home) -> None:
    """One byte in each block's certificate, at another place in every block, until every place had its turn."""
    stored = rows_of(home, "SELECT height, certificate FROM blocks ORDER BY height")
    for first in range(0, max(len(certificate) for _, certificate in stored), len(stored)):
        placed = [(at, height, c) for at, (height, c) in enumerate(stored, start=first) if at < len(c)]
        with as_rows(home, "blocks", [("certificate", c, one_byte_altered(c, at)) for at, _, c in placed]):
            problems = ledger_problems({ALTERED: home, OTHER: audited_homes[OTHER]})
        assert {(one.home, one.height) for one in problems} == {(ALTERED, height) for _, height, _ in placed}


def cells_of(home: Home) -> Iterator[tuple[str, str, object]]:
    """Yield (table, column, value) of the last row of every table, and of all rows of those with a few named ones."""
    with closing(sqlite3.connect(f"{database_of(home).absolute().as_uri()}?immutable=1", uri=True)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = 1 if table not in ("marks", "snapshot") else 9
            read = database.execute(f"SELECT * FROM {table} ORDER BY rowid DESC LIMIT {rows}")
            columns = [column for column, *_ in read.description]
            for row in read.fetchall():
                for column, value in zip(columns, row, strict=True):
                    # How many units were written is no record: the witness beside the journal may be behind it.
                    counts = row[0] == "commits" and column != "name"
                    if not counts and (table, column) not in NUMBERS:
                        yield table, column, value


def other_than(value: object) -> object:
    if isinstance(value, bytes):
        return one_byte_altered(value, len(value) // 2)
    if isinstance(value, str):
        return value[:-1] + chr(ord(value[-1]) ^ 1)
    assert isinstance(value, int)
    return value + 1000


def test_every_column_of_every_table_counts(audited_homes: dict[str, Home]) -> None:
    home = audited_homes["hospital-1"]
    cells = list(cells_of(home))
    assert {table for table, _, _ in cells} == TABLES
    for table, column, value in cells:
        with as_rows(home, table, [(column, value, other_than(value))]):
            problems = ledger_problems({"hospital-1": home, OTHER: audited_homes[OTHER]})
        assert {problem.home for problem in problems} == {"hospital-1"}, (table, column)


def test_every_block_of_a_store_is_named_with_what_it_belongs_to(home: Home, folder: Path) -> None:
    drawn = random.Random(2)
    files = sorted(home.store.glob("blocks/*/*"))
    with ExitStack() as stack:
        for file in files:
            content = file.read_bytes()
            stack.enter_context(altered(file, one_byte_altered(content, drawn.randrange(len(content)))))
        found = audit(folder, only=3)
    assert found.problems == found.groups["store"].problems
    assert {problem.home for problem in found.problems} == {ALTERED}
    named = [re.search(r"the block (\w+) does not match its name; it is part of (.+)", p.what) for p in found.problems]
    assert sorted(Cid.parse(match[1]).key for match in named if match) == sorted(file.name for file in files)
    kinds = {re.sub(r"hospital-\d|round \d", "X", match[2]) for match in named if match}
    assert kinds == {
        *("the contribution of X to X", "the response of X in X", "what X showed in X", "the answer of X in X"),
        *("the model that X led to", "the first model", "the data key of X", "the sealed data set of X"),
        "a blob that the ledger does not name",  # the answer that the silent holder made and kept to itself
    }
    assert found.groups["rounds"].checked["models"] == 1, "the other homes have everything whole"
