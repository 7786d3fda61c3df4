"""One signature for many transactions: each proves itself alone, and nothing else is proved with it."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.ledger.errors import InvalidSignature
from medward.ledger.signatures import AlgorithmBytes, MemberSigner, MemberVerifier
from medward.ledger.transactions import (
    MAX_TREE,
    decode_transaction,
    encode_transaction,
    sign_transactions,
    verify_transaction,
)

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
