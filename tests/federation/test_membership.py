"""Who the members are: attacks on it, and the rules of wishes (spec/membership.md)."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from medward.federation.application import REFUSED, STRANGER, FederationApplication
from medward.federation.membership import LIFETIME, MOST_WISHES, pending
from medward.federation.participant import FederationMember
from medward.federation.records import Announce, Change, Resume, Retract, RoundTick, encode_record
from medward.federation.round.effects import OrderRecord
from medward.federation.sums.plain import PlainSum
from medward.ledger.cometbft.server import AbciApplication
from medward.ledger.encoding import encode
from medward.ledger.membership import MAX_MEMBERS
from medward.ledger.signatures import AlgorithmBytes, MemberSigner, MemberVerifier
from medward.ledger.transactions import encode_transaction, sign_transaction
from medward.ledger.types import Member
from tests.federation.ledger import AGREEMENT, Ledger


def key(name: str) -> bytes:
    return (name.encode() * 32)[:32]


def comes(name: str, *more: bytes, certificate: bytes = b"", account: bytes | None = None) -> Change:
    """The change that `name` comes, or comes back, with a key that its name gives (another one for `name` + `'`)."""
    keys = tuple(AlgorithmBytes("ed25519", one) for one in (key(name), *more))
    real = name.rstrip("'")
    card = encode(Member(real, 0, keys, certificate, "127.0.0.1:1"))
    return Change(real, key(name) if account is None else account, card)


def goes(name: str) -> Change:
    return Change(name, None, None)


def founded(names: Sequence[str], *, epoch: int | None = 0) -> Ledger:
    """A federation whose ledger stays in one epoch until a test says otherwise."""
    agreement = replace(AGREEMENT, members=tuple(names), accounts={name: key(name) for name in names})
    return Ledger(FederationApplication(agreement), epoch=epoch)


def members(ledger: Ledger) -> tuple[str, ...]:
    return ledger.application.federation.terms.members


def next_epoch(ledger: Ledger) -> None:
    assert ledger.epoch is not None
    ledger.epoch += 1


def settle(ledger: Ledger, rounds: int = 3) -> None:
    """Let epochs end, with records of the first member that change nothing else."""
    for _ in range(rounds):
        next_epoch(ledger)
        ledger.order((members(ledger)[0], Announce(b"here")))


# Attacks that took a federation over.


@pytest.mark.parametrize(
    ("names", "liars", "expelled", "by"),
    [("abcd", "a", "a", "bc"), ("abcdefg", "ab", "a", "cde"), ("abcd", "a", "d", "d")],
    ids=["four", "seven", "honest leaver"],
)
def test_wishes_of_liars_settle_nothing_when_a_member_goes(names: str, liars: str, expelled: str, by: str) -> None:
    """Threat T1: what liars wished before counts no more than before, whoever goes, and although f is smaller."""
    ledger = founded(names)
    for liar in liars:
        for honest in (name for name in names if name not in liars):
            ledger.order((liar, goes(honest)))
        for number in range(4):
            ledger.order((liar, comes(f"evil{number}")))
    assert members(ledger) == tuple(names)
    applied = [ledger.order((author, goes(expelled))) for author in by][-1]
    assert [(one.name, one.member) for one in applied.member_updates] == [(expelled, None)]
    settle(ledger, 12)
    assert members(ledger) == tuple(name for name in names if name != expelled)


def test_wish_of_one_who_went_is_dropped_and_so_are_those_about_it() -> None:
    """Threat T1: one who was put out has no say later, also when its name comes back."""
    ledger = founded("abcd")
    ledger.order(("a", comes("e")), ("b", goes("a")), ("c", goes("a")))
    assert members(ledger) == ("b", "c", "d")
    assert ledger.application.federation.membership.wishes == {}
    settle(ledger)
    ledger.order(("b", comes("a'")))
    settle(ledger)
    assert members(ledger) == ("b", "c", "d", "a")
    assert ledger.codes(("b", comes("e"))) == [0]
    settle(ledger)
    assert "e" not in members(ledger)


def test_wish_with_a_key_that_was_replaced_counts_no_more() -> None:
    """Threat T1: who stole a key wishes nothing with it once the member has another one."""
    ledger = founded("abcd")
    ledger.order(("d", goes("a")), ("a", comes("d'")), ("b", comes("d'")))
    assert ledger.application.federation.accounts["d"] == key("d'")
    next_epoch(ledger)
    ledger.order(("b", goes("a")))
    settle(ledger)
    assert members(ledger) == ("a", "b", "c", "d")
    assert ledger.codes(("d", goes("a"))) == [STRANGER]


def test_two_changes_are_never_made_in_one_epoch_of_the_ledger() -> None:
    """Threat T1: n falls by one, the ledger follows, and then the next change is counted again."""
    ledger = founded("abcdefg")
    said = [(author, goes(name)) for name in "gf" for author in "abc"]
    applied = ledger.order(*said)
    assert [one.name for one in applied.member_updates] == ["g"]
    assert not ledger.order(("a", Announce(b"here"))).member_updates
    next_epoch(ledger)
    assert [one.name for one in ledger.order(("a", Announce(b"there"))).member_updates] == ["f"]
    assert members(ledger) == tuple("abcde")


def test_change_that_waits_is_made_by_a_tick_and_a_tick_that_makes_none_is_refused() -> None:
    ledger = founded("abcd")
    ledger.order(("a", goes("d")), ("b", goes("d")), ("c", goes("c")))
    assert ledger.codes(("a", RoundTick(0))) == [REFUSED]
    next_epoch(ledger)
    assert ledger.codes(("a", RoundTick(0)), ("a", RoundTick(0))) == [0, REFUSED]
    assert members(ledger) == ("a", "b")


@pytest.mark.parametrize("stopped", [None, "three rounds led to nothing"])
def test_members_tick_for_a_change_that_waits_where_nothing_else_is_ordered(stopped: str | None) -> None:
    """Without it a change would wait for ever where the plan is fulfilled or the federation has stopped."""
    ledger = founded("abcd")
    ledger.order(("a", goes("d")), ("b", goes("d")), ("c", goes("c")), time=100.0)
    waiting = dataclasses.replace(ledger.application.federation, next=None, stopped=stopped)
    machines = {name: FederationMember(name, waiting, PlainSum(name)) for name in "ab"}
    wakes = {name: machine.wake() for name, machine in machines.items()}
    assert 100.0 < min(wakes.values()) < max(wakes.values()) < 100.0 + waiting.terms.deadline
    for name, machine in machines.items():
        assert machine.duties(wakes[name] - 0.01) == []
        assert machine.duties(wakes[name]) == [OrderRecord(RoundTick(waiting.number))]
        assert machine.duties(wakes[name] + 0.01) == [], "it is handed in again only after a deadline"
        assert machine.duties(wakes[name] + waiting.terms.deadline) == [OrderRecord(RoundTick(waiting.number))]
    assert machines["a"].ordered(RoundTick(waiting.number), "b", 107.0, b"", 1) == []
    assert machines["a"].state.terms.members == ("a", "b")
    assert machines["a"].wake() == float("inf")


def test_change_that_waits_needs_its_wishes_until_it_is_made() -> None:
    ledger = founded("abcdefg")
    ledger.order(*((name, comes("x")) for name in "abc"), *((name, comes("y")) for name in "abc"))
    assert members(ledger)[-1] == "x"
    other = comes("y", account=key("y'"))
    ledger.order(("c", replace(other, replica=comes("y'").replica, account=key("y'"))))
    settle(ledger)
    assert "y" not in members(ledger)
    ledger.order(("d", comes("y")))
    assert members(ledger)[-1] == "y"


def test_change_whose_wishes_expired_before_its_turn_is_not_made() -> None:
    ledger = founded("abcdefg")
    ledger.order(*((name, comes("x")) for name in "abc"), *((name, comes("y")) for name in "abc"), time=1.0)
    next_epoch(ledger)
    ledger.order(("a", Announce(b"here")), time=1.0 + LIFETIME)
    assert members(ledger) == (*"abcdefg", "x")


def test_fewer_members_are_no_reason_to_make_what_was_agreed_on() -> None:
    """Threat T1: two of four want a newcomer; once one of them has left, the other is one of three, of whom f is 0."""
    ledger = founded("abcd")
    ledger.order(("a", goes("a")))
    ledger = founded("abcd")
    ledger.order(("c", goes("c")), ("b", comes("x")), ("a", comes("x")))
    assert members(ledger) == ("a", "b", "d")
    ledger = founded("abcd")
    ledger.order(("a", ledger.application.federation.expected()))
    ledger.order(("a", goes("a")), ("a", comes("x")), ("d", comes("x")), time=2.0)
    ledger.order(("b", RoundTick(0)), time=50.0)
    assert members(ledger) == ("b", "c", "d")
    settle(ledger)
    assert members(ledger) == ("b", "c", "d")
    ledger.order(("d", comes("x")), time=60.0)
    assert members(ledger) == ("b", "c", "d", "x")


def test_wish_to_resume_of_one_who_went_counts_no_more() -> None:
    """Threat T1: the same of the word by which a federation goes on that has stopped."""
    ledger, time = founded("abcd", epoch=None), 1.0
    ledger.epoch = 0
    for _ in range(3):
        time += 100.0
        ledger.order(("a", ledger.application.federation.expected()), time=time)
        time += 100.0
        ledger.order(("b", RoundTick(ledger.application.federation.number - 1)), time=time)
    assert ledger.application.federation.stopped is not None
    ledger.order(("d", Resume()), ("d", goes("d")), time=time)
    assert ledger.application.federation.resuming == frozenset()
    ledger.order(("a", comes("d'")), time=time)
    next_epoch(ledger)
    ledger.order(("a", Announce(b"here")), time=time)
    assert members(ledger) == ("a", "b", "c", "d")
    ledger.order(("a", Resume()), time=time)
    assert ledger.application.federation.stopped is not None


# Rules of wishes.


def test_member_has_one_wish_about_a_name_and_at_most_sixteen() -> None:
    ledger = founded("abcd")
    assert ledger.codes(("a", comes("e")), ("a", comes("e'")), ("b", comes("e"))) == [0, 0, 0]
    assert members(ledger) == tuple("abcd")
    assert ledger.codes(*(("a", comes(f"n{number}")) for number in range(MOST_WISHES - 1))) == [0] * (MOST_WISHES - 1)
    full = ledger.order(("a", goes("d")), ("b", goes("d")), time=LIFETIME / 2)
    assert [result.code for result in full.results] == [REFUSED, 0]
    assert full.results[0].data.decode() == (
        "a has 16 open wishes, the most: take one back (`medward federation retract`), or wait until one is fulfilled "
        "or expires, the first in 84 hours."
    )
    assert ledger.codes(("a", goes("d")), time=LIFETIME + 1) == [0]
    assert members(ledger) == tuple("abc")


def test_wish_that_is_taken_back_counts_no_more() -> None:
    """Threat T1: an operator who was deceived about a card can undo its wish before the liars have theirs ordered."""
    ledger = founded("abcd")
    ledger.order(("b", comes("x")))
    assert ledger.codes(("a", Retract("x")), ("b", Retract("x"))) == [REFUSED, 0]
    (result,) = ledger.order(("b", Retract("x"))).results
    assert result.data.decode() == ("b has no open wish about x: look at `medward federation status` for those it has.")
    ledger.order(("a", comes("x")))
    assert members(ledger) == tuple("abcd")
    ledger.order(("a", ledger.application.federation.expected()))
    ledger.order(("b", comes("x")), ("d", goes("d")), ("b", Retract("x")), ("d", Retract("d")), time=2.0)
    ledger.order(("b", RoundTick(0)), time=50.0)
    settle(ledger)
    assert members(ledger) == tuple("abcd")


def test_wish_expires_after_a_week_and_may_be_renewed() -> None:
    for seconds, made in ((LIFETIME - 1, True), (LIFETIME, False)):
        ledger = founded("abcd")
        ledger.order(("a", goes("d")), time=5.0)
        ledger.order(("b", goes("d")), time=5.0 + seconds)
        assert (members(ledger) == tuple("abc")) is made
    ledger.order(("a", goes("d")), time=5.0 + LIFETIME)
    assert members(ledger) == tuple("abc")


def test_pending_wishes_tell_who_how_many_and_until_when() -> None:
    ledger = founded("abcdefg")
    ledger.order(("c", goes("g")), time=10.0)
    ledger.order(("a", goes("g")), ("b", comes("x")), ("d", ledger.application.federation.expected()), time=20.0)
    told = pending(ledger.application.federation.membership, 30.0)
    assert [(one.change.name, one.by, one.needed, one.until, one.agreed) for one in told] == [
        ("g", ("a", "c"), 3, 10.0 + LIFETIME, False),
        ("x", ("b",), 3, 20.0 + LIFETIME, False),
    ]
    ledger.order(("e", goes("g")), ("f", goes("f")), time=30.0)
    told = pending(ledger.application.federation.membership, 40.0)
    assert [(one.change.name, one.agreed, one.needed) for one in told] == [
        ("g", True, 3),
        ("f", True, 1),
        ("x", False, 3),
    ]
    assert pending(ledger.application.federation.membership, 30.0 + LIFETIME) == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (goes("x"), "There is no member x: look at `medward federation status` for who is one."),
        (Change("d", None, b"card"), "Who goes has no keys and no address: ask that d goes without them."),
        (Change("d", None, None, b"contact"), "Who goes has no keys and no address: ask that d goes without them."),
        (Change("x", key("x"), None), "The ledger can't read the card of x: admit the card that its node wrote."),
        (Change("x", key("x"), b"?"), "The ledger can't read the card of x: admit the card that its node wrote."),
        (comes("x", account=key("y")), "not that of a member x with this key"),
        (comes("x", account=b"short"), "not that of a member x with this key"),
        (Change("y", key("x"), comes("x").replica), "not that of a member y with this key"),
        (Change("x", key("a"), comes("a").replica), "not that of a member x with this key"),
        (comes("x", key("x")), "A key of x is x's already: make new ones with `medward federation rotate`."),
        (comes("x", key("b")), "A key of x is b's already: make new ones with `medward federation rotate`."),
        (comes("a"), "A key of a is a's already: make new ones with `medward federation rotate`."),
        (comes("x\ny"), "one line of ASCII characters"),
        (comes("ä"), "one line of ASCII characters"),
    ],
)  # fmt: skip
def test_wish_that_cannot_come_true_is_refused_with_what_to_do(change: Change, sentence: str) -> None:
    ledger = founded("abcd")
    (result,) = ledger.order(("a", change)).results
    assert result.code == REFUSED
    assert sentence in result.data.decode()
    assert ledger.application.federation.membership.wishes == {}


def test_keys_and_certificates_of_newcomers_are_theirs_alone() -> None:
    """Threat T1: the ledger ignores a key that it has already, silently; the federation must not go on without it."""
    ledger = founded("abcd")
    ledger.order(*((author, comes("x", b"2" * 32, certificate=b"C")) for author in "ab"))
    assert members(ledger)[-1] == "x"
    settle(ledger, 1)
    again = [comes("y", b"2" * 32), comes("y", certificate=b"C"), comes("y", key("x"))]
    assert ledger.codes(*(("a", one) for one in again)) == [REFUSED] * 3
    assert ledger.codes(("a", comes("x'", b"3" * 32, certificate=b"C"))) == [0]


def test_what_became_impossible_is_skipped_at_its_turn_and_its_wishes_fall() -> None:
    ledger = founded("abcd")
    twin = replace(comes("y", b"2" * 32))
    said = [(author, one) for one in (goes("d"), comes("x", b"2" * 32), twin, comes("z")) for author in "ab"]
    ledger.order(*said)
    settle(ledger, 3)
    assert members(ledger) == ("a", "b", "c", "x", "z")
    assert ledger.application.federation.membership.wishes == {}


def test_last_member_cannot_go() -> None:
    ledger = founded("ab")
    ledger.order(("a", goes("a")), ("b", goes("b")))
    settle(ledger) if members(ledger)[0] != "b" else next_epoch(ledger)
    assert members(ledger) == ("b",)
    (result,) = ledger.order(("b", goes("b"))).results
    assert result.data.decode() == "b is the last member, and a federation cannot be empty: stop its node instead."
    assert members(ledger) == ("b",)


def test_there_are_at_most_sixty_four_members() -> None:
    names = [f"{number:02}" for number in range(MAX_MEMBERS - 1)]
    ledger = founded(names)
    ledger.order(*((author, one) for one in (comes("xx"), comes("yy")) for author in names[:21]))
    settle(ledger)
    assert (len(members(ledger)), members(ledger)[-1]) == (MAX_MEMBERS, "xx")
    (result,) = ledger.order((names[0], comes("yy"))).results
    assert "The federation has 64 members, the most: one must leave" in result.data.decode()
    assert ledger.codes((names[0], comes(names[1] + "'"))) == [0]


def test_no_change_is_taken_where_the_ledgers_members_never_change(tmp_path: Path) -> None:
    """Threat T1: under CometBFT the validators stay, so the federation's members must."""
    signers = {name: MemberSigner(Ed25519PrivateKey.generate()) for name in "abcd"}
    accounts = {name: signer.public_keys[0].data for name, signer in signers.items()}
    agreement, chain = replace(AGREEMENT, accounts=accounts), bytes(32)
    comet = AbciApplication(lambda: FederationApplication(agreement), chain, MemberVerifier(), folder=tmp_path)
    comet.answer({"init_chain": {"time": {"seconds": 1, "nanos": 0}}})
    said = [("a", goes("a")), ("b", goes("a")), ("b", comes("x")), ("b", Announce(b"here"))]
    block = [
        encode_transaction(sign_transaction(chain, signers[name], number, encode_record(record)))
        for number, (name, record) in enumerate(said, 1)
    ]
    at = {"seconds": 2, "nanos": 0}
    results = comet.answer({"finalize_block": {"txs": block, "time": at, "height": 1, "hash": b""}})["finalize_block"]
    told = [(result["code"], result["data"]) for result in results["tx_results"]]
    no = b"This ledger's members never change: begin another federation, or use the engine pbft."
    assert told == [(REFUSED, no)] * 3 + [(0, b"")]


def test_name_that_went_leaves_nothing_in_the_state() -> None:
    """Threat T4: names that come and go for ever do not add up."""
    ledger = founded("abcd")
    sizes = []
    for number in range(20):
        newcomer = comes(f"n{number:02}")
        ledger.order(*((author, replace(newcomer, contact=b"there")) for author in "ab"))
        next_epoch(ledger)
        ledger.order(("c", goes(newcomer.name)), ("d", goes(newcomer.name)))
        next_epoch(ledger)
        sizes.append(len(ledger.application.snapshot().encode()))
    assert max(sizes[1:]) - min(sizes[1:]) < 64
    assert members(ledger) == tuple("abcd")
