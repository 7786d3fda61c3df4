"""Verifying CometBFT's blocks alone: header hash, commit signatures, power of more than two thirds.

Follows CometBFT's spec/core/data_structures.md (header hash, canonical vote, RFC 6962 trees). What comes in is the JSON
of the RPC's `commit` and `validators` answers, which may come from anybody.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography import exceptions
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from medward.ledger.cometbft.abci_messages import PUBLIC_KEY, TIMESTAMP
from medward.ledger.cometbft.protobuf import encode, table, varint
from medward.ledger.errors import InvalidCertificate, NotCanonical

_PART_SET = table(total=(1, "int"), hash=(2, "bytes"))
_BLOCK_ID = table(hash=(1, "bytes"), part_set_header=(2, _PART_SET, "always"))
_VERSION = table(block=(1, "int"), app=(2, "int"))
_VOTE = table(
    type=(1, "int"),
    height=(2, "sfixed64"),
    round=(3, "sfixed64"),
    block_id=(4, _BLOCK_ID),
    timestamp=(5, TIMESTAMP, "always"),
    chain_id=(6, "text"),
)
_VALIDATOR = table(pub_key=(1, PUBLIC_KEY, "always"), voting_power=(2, "int"))
_PRECOMMIT, _FLAG_COMMIT = 2, 2
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")


def verify_commit(
    signed_header: Mapping[str, Any], validators: Sequence[Mapping[str, Any]], chain_id: str
) -> tuple[int, bytes]:
    """Check a signed header against the validators it names; return its height and the app_hash that it certifies.

    The app_hash is the state after the height before. That these are the right validators is for the caller to know:
    from the genesis, or from `next_validators_hash` of a header verified before.

    Args:
        signed_header: {"header": ..., "commit": ...} as the RPC gives them.
        validators: the validator set as the RPC gives it, complete and in its order.
        chain_id: CometBFT's name of the chain.

    Raises:
        InvalidCertificate: the header is not certified by more than two thirds of the voting power.
    """
    try:
        header, commit = signed_header["header"], signed_header["commit"]
        height, hashed = int(header["height"]), header_hash(header)
        named = bytes.fromhex(commit["block_id"]["hash"])
        if header["chain_id"] != chain_id or int(commit["height"]) != height or named != hashed:
            raise InvalidCertificate(f"the commit is not for this header at height {height}")
        if validators_hash(validators) != bytes.fromhex(header["validators_hash"]):
            raise InvalidCertificate(f"these are not the validators of height {height}")
        power = sum(int(validator["voting_power"]) for validator in validators)
        signed = _signed_power(commit, validators, chain_id)
        app_hash = bytes.fromhex(header["app_hash"])
    except (KeyError, ValueError, TypeError, AttributeError, NotCanonical) as error:
        raise InvalidCertificate(f"the signed header is malformed: {error!r}") from error
    if 3 * signed <= 2 * power:
        raise InvalidCertificate(f"{signed} of {power} voting power signed height {height}: not more than two thirds")
    return height, app_hash


def _signed_power(commit: Mapping[str, Any], validators: Sequence[Mapping[str, Any]], chain_id: str) -> int:
    signed, counted = 0, set()
    by_address = {validator["address"]: validator for validator in validators}
    for signature in commit["signatures"]:
        if int(signature["block_id_flag"]) != _FLAG_COMMIT:
            continue
        address = signature["validator_address"]
        validator = by_address.get(address)
        if validator is None or address in counted:
            raise InvalidCertificate(f"{address} is no validator of this height, or is counted twice")
        key = _key(validator)
        if hashlib.sha256(key).digest()[:20] != bytes.fromhex(address):
            raise InvalidCertificate(f"the key of {address} is not its own")
        message = _vote_bytes(commit, signature["timestamp"], chain_id)
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(signature["signature"]), message)
        except exceptions.InvalidSignature:
            raise InvalidCertificate(f"the commit of {address} does not verify") from None
        counted.add(address)
        signed += int(validator["voting_power"])
    return signed


def header_hash(header: Mapping[str, Any]) -> bytes:
    """Return the Merkle root over the header's fields."""
    version = header["version"]
    text = table(value=(1, "text"))
    number = table(value=(1, "int"))
    raw = table(value=(1, "bytes"))
    leaves = [
        encode(_VERSION, {"block": int(version["block"]), "app": int(version.get("app", 0))}),
        encode(text, {"value": header["chain_id"]}),
        encode(number, {"value": int(header["height"])}),
        encode(TIMESTAMP, timestamp(header["time"])),
        encode(_BLOCK_ID, _block_id(header["last_block_id"])),
    ]
    names = (
        "last_commit_hash", "data_hash", "validators_hash", "next_validators_hash", "consensus_hash", "app_hash",
        "last_results_hash", "evidence_hash", "proposer_address",
    )  # fmt: skip
    return merkle_root(leaves + [encode(raw, {"value": bytes.fromhex(header[name])}) for name in names])


def validators_hash(validators: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the Merkle root over the validators' keys and powers, in their order."""
    return merkle_root(
        [
            encode(_VALIDATOR, {"pub_key": {"ed25519": _key(v)}, "voting_power": int(v["voting_power"])})
            for v in validators
        ]
    )


def genesis_validators(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a genesis document's validators as the RPC gives them: by power, then by address."""
    found = [{**validator, "voting_power": validator["power"]} for validator in document["validators"]]
    return sorted(found, key=lambda validator: (-int(validator["voting_power"]), validator["address"]))


def data_hash(transactions: Sequence[bytes]) -> str:
    """Return what a header names its transactions by."""
    return merkle_root([hashlib.sha256(one).digest() for one in transactions]).hex().upper()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root of RFC 6962, 2.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + merkle_root(leaves[:split]) + merkle_root(leaves[split:])).digest()


def timestamp(text: str) -> dict[str, int]:
    """Return seconds and nanoseconds of an RFC 3339 time in UTC."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is no time in UTC")
    seconds = int(datetime.fromisoformat(match[1]).replace(tzinfo=UTC).timestamp())
    return {"seconds": seconds, "nanos": int((match[2] or "0").ljust(9, "0"))}


def _block_id(value: Mapping[str, Any]) -> dict[str, Any]:
    parts = value["parts"]
    return {
        "hash": bytes.fromhex(value["hash"]),
        "part_set_header": {"total": int(parts["total"]), "hash": bytes.fromhex(parts["hash"])},
    }


def _vote_bytes(commit: Mapping[str, Any], time: str, chain_id: str) -> bytes:
    vote = {
        "type": _PRECOMMIT,
        "height": int(commit["height"]),
        "round": int(commit["round"]),
        "block_id": _block_id(commit["block_id"]),
        "timestamp": timestamp(time),
        "chain_id": chain_id,
    }
    data = encode(_VOTE, vote)
    return varint(len(data)) + data


def _key(validator: Mapping[str, Any]) -> bytes:
    return base64.b64decode(validator["pub_key"]["value"])
