"""A contribution: its bytes, what its dealing consists of, what is checked of it, and that it is drawn anew alike."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from medward.fhe.context import Challenge, SumContext
from medward.fhe.contribution import (
    HASH_BYTES,
    Dealing,
    contribution_bytes,
    draw,
    fits_digest,
    read_contribution,
    share_bytes,
    share_digest,
    share_label,
    write_contribution,
)
from medward.fhe.errors import MalformedEncoding
from medward.fhe.hybrid import OVERHEAD
from medward.fhe.parameters import DEGREE, TESTS
from medward.fhe.ring import polynomials
from tests.fhe.test_parameters import of
from tests.fhe.world import World, key

WORLD = World(7, values=300)
P = WORLD.parameters.prime


def test_known_answers_of_a_sum() -> None:
    """Public elements and challenge of a fixed sum, and what a fixed key deals in it; other programs must agree."""
    context = SumContext(of(4), b"occasion", (1, 2, 3, 4), 1)
    dealing = Dealing(context, 2, bytes(range(32)))

    def short(data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()[:16]

    assert short(context.check_element.astype("<i8").tobytes()) == "fec00dc226dec20a"
    challenge = Challenge(context, b"beacon")
    assert short(challenge.secret_rows.tobytes() + challenge.error_rows.tobytes()) == "448a87fb93289ddf"
    assert short(dealing.check_block()) == "f778cf8916618b76"
    assert short(dealing.encrypted(np.zeros((1, 4, DEGREE), np.int64))) == "68affae9a51aa681"
    assert short(b"".join(dealing.shares([1, 2, 3, 4]).values())) == "aa63e0bd28ebe260"
    assert short(dealing.respond(challenge)) == "11e92e0b438e581c"
    assert short(dealing.respond_to_audit(context.audit_rows(b"audit"))) == "b061915f423fe6dc"


def test_same_key_draws_the_same_dealing_again() -> None:
    secret = hashlib.sha256(b"k").digest()
    one, other = (Dealing(WORLD.context, 3, secret) for _ in range(2))
    rows = WORLD.context.audit_rows(b"a")
    one.encrypted(np.zeros((WORLD.context.blocks, WORLD.parameters.lanes, DEGREE), np.int64))
    assert one.respond(WORLD.challenge) == other.respond(WORLD.challenge)
    assert one.respond_to_audit(rows) == other.respond_to_audit(rows)
    assert one.show([2, 5]) == other.show([5, 2])
    assert not np.array_equal(Dealing(WORLD.context, 3, bytes(32)).values, one.values)


def test_secrets_masks_seeds_salts_and_coins_all_differ() -> None:
    secrets = draw(WORLD.parameters, bytes(32))
    drawn = [*secrets.seeds, *secrets.salts, *secrets.coins]
    assert len(set(drawn)) == len(drawn) == WORLD.parameters.threshold - 1 + 2 * 7
    assert not np.array_equal(secrets.secret, secrets.error)


def test_any_threshold_of_shares_gives_the_dealt_vector_and_fewer_give_nothing() -> None:
    dealing, t = WORLD.dealings[1], WORLD.parameters.threshold
    vectors = {j: WORLD.checked(1, j) for j in WORLD.holders}
    for chosen in ((1, 2, 3, 4, 5), (3, 4, 5, 6, 7), (1, 3, 5, 6, 7)):
        rows = np.stack([vectors[j] for j in chosen])
        found = polynomials.combine(polynomials.weights(chosen, (0,), P), rows, P)[0]
        assert np.array_equal(found[:DEGREE], dealing.secrets.secret)
        assert np.array_equal(found[DEGREE : DEGREE + TESTS], dealing.secrets.test_masks)
        assert np.array_equal(found[DEGREE + TESTS :], dealing.secrets.audit_masks)
    fewer = np.stack([vectors[j] for j in range(1, t)])
    found = polynomials.combine(polynomials.weights(range(1, t), (0,), P), fewer, P)[0]
    assert np.abs(found[:DEGREE]).max() > 1 << 40


def test_honest_tests_stay_below_their_bound() -> None:
    """Their width is 1,135: a tenth of the bound."""
    largest = []
    for dealer in WORLD.dealers:
        b = WORLD.dealings[dealer]
        tests = WORLD.challenge.secret_rows.astype(np.int64).T @ b.secrets.secret
        tests += WORLD.challenge.error_rows.astype(np.int64).T @ b.secrets.error + b.secrets.test_masks
        largest.append(tests.std())
    assert 900 < np.mean(largest) < 1400


def test_salted_digest_hides_a_share_that_could_be_guessed() -> None:
    """The same seed with another salt has another digest, so a digest tells nothing of a share."""
    share = WORLD.share(1, 1)
    digests = WORLD.contributions[1].digests
    assert share_digest(WORLD.context, 1, 1, share) == digests[1]
    assert share_digest(WORLD.context, 1, 1, share[:32] + bytes(32)) != digests[1]
    assert share_digest(WORLD.context, 2, 1, share) != digests[1]
    assert share_digest(WORLD.context, 1, 2, share) != digests[1]


def test_contribution_has_the_promised_size_and_one_reading() -> None:
    data = WORLD.encoded[1]
    t = WORLD.parameters.threshold
    element, blocks = 12800, WORLD.context.blocks
    boxes = (t - 1) * 64 + (7 - t + 1) * (8 * 1753 + 32) + 7 * OVERHEAD
    assert len(data) == contribution_bytes(WORLD.context) == 24 + (1 + blocks) * element + 7 * 32 + boxes
    for wrong in (data[:-1], data + b"\0", b"MWF1" + data[4:], data[:8] + bytes(16) + data[24:]):
        with pytest.raises(MalformedEncoding):
            read_contribution(WORLD.context, wrong)


def test_box_of_another_holder_or_sum_does_not_open() -> None:
    box = bytes(WORLD.contributions[1].boxes[2])
    other = World(7, values=300, seed=2)
    for holder, label in (
        (3, share_label(WORLD.context, 1, 2)),
        (2, share_label(WORLD.context, 2, 2)),
        (2, share_label(other.context, 1, 2)),
    ):
        with pytest.raises(ValueError, match="not sealed"):
            key(holder).unseal(box, label)


def test_parts_of_a_contribution_are_those_that_were_written() -> None:
    """Absent holders get nothing, and what is written for the present ones is read for the same ones."""
    context = replace(WORLD.context, present=(2, 5, 7))
    sizes = {holder: share_bytes(context, holder) + OVERHEAD for holder in context.present}
    digests = {holder: bytes([holder]) * HASH_BYTES for holder in context.present}
    boxes = {holder: bytes([16 + holder]) * size for holder, size in sizes.items()}
    check_block, blocks = b"\x01" * 12800, b"\x02" * 12800 * context.blocks
    data = write_contribution(context, check_block, blocks, digests, boxes)
    assert len(data) == contribution_bytes(context)
    read = read_contribution(context, data)
    assert (bytes(read.check_block), bytes(read.blocks), read.digests) == (check_block, blocks, digests)
    assert {holder: bytes(box) for holder, box in read.boxes.items()} == boxes


def test_holder_that_nothing_was_dealt_to_has_no_share_that_fits() -> None:
    context = replace(WORLD.context, present=(2, 5, 7))
    contribution = replace(WORLD.contributions[1], digests={2: share_digest(context, 1, 2, b"share")})
    assert fits_digest(context, contribution, 1, 2, b"share")
    assert not fits_digest(context, contribution, 1, 3, b"share")
    assert not fits_digest(context, contribution, 1, 2, b"other")
    assert not fits_digest(context, contribution, 2, 2, b"share")


def test_reading_takes_no_copy_of_what_may_be_large() -> None:
    """Blocks and boxes are views, so that a reader of a large contribution holds it once."""
    data = WORLD.encoded[1]
    read = read_contribution(WORLD.context, data)
    for part in (read.check_block, read.blocks, *read.boxes.values()):
        assert part.obj is data
