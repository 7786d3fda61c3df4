"""CometBFT's blocks verified alone: nothing but more than two thirds of the right validators certifies a header."""

import base64
import copy
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from medward.ledger.cometbft import light
from medward.ledger.cometbft.light import (
    data_hash,
    genesis_validators,
    header_hash,
    merkle_root,
    timestamp,
    verify_commit,
)
from medward.ledger.errors import InvalidCertificate

CHAIN, TIME = "chain", "2024-01-01T00:00:00.5Z"
Json = dict[str, Any]


class Validators:
    """Validators with their keys, in the order of their powers and addresses."""

    def __init__(self, *powers: int) -> None:
        keys = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(len(powers))]
        found = []
        for key, power in zip(keys, powers, strict=True):
            public = key.public_key().public_bytes_raw()
            address = hashlib.sha256(public).digest()[:20].hex().upper()
            shown = {"type": "tendermint/PubKeyEd25519", "value": base64.b64encode(public).decode()}
            found.append(({"address": address, "pub_key": shown, "power": str(power)}, key))
        self.keys = {one["address"]: key for one, key in found}
        self.shown = genesis_validators({"validators": [one for one, _ in found]})

    def header(self, **changes: Any) -> Json:
        empty = merkle_root([]).hex().upper()
        names = (
            "last_commit_hash",
            "data_hash",
            "next_validators_hash",
            "consensus_hash",
            "last_results_hash",
            "evidence_hash",
        )
        return {
            "version": {"block": "11"}, "chain_id": CHAIN, "height": "7", "time": TIME,
            "last_block_id": {"hash": "", "parts": {"total": 0, "hash": ""}},
            **dict.fromkeys(names, empty), "app_hash": "AB" * 32, "proposer_address": self.shown[0]["address"],
            "validators_hash": light.validators_hash(self.shown).hex().upper(), **changes,
        }  # fmt: skip

    def signed(self, *signers: int, chain: str = CHAIN, **changes: Any) -> Json:
        """Return a header with the commit of these validators."""
        header = self.header(**changes)
        named = {"hash": header_hash(header).hex().upper(), "parts": {"total": 1, "hash": "00" * 32}}
        commit: Json = {"height": header["height"], "round": 0, "block_id": named, "signatures": []}
        for place in signers:
            address = self.shown[place]["address"]
            message = light._vote_bytes(commit, TIME, chain)
            signature = base64.b64encode(self.keys[address].sign(message)).decode()
            commit["signatures"].append(
                {"block_id_flag": 2, "validator_address": address, "timestamp": TIME, "signature": signature}
            )
        return {"header": header, "commit": commit}


FOUR = Validators(10, 10, 10, 10)


def test_more_than_two_thirds_certify_and_exactly_two_thirds_do_not() -> None:
    assert verify_commit(FOUR.signed(0, 1, 2), FOUR.shown, CHAIN) == (7, bytes.fromhex("AB" * 32))
    with pytest.raises(InvalidCertificate, match="20 of 40 voting power"):
        verify_commit(FOUR.signed(0, 1), FOUR.shown, CHAIN)
    three = Validators(1, 1, 1)
    with pytest.raises(InvalidCertificate, match="2 of 3 voting power"):
        verify_commit(three.signed(0, 1), three.shown, CHAIN)
    weighty = Validators(7, 1, 1, 1)
    assert verify_commit(weighty.signed(0), weighty.shown, CHAIN)[0] == 7


@pytest.mark.parametrize("power", [2**64 + 10, 10 - 2**64, 2**128 + 10])
def test_power_that_hashes_as_another_gives_one_liar_no_majority(power: int) -> None:
    shown = copy.deepcopy(FOUR.shown)
    shown[0]["voting_power"] = str(power)
    with pytest.raises(InvalidCertificate):
        verify_commit(FOUR.signed(0), shown, CHAIN)
    shown[0]["voting_power"], shown[1]["voting_power"] = "10", str(-power)
    with pytest.raises(InvalidCertificate):
        verify_commit(FOUR.signed(0), shown, CHAIN)


ALTERATIONS: dict[str, Callable[[Json], object]] = {
    "a vote counted twice": lambda one: one["commit"]["signatures"].append(one["commit"]["signatures"][0]),
    "an altered state": lambda one: one["header"].update(app_hash="AC" * 32),
    "an altered height": lambda one: one["header"].update(height="8"),
    "both heights": lambda one: (one["header"].update(height="8"), one["commit"].update(height="8")),
    "a height that hashes as another": lambda one: (
        one["header"].update(height=str(2**64 + 7)),
        one["commit"].update(height=str(2**64 + 7)),
    ),
    "a round without end": lambda one: one["commit"].update(round=2**64),
    "another round": lambda one: one["commit"].update(round=1),
    "another block": lambda one: one["commit"]["block_id"].update(hash="00" * 32),
    "other parts": lambda one: one["commit"]["block_id"]["parts"].update(total=2),
    "another time of a vote": lambda one: one["commit"]["signatures"][0].update(timestamp="2024-01-01T00:00:01Z"),
    "no time": lambda one: one["commit"]["signatures"][0].update(timestamp="yesterday"),
    "a vote for nil": lambda one: one["commit"]["signatures"][0].update(block_id_flag=3),
    "a stranger's vote": lambda one: one["commit"]["signatures"][0].update(validator_address="00" * 20),
    "no signature": lambda one: one["commit"]["signatures"][0].update(signature=None),
    "a cut signature": lambda one: one["commit"]["signatures"][0].update(signature="AAAA"),
    "no header": lambda one: one.pop("header"),
    "no commit": lambda one: one.update(commit=None),
    "no votes": lambda one: one["commit"].pop("signatures"),
    "a list for a header": lambda one: one.update(header=[]),
    "no hexadecimal": lambda one: one["header"].update(data_hash="xyz"),
    "a number for a hash": lambda one: one["header"].update(data_hash=5),
    "a time that is none": lambda one: one["header"].update(time="2024-13-01T00:00:00Z"),
    "a long chain id": lambda one: one["header"].update(chain_id=["chain"]),
    "a version without end": lambda one: one["header"].update(version={"block": str(2**70)}),
}  # fmt: skip


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_altered_commit_proves_nothing_and_is_said_in_one_sentence(alteration: str) -> None:
    signed = FOUR.signed(0, 1, 2)
    verify_commit(signed, FOUR.shown, CHAIN)
    ALTERATIONS[alteration](signed)
    with pytest.raises(InvalidCertificate):
        verify_commit(signed, FOUR.shown, CHAIN)


def test_commit_of_another_chain_or_of_other_validators_proves_nothing() -> None:
    with pytest.raises(InvalidCertificate, match="does not verify"):
        verify_commit(FOUR.signed(0, 1, 2, chain="other"), FOUR.shown, CHAIN)
    with pytest.raises(InvalidCertificate, match="not for this header"):
        verify_commit(FOUR.signed(0, 1, 2), FOUR.shown, "other")
    for others in (FOUR.shown[:3], FOUR.shown[::-1], [*FOUR.shown, FOUR.shown[0]], Validators(9, 10, 10, 10).shown, []):
        with pytest.raises(InvalidCertificate):
            verify_commit(FOUR.signed(0, 1, 2), others, CHAIN)
    renamed = copy.deepcopy(FOUR.shown)
    renamed[0]["address"], renamed[1]["address"] = renamed[1]["address"], renamed[0]["address"]
    with pytest.raises(InvalidCertificate):
        verify_commit(FOUR.signed(0, 1, 2), renamed, CHAIN)


def test_trees_are_those_of_rfc_6962() -> None:
    """The roots of the tests of Certificate Transparency (merkle_tree_test.cc): no leaf, one, two, and seven."""
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    roots = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    }
    for count, root in roots.items():
        assert merkle_root([bytes.fromhex(leaf) for leaf in leaves[:count]]).hex() == root


@given(st.lists(st.binary(max_size=5), max_size=9), st.lists(st.binary(max_size=5), max_size=9))
def test_other_transactions_have_another_name(one: list[bytes], other: list[bytes]) -> None:
    assert (data_hash(one) == data_hash(other)) == (one == other)


def test_times_are_read_to_the_nanosecond() -> None:
    assert timestamp("1970-01-01T00:00:01.000000002Z") == {"seconds": 1, "nanos": 2}
    assert timestamp("1970-01-01T00:00:01.5Z") == {"seconds": 1, "nanos": 500_000_000}
    for wrong in (
        "1970-01-01",
        "1970-01-01T00:00:00+01:00",
        "1970-01-01T00:00:00.1234567890Z",
        "1970-02-30T00:00:00Z",
        "",
    ):
        with pytest.raises(ValueError, match=r".*"):
            timestamp(wrong)
