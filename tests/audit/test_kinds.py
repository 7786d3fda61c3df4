"""What an audit says of records that changed nothing, whatever the kind of federation."""

from medward.audit.computing.batches import AuditedScoring
from medward.audit.history import RefusedRecord
from medward.federation.scoring.application import ScoringApplication
from medward.ledger.execution import Execution
from medward.ledger.types import TxResult


def test_records_that_changed_nothing_are_told_in_sentences() -> None:
    audited = AuditedScoring(lambda: ScoringApplication({}), b"chain")
    executed = Execution(ScoringApplication({}), 0).execute(1, [])
    audited.note_unread(executed, TxResult(1, b"this is none"))
    audited.note_unread(executed, TxResult(0, b""))
    audited.refused.append(RefusedRecord(9, "north", "BatchAsked", "there is no offer"))
    audited.refused.append(RefusedRecord(9, "", "BatchAsked", "who is that"))
    assert [str(one) for one in audited.refusals()] == [
        "height 1: this is none",
        "height 1: ordered twice",
        "height 9: a BatchAsked of north was refused: there is no offer",
        "height 9: a BatchAsked of a stranger was refused: who is that",
    ]
