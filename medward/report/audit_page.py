"""The page that `medward audit --report` writes: dated, in words, for a person who files it.

It stands alone: no script, nothing from elsewhere. All that comes from others, such as a member's name or a file's, is
escaped, and so is every character that a browser or a printer would not show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from medward import __version__
from medward.audit.findings import AuditResult, Finding
from medward.audit.history import RefusedRecord
from medward.audit.homes import Audit
from medward.errors import printable
from medward.report.templating import new_environment
from medward.whole_file import write_whole

#: For each group: its question, what a sound answer proves, and the words for what was counted.
_GROUPS: dict[str, tuple[str, str, dict[str, str]]] = {
    "files": (
        "Do all homes speak of the same federation?",
        "Every home belongs to the federation with the fingerprint above, and its members' cards fit each other.",
        {"files": "federation files", "cards": "cards"},
    ),
    "ledger": (
        "Did the members agree on exactly this history?",
        "A quorum of the members signed every block, and all records, applied once more, lead to the state that they "
        "signed.",
        {
            "blocks": "blocks",
            "certificates": "certificates",
            "transactions": "transactions replayed",
            "checkpoints": "checkpoints",
            "equivocations": "proofs that a member contradicted itself",
        },
    ),
    "store": (
        "Are the stored blobs what their names say?",
        "Every block has the content that its name says, and whatever the ledger needs is there.",
        {"blocks": "blocks hashed", "bytes": "bytes", "blobs": "blobs that the ledger needs"},
    ),
    "data": (
        "Are the sealed data sets what the records say?",
        "Every sealed data set is whole and fits its record. What is in it only its readers see.",
        {"sets": "sealed data sets", "rows": "rows on record", "data keys": "keys to seal data to"},
    ),
    "keys": (
        "Could shares be sealed?",
        "Every key that a share was sealed to is valid, and was recent enough.",
        {"sealing keys": "keys"},
    ),
    "rounds": (
        "Does each model follow from what the members contributed?",
        "Every sum, decrypted once more, is that of the named contributions, and every model follows from it, integer "
        "for integer.",
        {
            "rounds": "rounds",
            "commitments": "commitments",
            "dealings": "contributions tested",
            "complaints": "complaints",
            "shown": "shown shares",
            "answers": "answers",
            "sums": "sums decrypted anew",
            "models": "models computed anew",
            "votes": "votes counted anew",
        },
    ),
    "batches": (
        "Are the encrypted scores what follows from the encrypted flows and models?",
        "Every result, computed once more from what hospital and vendor encrypted, is the one that was opened. Only "
        "the hospital sees the scores.",
        {
            "batches": "batches",
            "computed anew": "computed anew",
            "results": "results of members compared",
            "parts": "opened parts looked at",
            "keys": "keys",
        },
    ),
    "tasks": (
        "Does each model follow from the encrypted rows?",
        "Every result, computed once more from the encrypted rows, is the one that was opened, and every model follows "
        "from the shares that its owners showed.",
        {
            "tasks": "tasks",
            "computed anew": "computed anew",
            "results": "results of members compared",
            "shares": "shares",
            "models": "models made anew",
            "keys": "keys",
        },
    ),
    "demo": (
        "Is what the demo tells the truth?",
        "metrics.json tells the rounds or tasks of the ledger, the model is the one that the ledger leads to, "
        "report.html is the page of metrics.json, and no listed file of the demo changed since the members signed. "
        "Measures, seconds and bytes stand on no ledger: of these, only the signatures speak.",
        {
            "files": "files compared with what was signed",
            "signatures": "valid signatures",
            "rounds": "rounds of metrics.json compared",
            "tasks": "tasks of metrics.json compared",
            "model files": "files of the model computed anew",
            "pages": "pages made anew",
        },
    ),
}
#: What a record was to do, in words.
_KINDS = {
    "BeginRound": "to begin a round",
    "Commitment": "to commit to a contribution",
    "Submit": "to hand in a contribution",
    "Attest": "to say which contributions are good",
    "Show": "to show shares after a complaint",
    "Answer": "to answer for the sum",
    "NoFit": "to say that the answers do not fit",
    "Respond": "to respond to the audit of answers",
    "Complain": "to publish a share as proof",
    "Finish": "to tell the next model",
    "ModelVote": "to vote on a model",
    "RoundTick": "to remind of a deadline",
    "SealingKey": "to tell a key for shares",
    "DataKey": "to tell a key for data sets",
    "SealedData": "to register a sealed data set",
    "Withdraw": "to withdraw a data set",
    "Announce": "to tell an address",
    "Change": "to change the members",
    "Retract": "to take back a wish to change the members",
    "Resume": "to go on after a stop",
    "Observe": "to observe, or to take part again",
    "KeyPublished": "to publish a key to compute with",
    "ModelOffered": "to offer an encrypted model",
    "BatchAsked": "to have flows scored",
    "ResultComputed": "to hand in the result of a batch",
    "PartOpened": "to open a part of a result",
    "BatchDeclined": "to decline a batch",
    "PlanProposed": "to propose what rows are encrypted for",
    "TableEncrypted": "to hand in encrypted rows",
    "TaskAsked": "to have a model made of encrypted rows",
    "ProductsComputed": "to hand in the result of a task",
    "SharesCommitted": "to commit to shares of a result",
    "SharesRevealed": "to show shares of a result",
    "TaskDeclined": "to decline a task",
    "TaskEnded": "to end a task whose time is over",
}
_MOST_HEIGHTS, _MOST_ROWS = 5, 2000


@dataclass(frozen=True)
class RefusedGroup:
    """Records that were refused for the same reason.

    Args:
        kind: of record, and what it was to do.
        why: they were refused.
        count: how many there are.
        authors: who signed them.
        heights: where they stand, in words.
    """

    kind: str
    purpose: str
    why: str
    count: int
    authors: str
    heights: str


def write_audit_page(file: Path, audit: Audit, when: datetime, only: int | None = None) -> None:
    """Write the page, as a whole or not at all.

    Args:
        file: is replaced where it is there.
        audit: what was found.
        when: the audit ended, with a time zone.
        only: the one round, batch or task that was checked; None for all.

    Raises:
        OSError: it cannot be written.
    """
    page = audit_page(audit, when, only)
    write_whole(file, page)


def audit_page(audit: Audit, when: datetime, only: int | None = None) -> bytes:
    """Return the page; the arguments are those of `write_audit_page`."""
    remarks = [remark for group in audit.groups.values() for remark in group.remarks]
    return (
        _environment()
        .get_template("audit.html.j2")
        .render(
            audit=audit,
            version=__version__,
            when=when.strftime("%d %B %Y, %H:%M:%S %Z"),
            only=only,
            groups=[_group(name, found) for name, found in audit.groups.items()],
            problems=[_row(one) for one in audit.problems[:_MOST_ROWS]],
            remarks=[_row(one) for one in remarks[:_MOST_ROWS]],
            more_remarks=max(0, len(remarks) - _MOST_ROWS),
            more_problems=max(0, len(audit.problems) - _MOST_ROWS),
            guilty=sorted({member for group in audit.groups.values() for member in group.guilty}),
            refused=_refused(audit.refused_records),
            unchecked=audit.unchecked_by_place(),
        )
        .encode(errors="replace")
    )


@cache
def _environment() -> Environment:
    environment = new_environment()
    environment.finalize = lambda value: printable(value) if type(value) is str else value
    environment.filters["count"] = lambda value: f"{value:,}"
    return environment


def _group(name: str, found: AuditResult) -> dict[str, Any]:
    question, proved, words = _GROUPS[name]
    counted = [f"{found.checked[kind]:,} {said}" for kind, said in words.items() if found.checked.get(kind)]
    return {
        "name": name,
        "question": question,
        "proved": proved,
        "counted": ", ".join(counted),
        "problems": len(found.problems),
        "nothing": found.nothing,
    }


def _row(one: Finding) -> dict[str, str]:
    places = [one.home] if one.home is not None else []
    places += [f"height {one.height}"] if one.height is not None else []
    places += [f"round {one.round}"] if one.round is not None else []
    return {
        "where": ", ".join(places),
        "what": one.what,
        "name": one.name or "",
        "guilty": ", ".join(one.guilty),
    }


def _refused(records: Sequence[RefusedRecord]) -> list[RefusedGroup]:
    """Put refused records together by their kind and the reason, the most frequent first."""
    together: dict[tuple[str, str], list[RefusedRecord]] = {}
    for record in records:
        together.setdefault((record.kind, record.why), []).append(record)
    groups = []
    for (kind, why), some in sorted(together.items(), key=lambda item: (-len(item[1]), item[0]))[:_MOST_ROWS]:
        authors = ", ".join(sorted({one.author or "a stranger" for one in some}))
        heights = [str(one.height) for one in some]
        shown = ", ".join(heights[:_MOST_HEIGHTS]) + (" and later" if len(heights) > _MOST_HEIGHTS else "")
        groups.append(RefusedGroup(kind or "unreadable", _KINDS.get(kind, ""), why, len(some), authors, shown))
    return groups
