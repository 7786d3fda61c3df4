import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from medward.audit.computing.batches import AuditedScoring
from medward.audit.computing.federation import AuditedComputing
from medward.audit.computing.tasks import AuditedOutsourcing
from medward.audit.demo import DemoAudit
from medward.audit.findings import AuditResult, Finding
from medward.audit.history import RefusedRecord
from medward.audit.homes import Audit
from medward.audit.unchecked import UncheckedFile
from medward.federation.outsourced.records import OutsourcedRecord
from medward.federation.records import Record
from medward.federation.scoring.records import ScoringRecord
from medward.report.audit_page import _GROUPS, _KINDS, audit_page, write_audit_page
from tests.report.test_federation_page import Elements

WHEN = datetime(2026, 3, 9, 14, 5, 6, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\"'\x1b[2J\u202egnp.exe"


def an_audit(**changes: object) -> Audit:
    found = Audit("out", "ward", "00ff", ("node-a", "node-b"), height=94, outcomes=((0, "survey", "final"),))
    found.groups["ledger"].count("blocks", 94)
    found.signed, found.signing_keys = {"a": 94}, (("a", 0, "ab" * 32), ("b", 0, "cd" * 32))
    found.refused_records = (
        *(RefusedRecord(height, "a", "Finish", "the round is over") for height in range(10, 17)),
        RefusedRecord(50, "", "", "ordered twice"),
    )
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def words_of(found: Audit, only: int | None = None) -> str:
    return Elements(audit_page(found, WHEN, only).decode()).words()


def test_page_says_when_what_and_who() -> None:
    words = words_of(an_audit())
    assert "Sound: everything that was checked holds, up to height 94" in words
    assert words.count("09 March 2026, 14:05:06 UTC") == 3
    for expected in ("94 blocks", "No member is proved", "This page itself is not signed", "ab" * 32):
        assert expected in words
    assert "Dealings, sums and models of all rounds but" not in words
    assert "Dealings, sums and models of all rounds but round 2" in words_of(an_audit(), only=2)


def test_groups_that_checked_nothing_say_so_and_prove_nothing() -> None:
    rows = re.findall(r'<tr><th scope="row">(\w+)</th>.*?<td>([^<]*(?:<strong.*?</strong>[^<]*)?)</td></tr>', _page())
    answers = dict(rows)
    assert answers["data"] == "Nothing to check."
    assert "All hold." in answers["ledger"]
    assert set(answers) >= {"files", "ledger", "store", "data", "keys", "rounds", "demo"}


def test_what_a_group_proves_is_said_where_it_holds_and_nowhere_else() -> None:
    proved = {name: sentence for name, (_, sentence, _) in _GROUPS.items()}
    assert proved["ledger"].startswith("A quorum of the members signed every block")
    for name in ("files", "ledger", "store", "data", "keys", "rounds", "demo"):
        found = an_audit(groups={name: AuditResult()})
        assert proved[name] not in words_of(found)
        found.groups[name].count("anything", 1)
        assert proved[name] in words_of(found)
        found.groups[name].problems.append(Finding("it is not so"))
        assert proved[name] not in words_of(found)


def _page() -> str:
    return audit_page(an_audit(), WHEN).decode()


def test_refused_records_are_told_by_kind_and_reason_in_words() -> None:
    words = words_of(an_audit())
    assert "8 records were ordered on the ledger, broke a rule and changed nothing" in words
    assert "7Finish, to tell the next modelthe round is overa10, 11, 12, 13, 14 and later" in words
    assert "unreadable" in words


def test_problems_and_the_guilty_are_named() -> None:
    found = an_audit()
    found.groups["rounds"].problems.append(Finding("its sum is another", round=3, name="bafk", guilty=("b",)))
    words = words_of(found)
    assert "Not sound: 1 thing does not hold or cannot be checked." in words
    assert "round 3" in words
    assert "proved to have broken a rule, if no more members lied than the federation tolerates: b" in words


@pytest.mark.parametrize("kind", [AuditedScoring, AuditedOutsourcing])
def test_federation_that_computes_has_words_of_its_own(kind: type[AuditedComputing[Any, Any]]) -> None:
    groups = {name: AuditResult() for name in ("files", "ledger", "store", *kind.groups)}
    groups[kind.groups[0]].count("computed anew", 7)
    found = an_audit(groups=groups, unit=kind.unit, outcomes=((1, "5 flows of north, offer 1", "opened"),))
    words = words_of(found)
    assert "7 computed anew" in words
    assert "5 flows of north, offer 1" in words
    assert "nothing is proved of the numbers in them" in words
    assert "sealed data sets" not in words
    assert f"but {kind.unit} 1" in words_of(found, only=1)


@pytest.mark.parametrize("records", [Record, ScoringRecord, OutsourcedRecord])
def test_every_kind_of_record_has_words(records: Any) -> None:
    kinds = {kind.__name__ for kind in get_args(records)} - {"ContactSaid"}
    assert kinds <= set(_KINDS)


def test_keys_that_lie_beside_what_they_signed_are_told() -> None:
    assert "could also sign other files" not in words_of(an_audit())
    words = words_of(an_audit(demo=DemoAudit(("a", "b"), keys_here=("node-a",))))
    assert "could also sign other files" in words


def test_nothing_of_others_gets_out_of_its_place() -> None:
    found = an_audit(
        federation=HOSTILE,
        of=HOSTILE,
        homes=(HOSTILE,),
        signed={HOSTILE: 1},
        signing_keys=((HOSTILE, 0, HOSTILE),),
        outcomes=((0, HOSTILE, HOSTILE),),
        refused_records=(RefusedRecord(1, HOSTILE, HOSTILE, HOSTILE),),
        unchecked=(UncheckedFile(f"{HOSTILE}/x", HOSTILE), UncheckedFile("a\udcff", "no text")),
        demo=DemoAudit((HOSTILE,), keys_here=(HOSTILE,)),
    )
    found.groups["store"].problems.append(Finding(HOSTILE, HOSTILE, name=HOSTILE, guilty=(HOSTILE,)))
    found.groups["store"].remarks.append(Finding(HOSTILE, HOSTILE))
    page = audit_page(found, WHEN).decode()
    elements = Elements(page).found
    assert {tag for tag, _ in elements}.isdisjoint({"script", "img", "link", "iframe", "form", "a", "base"})
    assert not any(name.startswith("on") for _, attributes in elements for name in attributes)
    assert "default-src 'none'" in page
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page)
    assert re.findall(r"(?:https?:)?//[a-z]", page) == []


def test_page_replaces_the_one_that_is_there_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "audit.html"
    file.write_text("old")
    write_audit_page(file, an_audit(), WHEN)
    assert file.read_bytes() == audit_page(an_audit(), WHEN)
    assert [path.name for path in tmp_path.iterdir()] == ["audit.html"]
    with pytest.raises(OSError, match="No such file"):
        write_audit_page(tmp_path / "gone" / "audit.html", an_audit(), WHEN)
