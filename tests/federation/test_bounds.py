"""What a member can put into the federation's state is bounded, and a record writes what it changed (threat T4)."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from medward.federation.application import FederationApplication
from medward.federation.membership import MOST_WISHES
from medward.federation.parts import changed_parts, state_of
from medward.federation.records import (
    MOST_BLOCKS,
    Announce,
    Answer,
    Attest,
    Change,
    Commitment,
    Complain,
    DataKey,
    Dispatch,
    Finish,
    ModelVote,
    Next,
    Observe,
    Record,
    Resume,
    SealedData,
    Submit,
    Withdraw,
    commitment_to,
    decode_record,
    encode_record,
)
from medward.federation.rules import FederationState
from medward.federation.sealed_data.rules import MOST_SETS
from medward.ledger.encoding import encode
from medward.ledger.signatures import AlgorithmBytes
from medward.ledger.types import Block, Member, Transaction
from medward.store.cid import Cid
from tests.federation.ledger import AGREEMENT

#: What one member has at most in the state of a federation of 64 with the longest names, as spec/membership.md says.
MOST_BYTES = 600_000
#: How many bytes a record of one member may write more because so many others hold the most that they can.
MORE_BYTES, FULL = 64, 16
NAMES = tuple(f"{number:02}".ljust(64, "n") for number in range(64))
NAME = NAMES[0]
BLOB = "b" * 128


def account(name: str) -> bytes:
    return name[:32].encode()


class Federated:
    """A federation of 64 on its application; counts what is in the state, and what each record writes."""

    def __init__(self) -> None:
        agreement = replace(AGREEMENT, members=NAMES, accounts={name: account(name) for name in NAMES})
        self.application = FederationApplication(agreement)
        self.height = 0
        self.taken = 0

    @property
    def state(self) -> FederationState:
        return self.application.federation

    def order(self, author: str, record: Record, time: float = 1.0) -> bool:
        self.height += 1
        payload = encode_record(record)
        assert decode_record(payload) is not None
        transaction = Transaction(account(author), self.height, payload, (AlgorithmBytes("none", b""),))
        (result,) = self.application.apply(Block(self.height, int(time * 1000), (transaction,), 0)).results
        self.taken += not result.code
        return not result.code

    def bytes(self) -> int:
        """All that the members have in the state, with its keys; rounds before the last are the ledger's past."""
        parts = changed_parts(None, self.state)
        contacts = sum(len(name) + len(contact) for name, contact in self.state.contacts.items())
        return sum(len(key) + len(value or b"") for key, value in parts.items()) + contacts

    def cost(self, author: str, record: Record, time: float = 1.0) -> int:
        """The bytes that a record of a member writes."""
        before = self.state
        assert self.order(author, record, time), record
        return sum(len(key) + len(value or b"") for key, value in changed_parts(before, self.state).items())


def largest_wish(author: str, number: int) -> Change:
    """The wish that another member comes back with new keys, of two algorithms."""
    name, key = NAMES[(number + 1) % len(NAMES)], f"{author[:2]} {number}".encode().ljust(32, b".")
    keys = (AlgorithmBytes("ed25519", key), AlgorithmBytes("ml-dsa-65", key[::-1] * 60))
    card = encode(Member(name, 0, keys, bytes(4096), "h" * 256))
    return Change(name, key, card, bytes(1024))


def data_set(author: str, number: int) -> SealedData:
    return SealedData(str(Cid.of(f"{author}{number}".encode())), bytes(32), 2**62, (author, *NAMES[1:], NAME)[:64])


def between_rounds(author: str, times: int = 3) -> Iterator[Record]:
    """Everything that a member can order between rounds, so many times as often as counts."""
    for name in NAMES if times > 1 else ():
        yield Change(name, None, None)
    for number in range(times * MOST_WISHES):
        yield largest_wish(author, number)
    for number in range(times * MOST_SETS):
        readers = tuple(dict.fromkeys((author, *NAMES)))
        yield SealedData(str(Cid.of(f"{author}{number}".encode())), bytes(32), 2**62, readers)
    for number in range(3):
        yield DataKey(str(Cid.of(f"key {author}{number}".encode())))
        yield Announce(bytes([number]) * 1024)
        yield Resume()


def test_member_that_orders_all_it_can_has_a_bounded_part_of_the_state() -> None:
    """Threat T4: 1,500 wishes of one member made a state of 27 MB."""
    federated = Federated()
    before = federated.bytes()
    for number in range(300):
        federated.order(NAME, largest_wish(NAME, number))
    for record in between_rounds(NAME):
        if record != Change(NAME, None, None):
            federated.order(NAME, record)
    grown = play_round(federated, NAME)
    federated.order(NAME, Observe(observes=True))
    assert NAME in federated.state.observers
    assert federated.taken > MOST_WISHES + MOST_SETS
    between = federated.bytes() - before - federated_round(federated)
    assert between < MOST_BYTES - grown
    assert between > MOST_BYTES / 4, "the test orders too little to tell anything"


def federated_round(federated: Federated) -> int:
    """The bytes of the last round, of all members together."""
    parts = changed_parts(None, federated.state)
    return sum(len(key) + len(value or b"") for key, value in parts.items() if key.startswith(b"state/round/"))


def play_round(federated: Federated, liar: str) -> int:
    """Play a round in which everybody says what is due, and one says as much as it can; return that one's bytes."""
    number, grown = federated.state.number, 0
    others = [name for name in NAMES if name != liar]
    federated.order(others[0], federated.state.expected())
    for name in NAMES:
        federated.order(name, Commitment(number, name, commitment_to("test", number, name, BLOB)))
    for name in NAMES:
        federated.order(name, Submit(number, name, BLOB, BLOB))

    def say(*records: Record) -> None:
        nonlocal grown
        before = federated.bytes()
        for record in records:
            federated.order(liar, record)
        grown += federated.bytes() - before

    say(Attest(number, liar, NAMES), Attest(number, liar, NAMES))
    for name in others:
        federated.order(name, Attest(number, name, NAMES))
    say(*(Complain(number, liar, name, BLOB) for name in NAMES), Answer(number, liar, BLOB))
    blocks = tuple(2**62 - k for k in range(MOST_BLOCKS))
    say(
        Finish(number, liar, BLOB, Next("train", 2**62, 2**62, Dispatch(2**62, blocks, 2**62))),
        ModelVote(number, liar, True),
    )
    now = federated.state.round
    assert now is not None
    assert liar in now.verdicts
    assert liar in now.finishes
    assert len(now.accusations) == len(NAMES)
    return grown


def test_record_writes_no_more_because_others_hold_much() -> None:
    """Threat T4: what is written anew is what a record changed, whatever is there."""
    costs: list[Sequence[int]] = []
    for full in (False, True):
        federated = Federated()
        if full:
            for name in NAMES[1 : 1 + FULL]:
                for record in between_rounds(name, 1):
                    federated.order(name, record)
            assert federated.bytes() > FULL * MOST_BYTES / 2
        own = data_set(NAME, 0)
        records: list[Record] = [
            largest_wish(NAME, 0),
            SealedData(own.data, bytes(32), 7, (NAME,)),
            Withdraw(own.data),
            DataKey(str(Cid.of(b"key"))),
            Announce(bytes(1024)),
        ]
        told = [federated.cost(NAME, record) for record in records]
        number = federated.state.number
        federated.order(NAME, federated.state.expected())
        for name in NAMES[1:-1] if full else NAMES[1:2]:
            federated.order(name, Commitment(number, name, commitment_to("test", number, name, BLOB)))
        told.append(federated.cost(NAME, Commitment(number, NAME, commitment_to("test", number, NAME, BLOB))))
        costs.append(told)
    few, many = costs
    assert all(more - less <= MORE_BYTES for less, more in zip(few, many, strict=True)), (few, many)
    assert max(few) < 12_000


def test_parts_written_one_after_the_other_are_those_of_the_state() -> None:
    """Whatever led to a state, its parts are the same, and make it again."""
    federated = Federated()
    kept: dict[bytes, bytes] = {key: value for key, value in changed_parts(None, federated.state).items() if value}
    steps = [(NAME, record) for record in between_rounds(NAME)] + [(name, Change(NAME, None, None)) for name in NAMES]
    for author, record in steps:
        before = federated.state
        federated.order(author, record)
        for key, value in changed_parts(before, federated.state).items():
            if value is None:
                del kept[key]
            else:
                kept[key] = value
    assert NAME not in federated.state.terms.members
    assert kept == changed_parts(None, federated.state)
    assert state_of(kept) == federated.state
    assert not any(NAME.encode() in key for key in kept)
