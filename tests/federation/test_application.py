"""The rules on a ledger: strangers, refusals, snapshots, and one state whatever way it is reached."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from medward.federation.application import (
    REFUSED,
    STRANGER,
    UNREADABLE,
    FederationApplication,
    decode_state,
    encode_state,
)
from medward.federation.errors import RecordRefused
from medward.federation.records import (
    Announce,
    Change,
    Commitment,
    Next,
    Record,
    Resume,
    RoundTick,
    SealingKey,
    decode_record,
    encode_record,
)
from medward.federation.rules import Agreement, HeldKey, apply
from medward.federation.simulation.log import Entry
from medward.fhe.hybrid import HybridKey
from medward.ledger.encoding import encode
from medward.ledger.errors import SnapshotMismatch
from medward.ledger.merkle import verify_proof
from medward.ledger.signatures import AlgorithmBytes
from medward.ledger.types import Applied, Block, Member, Transaction
from tests.federation.conftest import Start

NAMES = ("a", "b", "c", "d")
AGREEMENT = Agreement(
    *("test", NAMES, {name: name.encode() * 32 for name in NAMES}, 10.0),
    protect="none", bits=16, plan="plan", model="model-0", first=Next("train", 1, 3),
)  # fmt: skip


@dataclass
class Ledger:
    """Feeds an application one block after another, each of an epoch of its own unless one is set."""

    application: FederationApplication
    height: int = 0
    nonce: int = 0
    epoch: int | None = None

    def order(self, *said: tuple[str, Record | bytes], time: float = 1.0) -> Applied:
        transactions = []
        for author, record in said:
            self.nonce += 1
            payload = record if isinstance(record, bytes) else encode_record(record)
            account = (author.encode() * 32)[:32]
            transactions.append(Transaction(account, self.nonce, payload, (AlgorithmBytes("none", b""),)))
        self.height += 1
        epoch = self.height if self.epoch is None else self.epoch
        return self.application.apply(Block(self.height, int(time * 1000), tuple(transactions), epoch))

    def codes(self, *said: tuple[str, Record | bytes], time: float = 1.0) -> list[int]:
        return [result.code for result in self.order(*said, time=time).results]


@pytest.fixture
def ledger() -> Ledger:
    """A federation of four that has just begun."""
    return Ledger(FederationApplication(AGREEMENT))


def _replica(name: str, key: str | None = None) -> bytes:
    keys = (AlgorithmBytes("ed25519", (key or name).encode() * 32),)
    return encode(Member(name, 0, keys, b"", "127.0.0.1:1"))


def test_strangers_and_what_cannot_be_read_are_refused_and_change_nothing(ledger: Ledger) -> None:
    before = ledger.application.federation
    codes = ledger.codes(("x", RoundTick(0)), ("a", b"\x00"), ("a", encode(["tick", "zero"])), ("a", RoundTick(0)))
    assert codes == [STRANGER, UNREADABLE, UNREADABLE, REFUSED]
    assert ledger.application.federation == before


def test_member_cannot_speak_for_another(ledger: Ledger) -> None:
    opening = ledger.application.federation.expected()
    assert ledger.codes(("a", opening)) == [0]
    assert ledger.codes(("a", Commitment(0, "b", bytes(32))), ("b", Commitment(0, "b", bytes(32)))) == [REFUSED, 0]


def test_round_begins_once_and_only_as_agreed(ledger: Ledger) -> None:
    opening = ledger.application.federation.expected()
    wrong = opening.__class__(0, "train", "another model", NAMES, 1, 3)
    fewer = opening.__class__(0, "train", "model-0", NAMES[:3], 1, 3)
    assert ledger.codes(("a", wrong), ("a", fewer), ("b", opening), ("c", opening)) == [REFUSED, REFUSED, 0, REFUSED]


def test_snapshot_restores_to_the_same_root_and_goes_on_alike(ledger: Ledger) -> None:
    ledger.order(("a", ledger.application.federation.expected()), ("b", Announce(b"here")))
    other = FederationApplication(AGREEMENT)
    snapshot = ledger.application.snapshot()
    assert other.restore(snapshot.encode()) == snapshot.app_hash
    twin = Ledger(other, ledger.height, ledger.nonce)
    said = (("a", Commitment(0, "a", bytes(32))), ("c", RoundTick(0)))
    assert ledger.order(*said).app_hash == twin.order(*said).app_hash
    with pytest.raises(SnapshotMismatch):
        other.restore(b"\x80")


def test_value_is_proved_against_the_root(ledger: Ledger) -> None:
    root = ledger.order(("b", Announce(b"here"))).app_hash
    value, key, proof = ledger.application.snapshot().prove("contact/b")
    assert value == b"here"
    verify_proof(root, key, value, proof)


def test_hash_of_the_blocks_depends_on_all_of_them(ledger: Ledger) -> None:
    twin = Ledger(FederationApplication(AGREEMENT))
    ledger.order(("a", RoundTick(0)))
    twin.order(("b", RoundTick(0)))
    for one in (ledger, twin):
        one.order(("c", RoundTick(0)))
    assert ledger.application.snapshot().block != twin.application.snapshot().block


def test_newcomer_needs_two_of_four_and_leaving_is_ones_own_word(ledger: Ledger) -> None:
    change = {name: Change("e", b"e" * 32, _replica("e")) for name in NAMES}
    assert not ledger.order(("a", change["a"])).member_updates
    assert not ledger.order(("a", change["a"])).member_updates
    applied = ledger.order(("c", change["c"]))
    assert [update.name for update in applied.member_updates] == ["e"]
    assert ledger.application.federation.terms.members == (*NAMES, "e")
    gone = ledger.order(("b", Change("b", None, None)))
    assert [(update.name, update.member) for update in gone.member_updates] == [("b", None)]
    assert ledger.codes(("b", RoundTick(0))) == [STRANGER]
    assert ledger.codes(("e", ledger.application.federation.expected())) == [0]


def test_members_change_only_between_rounds(ledger: Ledger) -> None:
    ledger.order(("a", ledger.application.federation.expected()))
    applied = ledger.order(("a", Change("a", None, None)))
    assert not applied.member_updates
    applied = ledger.order(("b", RoundTick(0)), time=100.0)
    assert [update.name for update in applied.member_updates] == ["a"]


def test_lost_disk_comes_back_under_new_keys_and_the_old_ones_are_a_strangers(ledger: Ledger) -> None:
    for name in ("a", "b"):
        ledger.order((name, Change("d", b"D" * 32, _replica("d", "D"))))
    assert ledger.codes(("d", RoundTick(0))) == [STRANGER]
    assert ledger.application.federation.terms.members == NAMES
    assert ledger.application.federation.accounts["d"] == b"D" * 32


def test_three_fruitless_rounds_stop_the_federation_until_two_resume_it(ledger: Ledger) -> None:
    time = 1.0
    for _ in range(3):
        time += 100.0
        assert ledger.codes(("a", ledger.application.federation.expected()), time=time) == [0]
        time += 100.0
        ledger.order(("b", RoundTick(ledger.application.federation.number - 1)), time=time)
    assert ledger.application.federation.stopped is not None
    assert "led to no model" in ledger.application.federation.stopped
    assert ledger.codes(("a", ledger.application.federation.expected()), time=time) == [REFUSED]
    assert ledger.codes(("a", Resume()), ("a", Resume()), ("c", Resume()), time=time) == [0, REFUSED, 0]
    assert ledger.codes(("a", ledger.application.federation.expected()), time=time) == [0]


@pytest.fixture(scope="module")
def keys() -> dict[str, bytes]:
    return {name: HybridKey().public for name in NAMES}


@pytest.fixture
def encrypted() -> Ledger:
    """A federation of four with encrypted sums."""
    return Ledger(FederationApplication(replace(AGREEMENT, protect="aggregate")))


def test_round_begins_once_enough_holders_gave_a_key_and_waits_a_while_for_the_others(
    encrypted: Ledger, keys: dict[str, bytes]
) -> None:
    begin = encrypted.application.federation.expected()
    ordered = [(name, SealingKey(name, keys[name])) for name in NAMES]
    assert encrypted.codes(*ordered[:2], ("a", begin), time=60.0) == [0, 0, REFUSED]
    assert encrypted.codes(ordered[2], ("a", begin), time=64.9) == [0, REFUSED]
    twin = FederationApplication(replace(AGREEMENT, protect="aggregate"))
    twin.restore(encrypted.application.snapshot().encode())
    late = Ledger(twin, encrypted.height, encrypted.nonce)
    assert late.codes(("a", begin), time=65.0) == [0]
    now = late.application.federation.round
    assert now is not None
    assert (set(now.sealing_keys), now.sum_terms.sealing_keys[3]) == ({"a", "b", "c"}, b"")
    assert encrypted.codes(ordered[3], ("a", begin), time=64.9) == [0, 0]


def test_key_that_nothing_can_be_sealed_to_is_refused_when_it_is_ordered(
    encrypted: Ledger, keys: dict[str, bytes]
) -> None:
    """Threat M11: a key of low order, or a malformed one, would stop whoever deals to it."""
    good = keys["a"]
    for bad in (bytes(32) + good[32:], good[:32] + b"\xff" * (len(good) - 32), good[:-1], b""):
        assert encrypted.codes(("a", SealingKey("a", bad))) == [REFUSED]
    assert encrypted.codes(("b", SealingKey("a", good)), ("a", SealingKey("a", good))) == [REFUSED, 0]
    assert encrypted.codes(("b", SealingKey("b", good))) == [REFUSED]


def test_nobody_seals_to_a_key_older_than_eight_rounds(encrypted: Ledger, keys: dict[str, bytes]) -> None:
    """Threat M11: a hospital that does not renew its key is absent."""
    encrypted.order(*((name, SealingKey(name, keys[name])) for name in NAMES))
    state = encrypted.application.federation
    fresh = {name: HeldKey(held.key, 9) for name, held in state.sealing.items() if name != "d"}
    assert set(dataclasses.replace(state, number=8).present) == set(NAMES)
    old = dataclasses.replace(state, number=9, sealing={**state.sealing, **fresh})
    assert set(old.present) == {"a", "b", "c"}
    assert old.needs_sealing_key("d")
    assert not old.needs_sealing_key("a")


def test_what_a_round_began_with_stays_whoever_comes_goes_or_renews(encrypted: Ledger, keys: dict[str, bytes]) -> None:
    """Threat M12: members, holders, thresholds and keys are frozen when a round begins."""
    encrypted.order(*((name, SealingKey(name, keys[name])) for name in NAMES))
    encrypted.order(("a", encrypted.application.federation.expected()))
    begun = encrypted.application.federation.round
    assert begun is not None
    encrypted.order(("d", Change("d", None, None)), ("a", SealingKey("a", HybridKey().public)))
    encrypted.order(*((name, Change("e", b"e" * 32, _replica("e"))) for name in "ab"))
    now = encrypted.application.federation
    assert now.round == begun
    assert now.terms.members == NAMES
    encrypted.order(("b", RoundTick(0)), time=100.0)
    assert encrypted.application.federation.terms.members == ("a", "b", "c")
    encrypted.order(("b", RoundTick(1)), time=101.0)
    after = encrypted.application.federation
    assert after.terms.members == ("a", "b", "c", "e")
    assert set(after.sealing) == {"a", "b", "c"}


def test_what_was_said_once_is_refused_again_also_in_the_next_round(ledger: Ledger) -> None:
    opening, said = ledger.application.federation.expected(), Commitment(0, "a", bytes(32))
    assert ledger.codes(("a", opening), ("a", said), ("a", said), ("b", said)) == [0, 0, REFUSED, REFUSED]
    ledger.order(("b", RoundTick(0)), time=100.0)
    assert ledger.codes(("a", opening), ("a", ledger.application.federation.expected()), time=200.0) == [REFUSED, 0]
    before = ledger.application.federation
    assert ledger.codes(("a", said), ("b", RoundTick(0)), time=201.0) == [REFUSED, REFUSED]
    assert ledger.application.federation == before


def _entries(training: object) -> Iterator[Entry]:
    yield from training._simulation._log.read(0)  # type: ignore[attr-defined]


def test_every_state_of_a_federation_has_one_encoding(federation: Start) -> None:
    """Surveys and rounds of an encrypted federation: each record and each state survives its encoding."""
    training = federation(protect="aggregate", rounds=1, silent=("hospital-4",))
    training.run(None, lambda report: None)
    agreement = training._simulation.state.agreement
    one, two = FederationApplication(agreement), FederationApplication(agreement)
    for height, entry in enumerate(_entries(training), 1):
        payload = encode_record(entry.record)
        assert decode_record(payload) == entry.record
        account = agreement.accounts[entry.author]
        block = Block(height, int(entry.time * 1000), (Transaction(account, height, payload, ()),))
        applied = one.apply(block)
        assert two.apply(block).app_hash == applied.app_hash
        state = one.federation
        assert decode_state(encode_state(state)) == state
        assert two.restore(one.snapshot().encode()) == applied.app_hash
    assert one.federation.next is None
    assert one.query("round/00000003") is not None


def test_rules_take_nothing_from_who_is_no_member(ledger: Ledger) -> None:
    """The application knows nobody but members; the rules refuse a stranger's word themselves."""
    state = ledger.application.federation
    with pytest.raises(RecordRefused, match="cannot say this"):
        apply(state, state.expected(), "x", 1.0, bytes(32))
    assert apply(state, state.expected(), "a", 1.0, bytes(32)).busy


def test_no_round_begins_within_another(ledger: Ledger) -> None:
    ledger.order(("a", ledger.application.federation.expected()))
    state = ledger.application.federation
    with pytest.raises(RecordRefused, match="A round is under way"):
        apply(state, state.expected(), "a", 1.0, bytes(32))
