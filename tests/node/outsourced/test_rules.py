"""The ledger of a federation that trains on encrypted rows is its members' alone."""

from medward.federation.computing.records import ContactSaid
from medward.federation.outsourced.application import outsourced_state
from medward.ledger.encoding import encode
from medward.ledger.signatures import AlgorithmBytes
from medward.ledger.types import Block, Member, Transaction
from medward.node.computing.rules import computing_parameters_of
from medward.node.outsourced.rules import OutsourcedRules

MEMBERS = [Member(name, 0, (AlgorithmBytes("ed25519", name.encode() * 32),), b"", "x:1") for name in "abcd"]


def test_members_of_the_file_speak_on_the_ledger_and_strangers_do_not() -> None:
    rules = OutsourcedRules(computing_parameters_of(MEMBERS))
    application = rules.make_application()
    assert outsourced_state(application.snapshot()).members == ("a", "b", "c", "d")
    said = encode(ContactSaid(b"somewhere"))
    asked = tuple(Transaction(name * 32, 1, said, ()) for name in (b"b", b"e"))
    assert [one.code == 0 for one in application.apply(Block(1, 1, asked)).results] == [True, False]
    assert application.query("contact/b") == b"somewhere"
    # Each node begins with a state of its own.
    assert rules.make_application().query("contact/b") is None
