"""An audit of four homes: it finds nothing where nothing is wrong, and names what is, wherever one byte was altered."""

import asyncio
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from medward.audit.findings import Finding
from medward.audit.homes import Audit, audit, audit_node, read_history
from medward.audit.rounds import round_blobs
from medward.cli import app
from medward.node.api.client import NodeClient
from medward.node.errors import EarlierFormat, NodeError
from medward.node.home.federation_file import write_federation
from medward.node.home.folder import Home
from medward.node.training.data import ParticipantSettings, plan_candidates
from medward.node.training.rules import agreement_parameters
from medward.node.trial.launcher import Launcher
from medward.store.cid import RAW, Cid
from medward.store.dag import walk
from medward.store.local import open_directory
from tests.audit.homes import (
    LYING_ROUND,
    NAMES,
    OWNER,
    ROWS,
    TABLE,
    altered,
    one_byte_altered,
)

pytestmark = pytest.mark.slow
ALTERED = "hospital-2"


@pytest.fixture(scope="session")
def homes(audited_homes: dict[str, Home]) -> dict[str, Home]:
    return audited_homes


@pytest.fixture(scope="session")
def folder(homes: dict[str, Home]) -> Path:
    return homes[ALTERED].folder.parent


@pytest.fixture(scope="session")
def untouched(folder: Path) -> Audit:
    return audit(folder)


def _only(problems: list[Finding]) -> Finding:
    assert len(problems) == 1, "\n".join(map(str, problems))
    return problems[0]


def test_untouched_federation_is_sound(untouched: Audit, folder: Path) -> None:
    assert untouched.sound, "\n".join(map(str, untouched.problems))
    assert untouched.homes == NAMES
    assert [task for _, task, _ in untouched.outcomes] == ["survey", "survey", "survey", "train"]
    ledger, rounds = untouched.groups["ledger"].checked, untouched.groups["rounds"].checked
    assert ledger["blocks"] == untouched.height == ledger["transactions"]
    assert ledger["certificates"] == len(NAMES) * untouched.height
    assert (rounds["rounds"], rounds["sums"], rounds["models"]) == (4, 4, 4)
    # The sum needs three answers, so that the fourth one may come too late to be counted.
    past = [one.now for one in read_history(folder).rounds.values()]
    assert {len(now.answers) for now in past} == {3, 4}
    assert rounds["answers"] == sum(len(now.answers) for now in past)
    assert (rounds["dealings"], rounds["cohorts"], rounds["beacons"]) == (16, 4, 4)
    assert (rounds["complaints"], rounds["shown"]) == (1, 1)
    assert untouched.groups["keys"].checked == {"sealing keys": sum(len(now.sealing_keys) for now in past)}


def test_every_block_on_disk_is_counted_once(untouched: Audit, folder: Path) -> None:
    files = [path for name in NAMES for path in (folder / name / "store" / "blocks").rglob("*") if path.is_file()]
    assert untouched.groups["store"].checked["blocks"] == len(files)
    assert untouched.groups["store"].checked["bytes"] == sum(path.stat().st_size for path in files)


def test_sealed_data_are_compared_with_their_record(untouched: Audit) -> None:
    assert untouched.groups["data"].checked == {"sets": 1, "rows": ROWS, "data keys": 1}


def test_lies_that_were_outvoted_are_remarks(untouched: Audit) -> None:
    remarks = untouched.groups["rounds"].remarks
    assert {remark.round for remark in remarks} == {LYING_ROUND}
    assert [(remark.what, remark.guilty) for remark in remarks] == [
        (
            "hospital-1 attested that the dealing of hospital-1 is at fault, which it is not",
            ("hospital-1",),
        ),
        (
            "hospital-1 complained of the share dealt by hospital-2, which showed what it had dealt to them",
            (),
        ),
    ]
    equivocation = _only(untouched.groups["ledger"].remarks)
    assert equivocation.what.startswith("hospital-4 signed two different things")
    assert equivocation.guilty == ("hospital-4",)
    assert untouched.refused


def test_nothing_on_disk_changes(folder: Path) -> None:
    def seen() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))}

    before = seen()
    audit(folder, only=0)
    assert seen() == before


def test_altered_block_of_sealed_data_is_named(homes: dict[str, Home], folder: Path) -> None:
    [(name, one)] = read_history(folder).state.data.sets.items()
    leaf = _leaves(homes[ALTERED], name)[1]
    path = _block_file(homes[ALTERED], leaf)
    with altered(path, one_byte_altered(path.read_bytes(), 1000)):
        problem = _only(audit(folder, only=0).problems)
        alone = audit(homes[ALTERED].folder, only=0)
    assert (problem.home, problem.name) == (ALTERED, name)
    assert f"the sealed data set of {one.member}" in problem.what
    # In a home that is not the owner's, a data set need not be; what is there must not be altered all the same.
    assert [found.home for found in alone.problems] == [ALTERED]


def test_sealed_data_must_be_in_their_owners_home(homes: dict[str, Home]) -> None:
    home = homes[OWNER]
    [(name, _)] = read_history(home.folder).state.data.sets.items()
    path = _block_file(home, _leaves(home, name)[0])
    away = path.with_name(f"{path.name}.away")
    path.rename(away)
    try:
        problem = _only(audit(home.folder, only=0).problems)
    finally:
        away.rename(path)
    assert problem.name == name
    assert problem.what == f"the sealed data set of {OWNER} is not whole here"


def _leaves(home: Home, name: str) -> list[Cid]:
    with open_directory(home.store, read_only=True) as store:
        return [cid for cid, _ in walk(Cid.parse(name), store.get_block) if cid.codec == RAW]


def _block_file(home: Home, cid: Cid) -> Path:
    return home.store / "blocks" / cid.key[-2] / cid.key


def test_one_home_can_be_audited_alone(homes: dict[str, Home]) -> None:
    alone = audit(homes["hospital-3"].folder, only=3)
    assert alone.sound
    assert alone.groups["rounds"].checked["models"] == 1


def _certificate(home: Home) -> tuple[int, bytes]:
    return _row(home, "SELECT height, certificate FROM blocks WHERE height = 100")


def _row(home: Home, query: str) -> tuple[int, bytes]:
    with closing(sqlite3.connect(home.ledger / "journal" / "journal.sqlite")) as database:
        number, data = database.execute(query).fetchone()
        return number, data


def _in_journal(home: Home, stored: bytes) -> bytes:
    """Return the journal's file with a byte altered near the end of what it stored."""
    content = (home.ledger / "journal" / "journal.sqlite").read_bytes()
    tail = stored[-40:]
    assert content.count(tail) == 1
    return one_byte_altered(content, content.index(tail) + 20)


def test_altered_certificate_is_named(homes: dict[str, Home], folder: Path) -> None:
    home = homes[ALTERED]
    height, stored = _certificate(home)
    with altered(home.ledger / "journal" / "journal.sqlite", _in_journal(home, stored)):
        problem = _only(audit(folder, only=0).problems)
    assert (problem.home, problem.height) == (ALTERED, height)
    assert "certificate" in problem.what


def test_altered_transaction_is_named(homes: dict[str, Home], folder: Path) -> None:
    home = homes[ALTERED]
    height, stored = _row(home, "SELECT height, transactions FROM blocks JOIN batches USING (root) WHERE height = 100")
    with altered(home.ledger / "journal" / "journal.sqlite", _in_journal(home, stored)):
        found = audit(folder, only=0)
    assert {problem.home for problem in found.problems} == {ALTERED}
    assert any(problem.height == height and "transaction 1 of 1" in problem.what for problem in found.problems)
    assert found.groups["rounds"].checked["sums"] == 1


def test_altered_transaction_in_a_home_alone_ends_the_replay_there(homes: dict[str, Home]) -> None:
    home = homes[ALTERED]
    height, stored = _row(home, "SELECT height, transactions FROM blocks JOIN batches USING (root) WHERE height = 70")
    with altered(home.ledger / "journal" / "journal.sqlite", _in_journal(home, stored)):
        found = audit(home.folder, only=0)
    assert found.height == height - 1
    assert any(problem.height == height and "no home has this block" in problem.what for problem in found.problems)


@pytest.mark.parametrize("part", ["certificate", "data"])
def test_altered_snapshot_is_named(homes: dict[str, Home], folder: Path, part: str) -> None:
    home = homes[ALTERED]
    _, stored = _row(home, f"SELECT 0, data FROM snapshot WHERE part = '{part}'")
    with altered(home.ledger / "journal" / "journal.sqlite", _in_journal(home, stored)):
        problem = _only(audit(folder, only=0).problems)
    assert problem.home == ALTERED
    assert "snapshot" in problem.what


def test_altered_evidence_is_named(homes: dict[str, Home], folder: Path) -> None:
    home = homes["hospital-1"]
    _, stored = _row(home, "SELECT 0, data FROM evidence")
    with altered(home.ledger / "journal" / "journal.sqlite", _in_journal(home, stored)):
        problem = _only(audit(folder, only=0).problems)
    assert (problem.home, "proves nothing" in problem.what) == ("hospital-1", True)


def test_journal_whose_records_were_altered_is_named(homes: dict[str, Home], folder: Path) -> None:
    home = homes[ALTERED]
    journal = home.ledger / "journal" / "witness"
    with altered(journal, one_byte_altered(journal.read_bytes(), journal.stat().st_size - 1)):
        assert audit(folder, only=0).sound, "one of the two witnesses is enough"
    with altered(home.ledger / "journal" / "journal.sqlite", b"SQLite format 3\x00" + bytes(4096)):
        problems = audit(folder, only=0).problems
    assert {problem.home for problem in problems} == {ALTERED}


def _named(folder: Path, what: str) -> str:
    """Return the name of the blob that this is, as an audit of the ledger says."""
    for number, past in read_history(folder).rounds.items():
        answers = {name: f"the answer of {holder} in round {number}" for holder, name in past.now.answers.items()}
        for name, told in (round_blobs(past) | answers).items():
            if told == what:
                return name
    raise AssertionError(what)


BLOBS = [
    "the contribution of hospital-4 to round 2",
    "the response of hospital-3 in round 2",
    f"what hospital-2 showed in round {LYING_ROUND}",
    "the answer of hospital-1 in round 2",
    "the model that round 2 led to",
]


def _alter_block(home: Home, name: str) -> ExitStack:
    """Alter a byte of the first block of a blob that is stored as a file."""
    cid = Cid.parse(name)
    [file] = home.store.glob(f"blocks/*/{cid.key}")
    content = file.read_bytes()
    stack = ExitStack()
    stack.enter_context(altered(file, one_byte_altered(content, len(content) // 2)))
    return stack


@pytest.mark.parametrize("what", BLOBS)
def test_altered_block_of_the_store_is_named(homes: dict[str, Home], folder: Path, what: str) -> None:
    name = _named(folder, what)
    with _alter_block(homes[ALTERED], name):
        found = audit(folder, only=2)
    problem = _only(found.problems)
    assert (problem.home, problem.name) == (ALTERED, name)
    # A model is named as what it led to, or what the next round worked from.
    assert what.split(" that ", maxsplit=1)[0] in problem.what
    assert found.groups["rounds"].checked["sums"] == 1, "the other homes have it whole"


@pytest.mark.parametrize("what", BLOBS[:1])
def test_blob_that_no_home_has_whole_is_named(homes: dict[str, Home], folder: Path, what: str) -> None:
    name = _named(folder, what)
    with ExitStack() as stack:
        for home in homes.values():
            stack.enter_context(_alter_block(home, name))
        found = audit(folder, only=2)
    missing = [problem for problem in found.problems if problem.home is None]
    assert str(_only(missing)) == f"{name}: {what} is whole in none of the homes"
    assert "sums" not in found.groups["rounds"].checked


FederationPlace = Callable[[bytes], int]


@pytest.mark.parametrize(
    "place",
    [
        lambda content: content.index(b'"genesis": "') + 200,
        lambda content: content.index(b'"plan": "') + 12,
        lambda content: content.index(b'"fingerprint": "') + 17,
        lambda content: content.index(b'"gateway": "127') + 12,
    ],
    ids=["genesis", "plan", "fingerprint", "a member's address"],
)
def test_altered_federation_file_is_named(homes: dict[str, Home], folder: Path, place: FederationPlace) -> None:
    file = homes[ALTERED].federation_file
    content = file.read_bytes()
    with altered(file, one_byte_altered(content, place(content))):
        problem = _only(audit(folder, only=0).problems)
    assert problem.home == ALTERED
    assert "federation.json" in problem.what


def test_home_of_another_federation_is_named(homes: dict[str, Home], folder: Path) -> None:
    file = homes[ALTERED].federation_file
    document = json.loads(file.read_bytes())
    document["application"]["parameters"]["deadline"] = "1.0"
    with altered(file, json.dumps(document).encode()):
        assert _only(audit(folder, only=0).problems).home == ALTERED


def test_command_says_it_in_lines_and_as_json(homes: dict[str, Home], folder: Path) -> None:
    said = CliRunner().invoke(app, ["audit", "--home", str(folder), "--round", "0"])
    assert said.exit_code == 0
    assert said.stdout.splitlines()[-1].startswith("verdict  sound")
    with _alter_block(homes[ALTERED], _named(folder, BLOBS[0])):
        said = CliRunner().invoke(app, ["audit", "--home", str(folder), "--round", "0", "--json"])
    assert said.exit_code == 1
    document = json.loads(said.stdout)
    assert document["sound"] is False
    assert [remark.get("guilty") for remark in document["checks"]["rounds"]["remarks"]] == [["hospital-1"], None]
    assert [problem["home"] for problem in document["checks"]["store"]["problems"]] == [ALTERED]


def test_what_is_no_home_or_no_round_is_said_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"no node\.toml"):
        audit(tmp_path)
    with pytest.raises(NodeError, match="no round 9"):
        audit(folder, only=9)


def test_home_of_the_earlier_format_is_refused_in_one_sentence(homes: dict[str, Home], tmp_path: Path) -> None:
    home = Home(tmp_path)
    for name in ("node.toml", "card.json"):
        shutil.copy(homes[ALTERED].folder / name, tmp_path / name)
    federation = homes[ALTERED].federation()
    parameters = federation.application.parameters | {"key_set": "AGG-M"}
    application = msgspec.structs.replace(federation.application, parameters=parameters)
    write_federation(msgspec.structs.replace(federation, application=application), home.federation_file)
    with pytest.raises(EarlierFormat, match="belongs to an earlier format") as refused:
        audit(tmp_path)
    assert "\n" not in str(refused.value)


def test_home_in_use_is_read_between_two_transactions(homes: dict[str, Home], folder: Path) -> None:
    with homes[ALTERED].locked():
        assert audit(folder, only=0).sound
    os.unlink(homes[ALTERED].folder / "lock")


def _audit_from_afar(client: NodeClient, home: Home) -> None:
    """Audit one running node over its API, as it is and with a byte of its store altered."""
    found = audit_node(client)
    assert found.sound, "\n".join(map(str, found.problems))
    assert (found.of, found.homes) == (client.url, (home.folder.name,))
    assert found.groups["rounds"].checked["models"] == 4
    last = list(read_history(home.folder).rounds.values())[-1].now.answers["hospital-1"]
    with _alter_block(home, last):
        problems = audit_node(client, only=0).problems
    assert {problem.name for problem in problems} == {last}


async def _trained(folder: Path) -> None:
    """Let four nodes train one round; audit them while they run; end one of them as a power failure would."""
    sides = ParticipantSettings(**TABLE)  # type: ignore[arg-type]
    plan = next(plan for plan in plan_candidates(sides) if plan.space.schema.dataset == "ward")
    launcher = Launcher.found(
        folder,
        NAMES,
        "training",
        settings={"participant": TABLE},
        own_settings={name: {"participant": {"site": number}} for number, name in enumerate(NAMES)},
        agree=lambda members: agreement_parameters(plan, members, name="audited", deadline=600.0),
    )
    async with launcher:
        await launcher.wait_until_healthy()
        async for told in launcher.watch(1.0):
            if all(status and status["participant"].get("done") for status in told.values()):
                break
        live = await asyncio.to_thread(audit, folder)
        assert live.sound, "\n".join(map(str, live.problems))
        await asyncio.to_thread(_audit_from_afar, launcher.client("hospital-1"), launcher.homes["hospital-1"])
        launcher.kill("hospital-4")


@pytest.mark.processes
def test_homes_of_real_nodes_are_sound_while_they_run_and_after_one_was_killed(tmp_path: Path) -> None:
    asyncio.run(_trained(tmp_path / "real"))
    found = audit(tmp_path / "real")
    assert found.sound, "\n".join(map(str, found.problems))
    assert [ended for _, _, ended in found.outcomes] == ["final"] * 4
