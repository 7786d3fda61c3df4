"""The configuration of a private Kubo: nobody outside the swarm is asked, and nothing of the original is changed."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.store.errors import StoreError
from medward.store.kubo.configuration import check_swarm_key, new_swarm_key, private_configuration

ORIGINAL = {
    "Identity": {"PeerID": "12D3", "PrivKey": "secret"},
    "Bootstrap": ["/dnsaddr/bootstrap.libp2p.io"],
    "Addresses": {"Swarm": ["/ip4/0.0.0.0/tcp/4001"], "API": "/ip4/0.0.0.0/tcp/5001"},
    "Swarm": {"ConnMgr": {"HighWater": 9}},
    "Datastore": {
        "Spec": {
            "type": "mount",
            "mounts": [
                {"type": "measure", "child": {"type": "flatfs", "sync": False}},
                {"type": "flatfs", "sync": False},
                {"child": {"type": "levelds"}},
            ],
        }
    },
}


def test_private_daemon_asks_nobody_and_listens_on_loopback() -> None:
    before = copy.deepcopy(ORIGINAL)
    made = private_configuration(ORIGINAL, "/ip4/10.0.0.1/tcp/4001", "t0ken")
    assert before == ORIGINAL
    assert made["Addresses"]["Swarm"] == ["/ip4/10.0.0.1/tcp/4001"]
    assert made["Addresses"]["API"].startswith("/ip4/127.0.0.1/")
    assert made["Addresses"]["Gateway"].startswith("/ip4/127.0.0.1/")
    assert (made["Bootstrap"], made["Routing"]["Type"]) == ([], "none")
    assert "libp2p.io" not in json.dumps(made)
    assert made["API"]["Authorizations"]["medward"]["AuthSecret"] == "bearer:t0ken"
    assert made["Identity"] == ORIGINAL["Identity"]
    assert made["Swarm"]["ConnMgr"] == {"HighWater": 9}


def test_every_store_of_blocks_flushes_to_disk() -> None:
    mounts = private_configuration(ORIGINAL, "/ip4/127.0.0.1/tcp/0", "t")["Datastore"]["Spec"]["mounts"]
    assert mounts[0]["child"]["sync"] is True
    assert mounts[1]["sync"] is True
    assert "sync" not in mounts[2]["child"]
    assert private_configuration({}, "/ip4/127.0.0.1/tcp/0", "t")["Bootstrap"] == []


def test_fresh_key_is_one_and_no_two_are_alike() -> None:
    keys = {check_swarm_key(new_swarm_key()) for _ in range(8)}
    assert len(keys) == 8


@given(st.text(max_size=120))
def test_other_text_is_no_key_and_is_not_repeated(text: str) -> None:
    with pytest.raises(StoreError) as caught:
        check_swarm_key(text)
    assert len(text) < 3 or text.strip() not in str(caught.value) or text.strip() in "the swarm key is malformed"


@pytest.mark.parametrize("change", [(64, 63), (64, 65)])
def test_key_of_another_length_is_refused(change: tuple[int, int]) -> None:
    key = new_swarm_key().strip()
    digits = key[-64:]
    other = key[:-64] + (digits * 2)[: change[1]]
    with pytest.raises(StoreError, match="malformed"):
        check_swarm_key(other)
