"""What everybody and each holder checks of a dealing, and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.fhe import reconstruction
from medward.fhe.checking import (
    audit_response_bytes,
    check_dealing,
    check_own_share,
    check_shown_share,
    contradicts_audit,
    read_audit_response,
    read_response,
    read_share,
    read_shown,
    response_bytes,
)
from medward.fhe.contribution import expand_share, share_bytes
from medward.fhe.encoding import HEADER_BYTES, EncodingKind, header, pack_residues
from medward.fhe.errors import DealingFault, MalformedEncoding, ShareFault
from medward.fhe.parameters import AUDITS, DEGREE, TESTS
from medward.fhe.ring import polynomials
from tests.fhe import weakened
from tests.fhe.world import World

WORLD = World(7, values=300)
P = WORLD.parameters.prime
AUDIT_ROWS = WORLD.context.audit_rows(b"audit")
AUDIT_RESPONSE = read_audit_response(WORLD.context, WORLD.dealings[1].respond_to_audit(AUDIT_ROWS))


def test_every_honest_dealing_passes_at_every_holder() -> None:
    for dealer in WORLD.dealers:
        WORLD.check_dealing(dealer)
        for holder in WORLD.holders:
            own = WORLD.checked(dealer, holder)
            share = WORLD.share(dealer, holder)
            shown = check_shown_share(WORLD.challenge, holder, share, WORLD.responses[dealer])
            assert np.array_equal(own, shown)


@settings(max_examples=30, deadline=None)
@given(st.integers(5, 7), st.integers(0, DEGREE + TESTS - 1), st.sampled_from([1, -1, P // 2, 1 << 30]))
def test_share_off_in_any_place_is_found_by_its_holder_and_by_everybody(holder: int, place: int, by: int) -> None:
    vector = WORLD.checked(2, holder)
    vector[place] = polynomials.balance(vector[place : place + 1] + by, P)[0]
    share = pack_residues(vector, P) + bytes(32)
    for check in (check_own_share, check_shown_share):
        with pytest.raises(ShareFault, match="off its polynomial"):
            check(WORLD.challenge, holder, share, WORLD.responses[2])


def test_share_of_the_wrong_form_is_refused() -> None:
    context = WORLD.context
    assert share_bytes(context, 4) == 64
    assert share_bytes(context, 5) == 8 * 1753 + 32
    for holder in (1, 7):
        share = WORLD.share(1, holder)
        for wrong in (share[:-1], share + b"\0", b""):
            with pytest.raises(ShareFault, match="holder"):
                read_share(context, holder, wrong)
    with pytest.raises(ShareFault, match="malformed"):
        read_share(context, 7, b"\xff" * share_bytes(context, 7))
    seed = WORLD.share(1, 1)[:32]
    assert np.array_equal(read_share(context, 1, WORLD.share(1, 1)), expand_share(WORLD.parameters, seed))


def test_shown_shares_are_those_that_were_dealt() -> None:
    shown = WORLD.dealings[1].show([6, 2])
    read = read_shown(WORLD.context, WORLD.contributions[1], 1, [2, 6], shown)
    assert read == {j: WORLD.share(1, j) for j in (2, 6)}
    for j, share in read.items():
        check_own_share(WORLD.challenge, j, share, WORLD.responses[1])
    with pytest.raises(ShareFault, match="did not deal"):
        read_shown(WORLD.context, WORLD.contributions[2], 2, [2, 6], shown)
    for holders in ([2], [2, 5, 6], [6, 7]):
        with pytest.raises((MalformedEncoding, ShareFault)):
            read_shown(WORLD.context, WORLD.contributions[1], 1, holders, shown)


@pytest.mark.parametrize(
    ("read", "kind", "size"),
    [
        (read_response, EncodingKind.RESPONSE, response_bytes),
        (read_audit_response, EncodingKind.AUDIT_RESPONSE, audit_response_bytes),
    ],
)
def test_response_of_another_length_kind_or_sum_or_with_a_residue_of_p_is_refused(read, kind, size) -> None:
    context = WORLD.context
    good = header(kind, context.digest) + bytes(size(context) - HEADER_BYTES)
    assert not read(context, good).any()
    other_kind = EncodingKind.ANSWER
    too_large = P.to_bytes(8, "little")
    for wrong in (
        good[:-1],
        good + bytes(8),
        b"",
        header(other_kind, context.digest) + good[HEADER_BYTES:],
        header(kind, bytes(16)) + good[HEADER_BYTES:],
        good[:HEADER_BYTES] + too_large + good[HEADER_BYTES + 8 :],
    ):
        with pytest.raises(MalformedEncoding):
            read(context, wrong)


def test_response_that_raises_one_test_by_more_than_the_bound_is_refused_and_up_to_it_passes() -> None:
    contribution, response = WORLD.contributions[1], WORLD.responses[1]
    now = weakened.tests_of(WORLD.challenge, contribution, response)
    bound = WORLD.parameters.test_bound
    for place in (0, TESTS - 1):
        for sign in (1, -1):
            at_bound, beyond = response.copy(), response.copy()
            at_bound[0, place] += sign * bound - now[place]
            beyond[0, place] += sign * (bound + 1) - now[place]
            check_dealing(WORLD.challenge, contribution, at_bound)
            with pytest.raises(DealingFault, match=f"not short: {bound + 1} > {bound}"):
                check_dealing(WORLD.challenge, contribution, beyond)


def test_ciphertext_with_a_residue_of_p_is_refused_before_it_is_summed() -> None:
    """Nobody but the summing would look into these bytes, and it must not stop a sum that was agreed on."""
    context, good = WORLD.context, WORLD.contributions[1]
    for block in range(context.blocks):
        blocks = bytearray(good.blocks)
        blocks[12800 * block : 12800 * block + 8] = P.to_bytes(8, "little")
        with pytest.raises(MalformedEncoding, match="residue"):
            check_dealing(WORLD.challenge, replace(good, blocks=memoryview(blocks)), WORLD.responses[1])
    check = bytearray(good.check_block)
    check[-8:] = b"\xff" * 8
    with pytest.raises(MalformedEncoding, match="residue"):
        check_dealing(WORLD.challenge, replace(good, check_block=memoryview(check)), WORLD.responses[1])


def test_share_of_a_holder_is_not_one_of_another() -> None:
    """Two holders that swap what they were dealt have shares of a right form that fit no test."""
    for one, other in ((5, 6), (1, 2)):
        share = WORLD.share(3, one)
        for check in (check_own_share, check_shown_share):
            check(WORLD.challenge, one, share, WORLD.responses[3])
            with pytest.raises(ShareFault, match=f"holder {other} that is off"):
                check(WORLD.challenge, other, share, WORLD.responses[3])


def test_show_of_a_share_with_another_salt_is_refused() -> None:
    shown = bytearray(WORLD.dealings[1].show([2, 6]))
    for place in (HEADER_BYTES, HEADER_BYTES + 63, len(shown) - 1):
        changed = shown.copy()
        changed[place] ^= 1
        with pytest.raises(ShareFault, match="did not deal"):
            read_shown(WORLD.context, WORLD.contributions[1], 1, [2, 6], bytes(changed))


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([*range(DEGREE), *range(DEGREE + TESTS, DEGREE + TESTS + AUDITS)]), st.sampled_from([1, -1, P // 2])
)
def test_audit_contradicts_a_part_that_is_off_in_any_place_and_no_right_one(place: int, by: int) -> None:
    holder = 6
    part = reconstruction.answered_part(WORLD.checked(1, holder))
    assert not contradicts_audit(WORLD.context, AUDIT_ROWS, holder, part, AUDIT_RESPONSE)
    assert contradicts_audit(WORLD.context, AUDIT_ROWS, 7, part, AUDIT_RESPONSE)
    off = place if place < DEGREE else place - TESTS
    part[off] = polynomials.balance(part[off : off + 1] + by, P)[0]
    assert contradicts_audit(WORLD.context, AUDIT_ROWS, holder, part, AUDIT_RESPONSE)
