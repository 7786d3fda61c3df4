"""Members of an epoch: quorums that share a correct member, turns at leading, and changes that make no sense."""

from collections import Counter

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from medward.ledger.errors import LedgerError
from medward.ledger.membership import (
    MAX_MEMBERS,
    ChainParameters,
    Membership,
    next_membership,
    quorum,
    tolerated_faults,
)
from medward.ledger.signatures import MemberSigner
from medward.ledger.types import Member, MemberUpdate

ALL = [Member(f"m{k:02d}", 0, MemberSigner(Ed25519PrivateKey.generate()).public_keys, b"", "") for k in range(70)]


def of(count: int, epoch: int = 0) -> Membership:
    return Membership(epoch, 0, tuple(ALL[:count]))


@given(st.integers(1, 1000))
def test_two_quorums_share_a_correct_member_and_the_correct_ones_are_one(members: int) -> None:
    faults, votes = tolerated_faults(members), quorum(members)
    assert members >= 3 * faults + 1
    assert 2 * votes - members >= faults + 1
    assert votes <= members - faults


@given(st.integers(1, MAX_MEMBERS), st.integers(0, 100))
def test_members_lead_in_turns_and_each_epoch_begins_with_another(members: int, epoch: int) -> None:
    now = of(members, epoch)
    leaders = [now.leader(view) for view in range(2 * members)]
    assert set(Counter(leaders).values()) == {2}
    assert of(members, epoch + 1).leader(0) == now.leader(1)


def test_members_come_go_and_change_keys_and_stay_in_order() -> None:
    now = of(3)
    changed = msgspec.structs.replace(ALL[1], incarnation=1, keys=ALL[5].keys)
    updates = (MemberUpdate("m04", ALL[4]), MemberUpdate("m00", None), MemberUpdate("m01", changed))
    after = next_membership(now, updates, 64)
    assert after.names == ("m01", "m02", "m04")
    assert (after.epoch, after.first_height) == (1, 64)
    assert after.member("m01") == changed
    assert after.member("m00") is None
    assert after.digest() != now.digest()


@pytest.mark.parametrize(
    "update",
    [
        MemberUpdate("nobody", None),
        MemberUpdate("m09", ALL[4]),
        MemberUpdate("m04", msgspec.structs.replace(ALL[4], keys=ALL[0].keys)),
    ],
)
def test_change_that_makes_no_sense_changes_no_member(update: MemberUpdate) -> None:
    assert next_membership(of(3), (update,), 64).members == of(3).members


def test_the_last_member_stays_and_there_are_never_too_many() -> None:
    assert next_membership(of(1), (MemberUpdate("m00", None),), 64).names == ("m00",)
    crowd = tuple(MemberUpdate(one.name, one) for one in ALL)
    assert next_membership(of(1), crowd, 64).size == MAX_MEMBERS


@pytest.mark.parametrize(
    "changes",
    [{"checkpoint_interval": 0}, {"checkpoint_interval": 65}, {"log_window": 100}, {"log_window": 2048},
     {"in_flight": 0}, {"in_flight": 129}, {"max_batch": 0}, {"max_batch": 4097}, {"chunk_bytes": 1023},
     {"chunk_bytes": 2**20 + 1}, {"max_batch_bytes": 2**16 - 1}, {"max_batch_bytes": 2**22 + 1}],
)  # fmt: skip
def test_numbers_that_do_not_fit_each_other_are_refused(changes: dict[str, int]) -> None:
    ChainParameters().validate()
    with pytest.raises(LedgerError):
        ChainParameters(**changes).validate()
