"""Making and checking transactions: the client's signature and the one encoding."""

import hashlib

from medward.ledger.encoding import decode, encode
from medward.ledger.errors import InvalidSignature, NotCanonical
from medward.ledger.signatures import AlgorithmBytes, Domain, Signer, Verifier
from medward.ledger.types import MAX_TRANSACTION_BYTES, Transaction


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
    return decode(data, Transaction)


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


def verify_transaction(chain: bytes, verifier: Verifier, transaction: Transaction) -> None:
    """Check the client's signature.

    Raises:
        InvalidSignature: it does not verify under the client's own key.
    """
    # The verifier knows which algorithms there are; a name that does not fit the key fails there.
    keys = (AlgorithmBytes(transaction.signatures[0].algorithm, transaction.client),)
    domain = Domain(chain, "transaction", 0, 0, transaction.nonce)
    content = _digest(transaction.client, transaction.payload)
    if transaction.nonce < 1 or not verifier.valid(keys, domain, content, transaction.signatures):
        raise InvalidSignature(f"transaction {transaction.nonce} is not signed by its client")


def _digest(client: bytes, payload: bytes) -> bytes:
    return hashlib.sha256(client + payload).digest()
