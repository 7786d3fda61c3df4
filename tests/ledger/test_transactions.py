"""One signature for many transactions: each proves itself alone, and nothing else is proved with it."""

import hashlib

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.ledger.encoding import decode, encode
from medward.ledger.errors import InvalidSignature, NotCanonical
from medward.ledger.signatures import AlgorithmBytes, Domain, MemberSigner, MemberVerifier
from medward.ledger.transactions import (
    MAX_TREE,
    decode_transaction,
    encode_transaction,
    proved,
    sign_transactions,
    together,
    verify_transaction,
)
from medward.ledger.types import Transaction

CHAIN = b"c" * 32
SIGNER = MemberSigner(Ed25519PrivateKey.generate())
OTHER = MemberSigner(Ed25519PrivateKey.generate())


def signed(count, chain=CHAIN):
    return sign_transactions(chain, SIGNER, [(nonce, b"payload %d" % nonce) for nonce in range(1, count + 1)])


def with_signature(transaction, data, algorithm=None):
    old = transaction.signatures[0]
    return msgspec.structs.replace(transaction, signatures=(AlgorithmBytes(algorithm or old.algorithm, data),))


def assert_refused(transaction, chain=CHAIN):
    with pytest.raises(InvalidSignature):
        verify_transaction(chain, MemberVerifier(), transaction)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, MAX_TREE))
def test_each_proves_itself_alone_and_one_check_serves_for_all(count):
    shared = MemberVerifier()
    for transaction in signed(count):
        verify_transaction(CHAIN, MemberVerifier(), decode_transaction(encode_transaction(transaction)))
        verify_transaction(CHAIN, shared, transaction)
    assert shared.checks == 1


@settings(deadline=None, max_examples=40)
@given(st.integers(2, MAX_TREE), st.data())
def test_nothing_else_is_proved_by_the_same_signature(count, data):
    transactions = signed(count)
    one = data.draw(st.sampled_from(transactions))
    other = data.draw(st.sampled_from([t for t in transactions if t is not one]))
    assert_refused(msgspec.structs.replace(one, nonce=one.nonce + 1))
    assert_refused(msgspec.structs.replace(one, payload=one.payload + b"x"))
    assert_refused(msgspec.structs.replace(one, client=OTHER.public_keys[0].data))
    assert_refused(msgspec.structs.replace(one, signatures=other.signatures))
    assert_refused(one, chain=b"d" * 32)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, MAX_TREE), st.data())
def test_a_changed_bit_of_the_way_or_the_signature_is_refused(count, data):
    transaction = data.draw(st.sampled_from(signed(count)))
    changed = bytearray(transaction.signatures[0].data)
    bit = data.draw(st.integers(0, len(changed) * 8 - 1))
    changed[bit // 8] ^= 1 << bit % 8
    assert_refused(with_signature(transaction, bytes(changed)))


@settings(deadline=None, max_examples=40)
@given(st.integers(2, MAX_TREE), st.data())
def test_a_way_that_is_cut_or_longer_is_refused(count, data):
    transaction = data.draw(st.sampled_from(signed(count)))
    way = transaction.signatures[0].data
    assert_refused(with_signature(transaction, way[: data.draw(st.integers(1, len(way) - 1))]))
    assert_refused(with_signature(transaction, way + b"\x00"))


def test_the_empty_place_beside_an_odd_leaf_holds_no_transaction():
    last = signed(3)[2]
    place, *rest = last.signatures[0].data
    assert place == 2
    assert_refused(with_signature(last, bytes([3, *rest])))


def test_a_tree_is_no_plain_signature_and_the_other_way_round():
    plain, tree = signed(1)[0], signed(2)[0]
    assert_refused(with_signature(plain, plain.signatures[0].data, "ed25519+tree"))
    assert_refused(with_signature(tree, tree.signatures[0].data[-64:], "ed25519"))


def test_a_node_that_another_client_proved_proves_nothing_of_ones_own():
    # The tree's owner puts a transaction under somebody else's key beside its own, and signs the root of both.
    shared = MemberVerifier()
    forged = msgspec.structs.replace(signed(1)[0], client=OTHER.public_keys[0].data, nonce=2, payload=b"stolen")
    leaves = [_leaf_of(signed(1)[0]), _leaf_of(forged)]
    root = hashlib.sha256(b"\x01" + leaves[0] + leaves[1]).digest()
    (signature,) = SIGNER.sign(Domain(CHAIN, "transactions", 0, 0, 0), root)
    mine = with_signature(signed(1)[0], bytes([0, 1]) + leaves[1] + signature.data, "ed25519+tree")
    theirs = with_signature(forged, bytes([1, 1]) + leaves[0] + signature.data, "ed25519+tree")
    verify_transaction(CHAIN, shared, mine)
    with pytest.raises(InvalidSignature):
        verify_transaction(CHAIN, shared, theirs)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, MAX_TREE), st.data())
def test_what_was_proved_before_lets_nothing_else_through(count, data):
    transactions = signed(count)
    shared = MemberVerifier()
    for transaction in transactions:
        verify_transaction(CHAIN, shared, transaction)
    one = data.draw(st.sampled_from(transactions))
    other = data.draw(st.sampled_from([t for t in transactions if t is not one]))
    changed = bytearray(one.signatures[0].data)
    bit = data.draw(st.integers(0, len(changed) * 8 - 1))
    changed[bit // 8] ^= 1 << bit % 8
    for wrong in (
        with_signature(one, bytes(changed)),
        with_signature(one, one.signatures[0].data + b"\x00"),
        msgspec.structs.replace(one, nonce=one.nonce + 1),
        msgspec.structs.replace(one, payload=one.payload + b"x"),
        msgspec.structs.replace(one, client=OTHER.public_keys[0].data),
        msgspec.structs.replace(one, signatures=other.signatures),
    ):
        with pytest.raises(InvalidSignature):
            verify_transaction(CHAIN, shared, wrong)
    with pytest.raises(InvalidSignature):
        verify_transaction(b"d" * 32, shared, one)


def one_by_one(transactions):
    found = []
    for transaction in transactions:
        try:
            verify_transaction(CHAIN, MemberVerifier(), transaction)
            found.append(True)
        except InvalidSignature:
            found.append(False)
    return found


def in_runs(transactions, verifier):
    runs = list(together(transactions))
    assert [transaction for run in runs for transaction in run] == list(transactions)
    return [one for run in runs for one in proved(CHAIN, verifier, run)]


def damaged(data, transaction, others):
    changed = bytearray(transaction.signatures[0].data)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    return data.draw(
        st.sampled_from(
            [
                with_signature(transaction, bytes(changed)),
                with_signature(transaction, transaction.signatures[0].data[: data.draw(st.integers(1, 80))]),
                msgspec.structs.replace(transaction, nonce=transaction.nonce + 1),
                msgspec.structs.replace(transaction, nonce=0),
                msgspec.structs.replace(transaction, payload=b"another"),
                msgspec.structs.replace(transaction, client=OTHER.public_keys[0].data),
                msgspec.structs.replace(transaction, signatures=data.draw(st.sampled_from(others)).signatures),
                msgspec.structs.replace(transaction, signatures=transaction.signatures * 2),
            ]
        )
    )


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_transactions_checked_together_get_the_verdicts_that_they_get_one_by_one(data):
    made = [
        transaction
        for signer in (SIGNER, OTHER)
        for count in data.draw(st.lists(st.integers(1, 9), max_size=2))
        for transaction in sign_transactions(CHAIN, signer, [(nonce, bytes([nonce])) for nonce in range(1, count + 1)])
    ]
    some = data.draw(st.lists(st.sampled_from(made), max_size=14)) if made else []
    for at in data.draw(st.sets(st.integers(0, len(some) - 1), max_size=3)) if some else ():
        some[at] = damaged(data, some[at], made)
    if data.draw(st.booleans()):
        some.sort(key=lambda transaction: (transaction.client, transaction.signatures[0].data[-64:]))
    assert in_runs(some, MemberVerifier()) == one_by_one(some)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, MAX_TREE), st.data())
def test_a_tree_is_checked_once_for_all_of_it_or_any_part(count, data):
    transactions = data.draw(st.lists(st.sampled_from(signed(count)), min_size=2, unique_by=lambda one: one.nonce))
    verifier = MemberVerifier()
    assert all(in_runs(transactions, verifier))
    assert verifier.checks == 1


def _leaf_of(transaction):
    content = hashlib.sha256(transaction.client + transaction.payload).digest()
    return hashlib.sha256(b"\x00" + Domain(CHAIN, "transaction", 0, 0, transaction.nonce).preimage(content)).digest()


def plainly_decoded(data):
    try:
        return decode(data, Transaction)
    except NotCanonical:
        return None


def quickly_decoded(data):
    try:
        return decode_transaction(data)
    except NotCanonical:
        return None


SIZES = st.sampled_from([0, 1, 23, 24, 25, 255, 256, 257, 4095, 4096, 4097])


@settings(deadline=None)
@given(
    st.sampled_from([31, 32, 33]),
    st.sampled_from([0, 1, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**62, 2**62 + 1, -1]),
    SIZES,
    st.lists(st.tuples(st.sampled_from(["ed25519", "ed25519+tree", "ml-dsa-65", ""]), SIZES), max_size=3),
)
def test_every_form_of_a_transaction_is_decoded_as_any_other_structure_is(client, nonce, payload, signatures):
    form = [bytes(client), nonce, bytes(payload), [[name, bytes(size)] for name, size in signatures]]
    data = encode(form)
    assert quickly_decoded(data) == plainly_decoded(data)


LONG = sign_transactions(CHAIN, SIGNER, [(nonce, bytes(40)) for nonce in (1, 30, 300)])


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([encode_transaction(t) for t in (signed(1)[0], *signed(9), *LONG)]), st.data())
def test_changed_bytes_of_a_transaction_are_decoded_or_refused_as_any_other_structure_is(encoded, data):
    changed = bytearray(encoded)
    for _ in range(data.draw(st.integers(0, 3))):
        changed[data.draw(st.integers(0, min(len(changed), 100) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(changed[: data.draw(st.integers(0, len(changed)))])
    for wrong in (bytes(changed), cut, bytes(changed) + b"\x00"):
        assert quickly_decoded(wrong) == plainly_decoded(wrong)
