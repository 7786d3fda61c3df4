"""The key ceremony among members in one process: faults are named, the faulty left out, the others finish."""

from pathlib import Path

import numpy as np
import pytest

from medward.federation import ceremony as c
from medward.federation import ceremony_events as events
from medward.federation.journal import Journal
from medward.fhe import dealing, sealing
from medward.fhe.decryption import combine, decryption_share, opened_share
from medward.fhe.encoding import Kind, decode_elements, encode_elements
from medward.fhe.encryption import encrypt
from medward.fhe.epoch import KeyContribution
from medward.fhe.errors import MalformedEncoding
from medward.fhe.keys import parameters_ring
from medward.fhe.member import SumMember
from medward.ledger.membership import quorum

from .ceremonies import Member, members_of, run, run_until


def _finished_without(members: dict[int, Member], out: int, reason: str) -> None:
    """All others are active with the same keys, name `out` and why; its secret is not in the joint key."""
    rest = {i: m for i, m in members.items() if i != out}
    keys = {m.active.keys.joint.tobytes() for m in rest.values() if m.active}
    assert len(keys) == 1
    for member in rest.values():
        assert member.active is not None
        assert member.active.keys.holders == tuple(sorted(rest))
        assert set(member.left_out) == {out}
        assert reason in member.left_out[out]
    _keys_work(rest)


def _keys_work(members: dict[int, Member]) -> None:
    """Encrypt under the joint key and open, once with all holders and once with the first one opened by the others."""
    any_member = next(iter(members.values()))
    assert any_member.active is not None
    keys = any_member.active.keys
    parameters = keys.parameters
    values = np.random.default_rng(1).integers(-128, 128, (parameters.lanes, parameters.degree))
    ciphertext, _ = encrypt(parameters, keys.a, keys.joint, values)
    shares = {i: decryption_share(parameters, m.secrets[keys.epoch], ciphertext.c1)[0] for i, m in members.items()}
    assert np.array_equal(combine(parameters, ciphertext, list(shares.values())), values)
    silent, *others = keys.holders
    state = members[others[0]].state
    checked = {}
    for j in others:
        active = members[j].active
        assert active is not None
        checked[j] = dealing.check_dealt_share(
            parameters, state.context(silent), j, active.shares[silent],
            digest=state.digests[silent][j], beacon=state.beacon, response=state.responses[silent],
        )  # fmt: skip
    if len(checked) >= keys.threshold:
        secret = dealing.open_secret(parameters, state.context(silent), keys.a, keys.public[silent], checked)
        shares[silent] = opened_share(parameters, secret, ciphertext.c1)
        assert np.array_equal(combine(parameters, ciphertext, list(shares.values())), values)


def test_healthy_ceremony_ends_with_the_same_keys_everywhere() -> None:
    members = members_of(4)
    run(members)
    assert {m.state.epoch for m in members.values()} == {1}
    assert all(not m.left_out and m.active for m in members.values())
    _keys_work(members)


@pytest.mark.parametrize("phase", [events.Committed, events.Opened, events.Dealt, events.Responded])
def test_late_member_is_left_out_and_the_others_finish(phase: type) -> None:
    members = members_of(5, {2: lambda _, event: None if isinstance(event, phase) else event})
    run(members)
    _finished_without(members, 2, "missed the deadline")
    looking_on = members[2].active
    assert looking_on is not None
    assert 2 not in looking_on.keys.holders
    assert not looking_on.shares
    assert not members[2].secrets


def test_malformed_key_is_named_and_left_out() -> None:
    def twist(_: Member, event: events.OrderedEvent) -> events.OrderedEvent:
        if isinstance(event, events.Committed):
            return events.Committed(event.epoch, event.member, bytes(32))
        return event

    def cut(member: Member, event: events.OrderedEvent) -> events.OrderedEvent:
        if isinstance(event, events.Opened | events.Committed):
            assert member.state.own is not None
            whole = member.state.own.contribution
            short = KeyContribution(whole.public[:-3], whole.proof)
            if isinstance(event, events.Opened):
                return events.Opened(event.epoch, event.member, short, event.transport)
            parameters = member.state.parameters
            return events.Committed(event.epoch, 3, short.commitment(parameters, b"ward", event.epoch, 3))
        return event

    members = members_of(4, {3: cut})
    run(members)
    _finished_without(members, 3, "malformed key")
    members = members_of(4, {3: twist})
    run(members)
    _finished_without(members, 3, "another key than it had committed to")


@pytest.mark.parametrize("transport", [b"", bytes(sealing.PUBLIC_BYTES), b"\xff" * sealing.PUBLIC_BYTES])
def test_malformed_transport_key_is_named_and_left_out(transport: bytes) -> None:
    def twist(_: Member, event: events.OrderedEvent) -> events.OrderedEvent:
        if isinstance(event, events.Opened):
            return events.Opened(event.epoch, event.member, event.contribution, transport)
        return event

    members = members_of(4, {3: twist})
    run(members)
    _finished_without(members, 3, "malformed transport key")


def test_rogue_key_is_named_and_left_out() -> None:
    """The last to open publishes its part minus all others'. It had to commit before it saw them, and has no proof."""
    seen: dict[int, KeyContribution] = {}

    def watch(_: Member, event: events.OrderedEvent) -> events.OrderedEvent:
        if isinstance(event, events.Opened):
            seen[event.member] = event.contribution
        return event

    def rogue(member: Member, event: events.OrderedEvent) -> events.OrderedEvent:
        if not isinstance(event, events.Opened) or event.epoch > 1:
            return event
        parameters = member.state.parameters
        ring = parameters_ring(parameters)
        (own,) = decode_elements(parameters, Kind.PUBLIC_KEY, event.contribution.public)
        others = [decode_elements(parameters, Kind.PUBLIC_KEY, s.public)[0] for s in seen.values()]
        part = encode_elements(parameters, Kind.PUBLIC_KEY, ring.subtract(own, ring.sum(others)))
        return events.Opened(event.epoch, 4, KeyContribution(part, event.contribution.proof), event.transport)

    members = members_of(4, {1: watch, 2: watch, 3: watch, 4: rogue})
    run(members)
    _finished_without(members, 4, "another key than it had committed to")


def test_dealer_with_inconsistent_shares_is_named_and_left_out() -> None:
    """One share off the polynomial: its holder complains; what the dealer then shows does not fit either."""

    def twist(member: Member, event: events.OrderedEvent) -> events.OrderedEvent:
        if isinstance(event, events.Dealt) and member.state.dealing is not None:
            share = member.state.dealing.shares[2]
            member.state.dealing.shares[1] = share
            digest = dealing.share_digest(member.state.dealing.context, 1, share)
            return events.Dealt(event.epoch, event.member, {**event.digests, 1: digest})
        return event

    members = members_of(5, {3: twist})
    run(members)
    _finished_without(members, 3, "answered the complaint of member 1 with a share that is not good")


def test_dealer_that_does_not_answer_a_complaint_is_left_out() -> None:
    members = members_of(5, {3: lambda _, event: None if isinstance(event, events.Answered) else event})
    members[3].spoil_shares_for = {1}
    run(members)
    _finished_without(members, 3, "did not answer the complaint of member 1")


def test_share_lost_on_the_way_is_shown_and_the_ceremony_goes_on() -> None:
    members = members_of(5)
    members[3].spoil_shares_for = {1}
    run(members)
    assert all(m.active and not m.left_out for m in members.values())
    assert members[1].state.shown.keys() == {(3, 1)}
    _keys_work(members)


@pytest.mark.parametrize(("count", "lost"), [(4, {1, 2}), (5, {1, 2, 4}), (7, {1, 2, 4}), (7, {1, 2, 4, 5, 6, 7})])
def test_dealer_of_whom_too_many_complain_shows_no_more_and_is_left_out(count: int, lost: set[int]) -> None:
    """It may be honest, and its shares lost on the way: what it would show then is its secret."""
    members = members_of(count)
    members[3].spoil_shares_for = lost
    run(members)
    _finished_without(members, 3, f"more complaints than shares that it may show, {c.most_shown(count, count)}")
    assert all(not m.state.shown for m in members.values())


def test_complaint_that_is_withdrawn_still_counts_since_the_share_may_have_been_shown() -> None:
    """A network that delays shares, and delivers them when they have been complained of, opens nothing either."""
    members = members_of(4)
    run_until(members, events.Phase.ACKNOWLEDGE)
    for event in (events.Complained(1, 1, 3), events.Acknowledged(1, 1, 3), events.Complained(1, 2, 3)):
        members[4].feed(event)
    assert members[4].state.epoch == 2
    assert members[4].state.holders == (1, 2, 4)
    assert "more complaints" in members[4].state.left_out[3]


def test_shares_that_may_be_shown_and_those_of_the_liars_never_open_a_secret() -> None:
    for count in range(3, 65):
        liars = (count - 1) // 3
        for holders in range(c.least_holders(count), count + 1):
            t, shown = dealing.threshold(holders), c.most_shown(holders, count)
            assert 0 <= shown == t - 1 - liars
            out = count - holders
            assert count == 3 or shown >= liars - out  # so that liars who are left cannot have a dealer left out
            assert liars + (holders - t) < holders  # an honest key is left after all openings of an epoch
        assert c.least_holders(count) <= max(3, quorum(count))  # who is enough for the ledger is enough for keys


def test_ceremony_gives_up_with_too_few_members() -> None:
    members = members_of(3, {2: lambda _, event: None})
    run(members)
    assert {m.state.phase for m in members.values()} == {events.Phase.FAILED}


@pytest.mark.parametrize(("count", "least"), [(4, 3), (7, 3), (10, 5)])
def test_ceremony_needs_so_many_members_that_all_liars_among_them_open_nothing(count: int, least: int) -> None:
    assert c.least_holders(count) == least
    away = range(least + 1, count + 1)
    members = members_of(count, dict.fromkeys(away, lambda _, event: None))
    run(members)
    assert members[1].active
    assert set(members[1].left_out) == set(away)
    members = members_of(count, dict.fromkeys((1, *away), lambda _, event: None))
    run(members)
    assert {m.state.phase for m in members.values()} == {events.Phase.FAILED}
    assert not any(m.secrets for m in members.values())


def test_step_changes_nothing_on_foreign_repeated_or_early_events() -> None:
    members = members_of(4)
    state = members[1].state
    for event in (
        events.Committed(9, 2, bytes(32)), events.Committed(1, 77, bytes(32)), events.Beacon(1, b"early"),
        events.Acknowledged(1, 2, 3), events.Complained(1, 2, 3), events.Deadline(1, events.Phase.DEAL),
        events.SharesOverdue(1),
    ):  # fmt: skip
        assert c.step(state, event) == (state, ())
    once, _ = c.step(state, events.Committed(1, 2, b"a" * 32))
    assert c.step(once, events.Committed(1, 2, b"b" * 32)) == (once, ())


def test_failed_attempt_erases_its_secrets() -> None:
    members = members_of(4, {2: lambda _, event: None if isinstance(event, events.Dealt) else event})
    run(members)
    for i in (1, 3, 4):
        assert list(members[i].secrets) == [2]
        assert members[i].state.dealing is None


def test_sealed_share_opens_only_for_its_holder_and_dealing() -> None:
    context = dealing.DealingContext(b"ward", 1, 3, (1, 2, 3), 3)
    key, other = sealing.TransportKey(), sealing.TransportKey()
    sealed = sealing.seal(context, 1, key.public, b"share")
    assert key.unseal(context, 1, sealed, 5) == b"share"
    elsewhere = dealing.DealingContext(b"ward", 2, 3, (1, 2, 3), 3)
    for holder_key, where, holder, data in (
        (other, context, 1, sealed), (key, elsewhere, 1, sealed), (key, context, 2, sealed),
        (key, context, 1, sealed[:-1]), (key, context, 1, b"short"),
        (key, context, 1, bytes([sealed[0] ^ 1]) + sealed[1:]), (key, context, 1, sealed[:40] + b"\1" + sealed[41:]),
    ):  # fmt: skip
        with pytest.raises(MalformedEncoding):
            holder_key.unseal(where, holder, data, 5)
    for public in (b"", bytes(sealing.PUBLIC_BYTES)):
        with pytest.raises(MalformedEncoding):
            sealing.seal(context, 1, public, b"share")
    assert "TransportKey(...)" in repr(key)


def test_round_after_a_ceremony_survives_a_restart_and_a_silent_holder(tmp_path: Path) -> None:
    """From the first commitment to an exact sum, with proofs, journals on disk, one restart and one opened holder."""
    members = members_of(4, setup=c.Setup(b"ward", "AGG-M", 8, 16, "malicious"))
    run(members)
    journals = {i: Journal(tmp_path / f"{i}.sqlite") for i in members}
    roles = {i: _role(m, journals[i]) for i, m in members.items()}
    keys = roles[1].keys
    p = keys.parameters
    values = {i: np.random.default_rng(i).integers(-128, 128, (p.lanes, p.degree)) for i in roles}
    sealed = {i: role.seal(1, 0, values[i]) for i, role in roles.items()}
    commitments = {i: s.commitment(keys, 1, 0, i) for i, s in sealed.items()}
    aggregate = roles[3].add(sealed)
    answers = {i: roles[i].share(roles[i].check(1, 0, commitments, sealed, aggregate)) for i in (1, 2, 3)}

    journals[1].close()
    journals[1] = Journal(tmp_path / "1.sqlite")
    roles[1] = _role(members[1], journals[1])
    checked = roles[1].check(1, 0, commitments, sealed, aggregate)
    assert roles[1].share(checked) == answers[1]
    assert roles[1].seal(1, 0, values[1]) == sealed[1]

    state = members[1].state
    context = state.context(4)
    shares = {}
    for j in (1, 2, 3):
        active = members[j].active
        assert active is not None
        shares[j] = dealing.check_dealt_share(
            p, context, j, roles[j].reveal(4, active.shares[4]),
            digest=state.digests[4][j], beacon=state.beacon, response=state.responses[4],
        )  # fmt: skip
    opened = {4: dealing.open_secret(p, context, keys.a, keys.public[4], shares)}
    assert np.array_equal(roles[1].open(checked, answers, opened), sum(values.values()))
    for journal in journals.values():
        journal.close()


def _role(member: Member, journal: Journal) -> SumMember:
    assert member.active is not None
    keys = member.active.keys
    return SumMember(keys, member.number, journal, member.secrets[keys.epoch])
