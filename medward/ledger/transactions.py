"""Making and checking transactions: the client's signature and the one encoding.

A client with several transactions at hand signs the root of a Merkle tree over them once, and each carries its way to
that root: every one still proves itself alone, and a verifier that remembers valid signatures checks one for all.
See spec/ledger.md, "Requests".
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from medward.ledger.encoding import decode, encode, read_bytes_at, read_count_at
from medward.ledger.errors import InvalidSignature, NotCanonical
from medward.ledger.signatures import ED25519, MAX_SIGNATURE_BYTES, AlgorithmBytes, Domain, Signer, Verifier
from medward.ledger.types import MAX_TRANSACTION_BYTES, Transaction

MAX_TREE = 64
"""How many transactions one signature of `sign_transactions` may cover."""
_IN_TREE = "+tree"
_WAY = struct.Struct(">BB")
# How a transaction begins, and what stands between its payload and its one signature's bytes, by algorithm.
_BEGINS = b"\x84\x58\x20"
_BETWEEN = tuple((b"\x81\x82" + encode(algorithm), algorithm) for algorithm in (ED25519 + _IN_TREE, ED25519))
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
    return _usual_form(data) or decode(data, Transaction, thinnest=16)


def _usual_form(data: bytes) -> Transaction | None:
    """Return the transaction where it has one signature of a usual kind and is canonical, None of anything else.

    It says of such a transaction what `decode` says, and takes a quarter of the time: each replica decodes each one.
    """
    if not data.startswith(_BEGINS):
        return None
    nonce, at = read_count_at(data, 35)
    payload, at = read_bytes_at(data, at)
    if nonce < 0 or payload is None:
        return None
    for between, algorithm in _BETWEEN:
        if data.startswith(between, at):
            signature, at = read_bytes_at(data, at + len(between))
            if signature is None or at != len(data) or not 0 < len(signature) <= MAX_SIGNATURE_BYTES:
                return None
            return Transaction(data[3:35], nonce, payload, (AlgorithmBytes(algorithm, signature),))
    return None


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
    if not _proved(chain, verifier, transaction):
        raise InvalidSignature(f"transaction {transaction.nonce} is not signed by its client")


def together(transactions: Iterable[Transaction]) -> Iterator[list[Transaction]]:
    """Yield the transactions in their order, those that follow each other under one signature of a tree together."""
    run: list[Transaction] = []
    common: tuple[bytes, bytes, str] | None = None
    for transaction in transactions:
        tree = _tree(transaction)
        if run and (tree is None or tree != common):
            yield run
            run = []
        run.append(transaction)
        common = tree
    if run:
        yield run


def proved(chain: bytes, verifier: Verifier, run: Sequence[Transaction]) -> list[bool]:
    """Return for each transaction of a run from `together` what `verify_transaction` says of it.

    Where all are good, each node of their tree is computed once and the signature is checked once, which takes half of
    the time that one after the other does; where one is not, they are looked at one by one.
    """
    if len(run) > 1 and _proved_together(chain, verifier, run):
        return [True] * len(run)
    return [_proved(chain, verifier, transaction) for transaction in run]


def _proved(chain: bytes, verifier: Verifier, transaction: Transaction) -> bool:
    first, *others = transaction.signatures
    if transaction.nonce < 1:
        return False
    if first.algorithm.endswith(_IN_TREE):
        return not others and _proved_in_tree(chain, verifier, transaction, first.algorithm.removesuffix(_IN_TREE))
    # The verifier knows which algorithms there are; a name that does not fit the key fails there.
    keys = (AlgorithmBytes(first.algorithm, transaction.client),)
    domain = Domain(chain, "transaction", 0, 0, transaction.nonce)
    content = _digest(transaction.client, transaction.payload)
    return verifier.valid(keys, domain, content, transaction.signatures)


def _tree(transaction: Transaction) -> tuple[bytes, bytes, str] | None:
    """Return what transactions of one tree have in common: client, height with signature, and algorithm."""
    first = transaction.signatures[0]
    if len(transaction.signatures) > 1 or not first.algorithm.endswith(_IN_TREE) or len(first.data) < _WAY.size:
        return None
    height = first.data[1:2]
    return transaction.client, height + first.data[_WAY.size + 32 * height[0] :], first.algorithm


def _proved_together(chain: bytes, verifier: Verifier, run: Sequence[Transaction]) -> bool:
    """Return whether the ways of all transactions of one tree lead to one root that their client signed.

    From the leaves up, a node's neighbour is the one computed from the leaves below it, or, where none of them is here,
    what one of the transactions says it is. Then each transaction's way has to be exactly those neighbours: computed
    for it alone it leads through the same nodes to the same root.
    """
    signature = run[0].signatures[0]
    height, client = signature.data[1], run[0].client
    end = _WAY.size + 32 * height
    says = {transaction.signatures[0].data[0]: transaction.signatures[0].data for transaction in run}
    if len(says) < len(run) or max(says) >> height or any(transaction.nonce < 1 for transaction in run):
        return False
    nodes = {
        transaction.signatures[0].data[0]: _leaf(chain, transaction.nonce, _digest(client, transaction.payload))
        for transaction in run
    }
    leaves, levels, sha256 = says, [], hashlib.sha256
    for at in range(_WAY.size, end, 32):
        for place in [place for place in nodes if place ^ 1 not in nodes]:
            nodes[place ^ 1] = says[place][at : at + 32]
        levels.append(nodes)
        # `_branch`, written out.
        nodes = {
            place >> 1: sha256(b"\x01" + node + nodes[place | 1]).digest()
            for place, node in nodes.items()
            if not place & 1
        }
        says = {place >> 1: data for place, data in says.items()}
    ways = {0: b""}
    for level in reversed(levels):
        ways = {place: level[place ^ 1] + ways[place >> 1] for place in level}
    if any(data[_WAY.size : end] != ways[place] for place, data in leaves.items()):
        return False
    algorithm = signature.algorithm.removesuffix(_IN_TREE)
    keys, signatures = (AlgorithmBytes(algorithm, client),), (AlgorithmBytes(algorithm, signature.data[end:]),)
    return verifier.valid(keys, _tree_domain(chain), nodes[0], signatures)


def _proved_in_tree(chain: bytes, verifier: Verifier, transaction: Transaction, algorithm: str) -> bool:
    """Return whether the transaction's way leads to a root that its client signed.

    Where ways meet, what is left of them is the same: a node from which one of them, with the same place, the same
    nodes beside it and the same signature, led to a signed root is proved for all that come to it. So of a tree of N
    transactions N - 1 branches are computed, and not N log N.
    """
    client, data = transaction.client, transaction.signatures[0].data
    if len(data) < _WAY.size:
        return False
    index, height = _WAY.unpack_from(data)
    end = _WAY.size + 32 * height
    # A place outside the tree is no other spelling of one inside it.
    if index >> height or len(data) <= end:
        return False
    node = _leaf(chain, transaction.nonce, _digest(client, transaction.payload))
    sha256, steps = hashlib.sha256, []
    for at in range(_WAY.size + 32, end + 32, 32):
        # `_branch`, written out: this is most of what a replica does for a transaction before it is ordered.
        beside = data[at - 32 : at]
        node = sha256(b"\x01" + (beside + node if index & 1 else node + beside)).digest()
        index >>= 1
        step = (algorithm, client, chain, node, index, end - at, data[at:])
        if step in verifier.proved:
            break
        steps.append(step)
    else:
        keys, signatures = (AlgorithmBytes(algorithm, client),), (AlgorithmBytes(algorithm, data[end:]),)
        if not verifier.valid(keys, _tree_domain(chain), node, signatures):
            return False
    verifier.remember_proved(steps)
    return True


def _digest(client: bytes, payload: bytes) -> bytes:
    return hashlib.sha256(client + payload).digest()


@lru_cache(maxsize=64)
def _tree_domain(chain: bytes) -> Domain:
    return Domain(chain, "transactions", 0, 0, 0)


@lru_cache(maxsize=64)
def _leaf_start(chain: bytes) -> bytes:
    """Return what a leaf's preimage has before its nonce."""
    return b"\x00" + Domain(chain, "transaction", 0, 0, 0).preimage(b"")[:-8]


def _leaf(chain: bytes, nonce: int, content: bytes) -> bytes:
    # `Domain(chain, "transaction", 0, 0, nonce).preimage(content)` after a zero byte.
    return hashlib.sha256(_leaf_start(chain) + nonce.to_bytes(8, "big") + content).digest()


def _branch(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
