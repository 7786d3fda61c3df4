"""Making and checking transactions: the client's signature and the one encoding.

A client with several transactions at hand signs the root of a Merkle tree over them once, and each carries its way to
that root: every one still proves itself alone, and a verifier that remembers valid signatures checks one for all.
See spec/ledger.md, "Requests".
"""

import hashlib
import struct
from collections.abc import Sequence

from medward.ledger.encoding import decode, encode
from medward.ledger.errors import InvalidSignature, NotCanonical
from medward.ledger.signatures import AlgorithmBytes, Domain, Signer, Verifier
from medward.ledger.types import MAX_TRANSACTION_BYTES, Transaction

MAX_TREE = 64
"""How many transactions one signature of `sign_transactions` may cover."""
_IN_TREE = "+tree"
_WAY = struct.Struct(">BB")
# Beside the last of an odd level: no leaf or branch has this digest, so nothing else can be shown in its place.
_NOBODY = bytes(32)


def sign_transaction(chain: bytes, signer: Signer, nonce: int, payload: bytes) -> Transaction:
    """Return the transaction of `signer` with `nonce`, bound to `chain` (32 bytes)."""
    client = signer.public_keys[0].data
    signatures = signer.sign(Domain(chain, "transaction", 0, 0, nonce), _digest(client, payload))
    return Transaction(client, nonce, payload, signatures)


def decode_transaction(data: bytes) -> Transaction:
    """Return the transaction whose canonical encoding is `data`.

    Raises:
        NotCanonical: too long, or not canonical.
    """
    if len(data) > MAX_TRANSACTION_BYTES:
        raise NotCanonical(f"a transaction of {len(data)} bytes is over the limit of {MAX_TRANSACTION_BYTES}")
    return decode(data, Transaction, thinnest=16)


def encode_transaction(transaction: Transaction) -> bytes:
    """Return the canonical encoding, at most `MAX_TRANSACTION_BYTES` long.

    Raises:
        NotCanonical: it is longer; put the content into the store and its CID into the payload.
    """
    data = encode(transaction)
    if len(data) > MAX_TRANSACTION_BYTES:
        raise NotCanonical(
            f"the transaction has {len(data)} bytes, over the limit of {MAX_TRANSACTION_BYTES}; "
            "put its content into the store and only the CID on the ledger"
        )
    return data


def sign_transactions(chain: bytes, signer: Signer, numbered: Sequence[tuple[int, bytes]]) -> tuple[Transaction, ...]:
    """Return the transactions with these (nonce, payload) pairs under one signature of `signer`.

    Args:
        chain: the chain id, 32 bytes.
        signer: the client's keys.
        numbered: 1 to `MAX_TREE` pairs.
    """
    if len(numbered) == 1:
        return (sign_transaction(chain, signer, *numbered[0]),)
    client = signer.public_keys[0].data
    levels = [[_leaf(chain, nonce, _digest(client, payload)) for nonce, payload in numbered]]
    while len(levels[-1]) > 1:
        level = levels[-1]
        if len(level) % 2:
            level.append(_NOBODY)
        levels.append([_branch(level[i], level[i + 1]) for i in range(0, len(level), 2)])
    (signed,) = signer.sign(Domain(chain, "transactions", 0, 0, 0), levels[-1][0])
    made = []
    for index, (nonce, payload) in enumerate(numbered):
        way, place = bytearray(_WAY.pack(index, len(levels) - 1)), index
        for level in levels[:-1]:
            way += level[place ^ 1]
            place >>= 1
        signature = AlgorithmBytes(signed.algorithm + _IN_TREE, bytes(way) + signed.data)
        made.append(Transaction(client, nonce, payload, (signature,)))
    return tuple(made)


def verify_transaction(chain: bytes, verifier: Verifier, transaction: Transaction) -> None:
    """Check the client's signature, of the transaction itself or of a tree that holds it.

    Raises:
        InvalidSignature: it does not verify under the client's own key.
    """
    content = _digest(transaction.client, transaction.payload)
    signatures = transaction.signatures
    algorithm = signatures[0].algorithm
    if not algorithm.endswith(_IN_TREE):
        domain = Domain(chain, "transaction", 0, 0, transaction.nonce)
    else:
        algorithm = algorithm.removesuffix(_IN_TREE)
        domain = Domain(chain, "transactions", 0, 0, 0)
        content, signature = _climb(_leaf(chain, transaction.nonce, content), signatures[0].data)
        signatures = (AlgorithmBytes(algorithm, signature), *signatures[1:])
    # The verifier knows which algorithms there are; a name that does not fit the key fails there.
    keys = (AlgorithmBytes(algorithm, transaction.client),)
    if transaction.nonce < 1 or not verifier.valid(keys, domain, content, signatures):
        raise InvalidSignature(f"transaction {transaction.nonce} is not signed by its client")


def _digest(client: bytes, payload: bytes) -> bytes:
    return hashlib.sha256(client + payload).digest()


def _leaf(chain: bytes, nonce: int, content: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + Domain(chain, "transaction", 0, 0, nonce).preimage(content)).digest()


def _branch(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _climb(node: bytes, data: bytes) -> tuple[bytes, bytes]:
    """Return the root that the way in `data` leads to from a leaf, and the signature that follows the way."""
    if len(data) < _WAY.size:
        return node, b""
    index, height = _WAY.unpack_from(data)
    end = _WAY.size + 32 * height
    # A place outside the tree is no other spelling of one inside it.
    if index >> height or len(data) <= end:
        return node, b""
    sha256 = hashlib.sha256
    for at in range(_WAY.size, end, 32):
        # `_branch`, written out: this is most of what a replica does for a transaction before it is ordered.
        pair = data[at : at + 32] + node if index & 1 else node + data[at : at + 32]
        node = sha256(b"\x01" + pair).digest()
        index >>= 1
    return node, data[end:]
