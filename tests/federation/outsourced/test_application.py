"""The rules of training on encrypted rows as the ledger's application."""

from medward.federation.computing.application import REFUSED, STRANGER, UNREADABLE
from medward.federation.computing.records import ContactSaid, KeyPublished
from medward.federation.outsourced.application import OutsourcedApplication, outsourced_state
from medward.federation.outsourced.records import (
    MOST_DEADLINE,
    PlanProposed,
    ProductsComputed,
    SharesRevealed,
    TableEncrypted,
    TaskAsked,
)
from medward.ledger.encoding import encode
from tests.federation.computing.ledger import ComputingLedger
from tests.federation.outsourced.world import (
    COHORT,
    MEMBERS,
    PLAN,
    TASK,
    TERMS,
    name,
    secret_of,
)


def test_application_keeps_its_state_over_a_snapshot_and_refuses_strangers() -> None:
    ledger = ComputingLedger(OutsourcedApplication, MEMBERS)
    assert ledger.order("stranger", encode(PlanProposed(name("p"), TERMS)))[0] == STRANGER
    assert ledger.order("east", b"nonsense") == (UNREADABLE, b"this payload is no record of training on encrypted rows")
    for member in MEMBERS:
        ledger.order(member, encode(KeyPublished(name(member), secret_of(member).owner, 1024)))
    assert ledger.order("east", encode(PlanProposed(name("p"), TERMS))) == (0, b"00000001")
    for member in MEMBERS:
        assert ledger.order(member, encode(TableEncrypted(PLAN, name(f"t {member}"), 100)))[0] == 0
    assert ledger.order("east", encode(TaskAsked(PLAN, COHORT, MOST_DEADLINE))) == (0, b"00000001")
    assert ledger.order("west", encode(SharesRevealed(TASK)))[0] == REFUSED
    assert ledger.order("north", encode(ContactSaid(b"here")))[0] == 0
    assert ledger.order("west", encode(ProductsComputed(TASK, name("r"))))[0] == 0
    snapshot = ledger.application.snapshot()
    other = OutsourcedApplication(ledger.accounts)
    assert other.restore(snapshot.encode()) == snapshot.app_hash
    assert outsourced_state(other.snapshot()) == outsourced_state(snapshot)
    assert other.query("contact/north") == b"here"
