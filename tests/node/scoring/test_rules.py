"""The ledger of a federation that scores encrypted flows is its members' alone."""

from medward.federation.computing.records import ContactSaid
from medward.federation.scoring.application import scoring_state
from medward.ledger.encoding import encode
from medward.ledger.signatures import AlgorithmBytes
from medward.ledger.types import Block, Member, Transaction
from medward.node.computing.rules import computing_parameters_of
from medward.node.scoring.rules import ScoringRules

MEMBERS = [Member(name, 0, (AlgorithmBytes("ed25519", name.encode() * 32),), b"", "x:1") for name in "abcd"]


def test_members_of_the_file_speak_on_the_ledger_and_strangers_do_not() -> None:
    rules = ScoringRules(computing_parameters_of(MEMBERS))
    application = rules.make_application()
    assert scoring_state(application.snapshot()).members == ("a", "b", "c", "d")
    said = encode(ContactSaid(b"somewhere"))
    asked = tuple(Transaction(name * 32, 1, said, ()) for name in (b"b", b"e"))
    assert [one.code == 0 for one in application.apply(Block(1, 1, asked)).results] == [True, False]
    assert application.query("contact/b") == b"somewhere"
    # Each node begins with a state of its own.
    assert rules.make_application().query("contact/b") is None
