"""The attacks on key ceremonies: each succeeds against a variant with one rule left out, and fails against ours.

The last rows of spec/scheme.md, "Attacks"; the others are in tests/fhe.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from medward.federation import ceremony as c
from medward.federation import ceremony_events as events
from medward.fhe import dealing

from .ceremonies import Member, members_of, run

# 12. Show every share that is complained of


def _opened(members: dict[int, Member], dealer: int, liars: Sequence[int] = ()) -> np.ndarray | None:
    """What liars make of their own shares and of those that a dealer showed to all: its secret, with t of them."""
    state = members[1].state
    keys, context = state.keys, state.context(dealer)
    known = {holder: share for (author, holder), share in state.shown.items() if author == dealer}
    known |= {liar: share for liar in liars if (share := members[liar].state.arrived.get(dealer)) is not None}
    if keys is None or len(known) < dealing.threshold(len(state.holders)):
        return None
    checked = {
        holder: dealing.check_dealt_share(
            state.parameters, context, holder, share,
            digest=state.digests[dealer][holder], beacon=state.beacon, response=state.responses[dealer],
        )
        for holder, share in known.items()
    }  # fmt: skip
    return dealing.open_secret(state.parameters, context, keys.a, keys.public[dealer], checked)


def _secret(members: dict[int, Member], dealer: int) -> np.ndarray:
    state = members[dealer].state
    return members[dealer].secrets[state.epoch].evaluated(state.parameters)


def test_network_that_loses_sealed_shares_opens_a_dealer_that_shows_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Honest members only: what does not arrive is complained of, and what is complained of is shown to everybody."""
    monkeypatch.setattr(c, "most_shown", lambda holders, members: holders)
    members = members_of(4)
    members[3].spoil_shares_for = {1, 2, 4}
    run(members)
    assert all(member.active and not member.left_out for member in members.values())
    assert np.array_equal(_opened(members, 3), _secret(members, 3))


def test_dealer_shows_fewer_shares_than_open_its_secret() -> None:
    for lost, out in (({1}, set()), ({1, 2}, {3}), ({1, 2, 4}, {3})):
        members = members_of(4)
        members[3].spoil_shares_for = set(lost)
        run(members)
        assert set(members[1].left_out) == out
        assert _opened(members, 3) is None
        assert len(members[1].state.shown) <= c.most_shown(4, 4) == 1


# 13. Reckon with f of those that are left in a ceremony, not with f of all members


def _late(_member: Member, _event: events.OrderedEvent) -> None:
    """What is ordered of an honest member that a network keeps from speaking in time: nothing."""


def _some_late_and_some_shares_lost() -> tuple[dict[int, Member], int]:
    """Of seven, 6 and 7 are late, 1 and 2 may lie, and dealer 5's shares for 3 and 4 are lost; how many it showed."""
    shown: set[int] = set()

    def noted(_member: Member, event: events.OrderedEvent) -> events.OrderedEvent:
        if isinstance(event, events.Answered):
            shown.add(event.holder)
        return event

    members = members_of(7, {5: noted, 6: _late, 7: _late})
    members[5].spoil_shares_for = {3, 4}
    run(members)
    return members, len(shown)


def test_two_liars_of_seven_open_a_dealer_where_five_that_are_left_reckon_with_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reckoned: Callable[[int, int], int] = c.most_shown
    monkeypatch.setattr(c, "most_shown", lambda holders, members: reckoned(holders, holders))
    members, shown = _some_late_and_some_shares_lost()
    assert members[3].active
    assert members[3].state.holders == (1, 2, 3, 4, 5)
    assert shown + 2 == dealing.threshold(5)
    assert np.array_equal(_opened(members, 5, liars=(1, 2)), _secret(members, 5))


def test_two_liars_of_seven_open_nobody_among_five_that_are_left() -> None:
    members, shown = _some_late_and_some_shares_lost()
    assert 5 in members[3].left_out
    assert shown + 2 < dealing.threshold(5)
    assert members[3].state.holders == (1, 2, 3, 4)
    assert members[3].active


def test_three_liars_of_ten_hold_all_keys_where_three_that_are_left_are_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What all others encrypt from then on is theirs to read."""
    monkeypatch.setattr(c, "least_holders", lambda members: 3)
    members = members_of(10, dict.fromkeys(range(4, 11), _late))
    run(members)
    assert all(members[liar].active for liar in (1, 2, 3))
    assert members[10].state.keys is not None
    assert members[10].state.keys.holders == (1, 2, 3)


def test_three_liars_of_ten_are_never_left_alone_with_the_keys() -> None:
    members = members_of(10, dict.fromkeys(range(4, 11), _late))
    run(members)
    assert {member.state.phase for member in members.values()} == {events.Phase.FAILED}
    assert not any(member.secrets for member in members.values())
