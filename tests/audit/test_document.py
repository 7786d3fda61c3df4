"""The document of an audit: JSON alone, and nothing that the audit says is missing."""

import json
from dataclasses import fields

from medward.audit.document import document
from medward.audit.findings import AuditResult, Finding
from medward.audit.homes import Audit
from medward.audit.unchecked import UncheckedFile


def an_audit() -> Audit:
    found = AuditResult()
    found.count("blocks", 7)
    found.problems.append(Finding("a block is wrong", "north", 0, None, None, ("south",)))
    found.remarks.append(Finding("it was late", round=3, name="bafy"))
    return Audit(
        "homes", "ward", "0f", ("north",), {"ledger": found}, 9, (Finding("refused", height=2),), (),
        ((0, "survey", "final"),), {"north": 4}, (("north", 0, "ab"),), unchecked=(UncheckedFile("x", "is unknown"),),
        unnamed=2,
    )  # fmt: skip


def test_document_is_json_and_tells_places_only_where_there_are_some() -> None:
    told = json.loads(json.dumps(document(an_audit())))
    checks = told["checks"]["ledger"]
    assert checks["checked"] == {"blocks": 7}
    assert checks["problems"] == [{"home": "north", "height": 0, "what": "a block is wrong", "guilty": ["south"]}]
    assert checks["remarks"] == [{"round": 3, "name": "bafy", "what": "it was late"}]
    assert told["refused"] == [{"height": 2, "what": "refused"}]
    assert told["rounds"] == [{"round": 0, "task": "survey", "ended": "final"}]
    assert told["signed"] == {"north": 4}
    assert told["signing_keys"] == [{"member": "north", "incarnation": 0, "key": "ab"}]
    assert (told["unchecked"], told["unchecked_unnamed"]) == ([{"path": "x", "why": "is unknown"}], 2)
    assert told["sound"] is an_audit().sound is False


def test_audit_of_nothing_has_every_key() -> None:
    empty, full = document(Audit("homes")), document(an_audit())
    assert empty.keys() == full.keys()
    assert len(full) >= len(fields(Audit)) - 1, "the unit is the name of a key"
    assert json.loads(json.dumps(empty))["homes"] == []


def test_work_of_other_kinds_stands_under_its_own_name() -> None:
    told = document(Audit("homes", outcomes=((1, "5 flows of north, offer 1", "opened"),), unit="batch"))
    assert told["batches"] == [{"batch": 1, "what": "5 flows of north, offer 1", "ended": "opened"}]
    assert "tasks" in document(Audit("homes", unit="task"))
