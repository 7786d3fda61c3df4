"""Frames that are almost messages: a corpus of one of each kind, and what becomes of it under small damage.

The corpus is committed, so a failure found once is found again; `python -m tests.ledger.test_frames` writes it anew
after a change of the protocol.
"""

import json
from pathlib import Path
from random import Random
from typing import get_args

import pytest

from medward.ledger.bank import Deposit
from medward.ledger.encoding import decode_form, encode
from medward.ledger.errors import NotCanonical
from medward.ledger.pbft.client_protocol import (
    ClientMessage,
    GetBlock,
    GetStatus,
    Receipts,
    Refusal,
    ServerMessage,
    StateQuery,
    SubmitTransactions,
    WatchTransactions,
)
from medward.ledger.pbft.effects import Received
from medward.ledger.pbft.messages import Message, decode_message, encode_message
from medward.ledger.types import Receipt, TxResult
from tests.ledger.simulator.world import World

CORPUS = Path(__file__).parent / "vectors" / "frames.json"
FRAMES = {name: bytes.fromhex(data) for name, data in json.loads(CORPUS.read_text()).items()} if CORPUS.exists() else {}
PEER_KINDS = {kind.__name__ for kind in get_args(Message)}
DAMAGES = 150


class Recording(World):
    """A world that keeps one frame of every kind that its replicas send, the longest below 4 KiB."""

    def __init__(self, seed: int) -> None:
        self.frames: dict[str, bytes] = {}
        super().__init__(seed, 4)

    def send(self, node, to, message):
        data, name = encode_message(message), type(message).__name__
        if len(self.frames.get(name, b"")) < len(data) <= 4096 or name not in self.frames:
            self.frames[name] = data
        super().send(node, to, message)


def make_corpus() -> dict[str, bytes]:
    """Live through a lost batch, a dead leader, a replica far behind and an emptied disk."""
    world = Recording(5)
    for index in range(3):
        client = world.add_client(f"client-{index}", [Deposit("a", 1) for _ in range(60)])
        world.at(1, lambda client=client: world.issue(client))
    world.network.loss = 0.15
    world.run(3_000)
    world.crash(world.nodes["h00"])
    world.run(12_000)
    world.restart(world.nodes["h00"])
    world.network.loss = 0.0
    world.crash(world.nodes["h03"])
    world.nodes["h03"].disk.lose_everything()
    world.run(60_000)
    world.restart(world.nodes["h03"])
    world.run(90_000)
    client = bytes(range(32))
    frames = dict(world.frames)
    frames["client Submit"] = encode(SubmitTransactions((b"first", b"second")))
    frames["client Watch"] = encode(WatchTransactions(client, 3, 2))
    frames["client Query"] = encode(StateQuery("account/a"))
    frames["client GetBlock"] = encode(GetBlock(7))
    frames["client GetStatus"] = encode(GetStatus())
    frames["server Answer"] = encode(
        Receipts(client, ((Receipt(3, TxResult(0, b"x")), (1, 4)), (Receipt(3, TxResult(5, b"")), (2,))))
    )
    frames["server Refusal"] = encode(Refusal(client, 4, TxResult(9, b""), "too many"))
    return frames


def form(name: str) -> object:
    return {"client": ClientMessage, "server": ServerMessage}.get(name.split(maxsplit=1)[0], Message)


def damaged(random: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice([1, 1, 1, 2, 5])):
        at = random.randrange(len(changed) + 1)
        kind = random.random()
        if kind < 0.4 and at < len(changed):
            changed[at] ^= 1 << random.randrange(8)
        elif kind < 0.6 and at < len(changed):
            changed[at] = random.choice([0x00, 0x18, 0x40, 0x58, 0x5F, 0x80, 0x9F, 0xA0, 0xC2, 0xD8, 0xF6, 0xFB, 0xFF])
        elif kind < 0.75:
            del changed[at : at + random.randint(1, 40)]
        elif kind < 0.9:
            changed[at:at] = random.randbytes(random.randint(1, 12))
        else:
            start = random.randrange(len(changed) + 1)
            changed[at:at] = changed[start : start + random.randint(1, 80)]
        if not changed:
            return b""
    return bytes(changed)


def test_the_corpus_has_a_frame_of_every_kind_and_all_decode():
    assert set(FRAMES) >= PEER_KINDS
    for name, data in FRAMES.items():
        assert encode(decode_form(data, form(name))) == data


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_a_damaged_frame_is_refused_or_is_exactly_what_it_says(name):
    random, refused = Random(name), 0
    for _ in range(DAMAGES):
        data = damaged(random, FRAMES[name])
        try:
            message = decode_form(data, form(name))
        except NotCanonical:
            refused += 1
            continue
        assert encode(message) == data
    assert refused > DAMAGES // 20


def test_a_replica_survives_whatever_damaged_frames_decode_to():
    world, random = World(6, 4), Random(6)
    client = world.add_client("client", [Deposit("a", 1) for _ in range(40)])
    world.issue(client)
    world.run(2_000)
    node, stepped = world.nodes["h02"], 0
    for name in sorted(PEER_KINDS):
        for _ in range(DAMAGES):
            try:
                message = decode_message(damaged(random, FRAMES[name]))
            except NotCanonical:
                continue
            stepped += 1
            world.step(node, Received(random.choice(["h00", "h01", "h03"]), message))
    assert stepped > 100
    assert node.replica is not None
    assert node.replica.halted is None
    assert world.run(world.now + 60_000, world.converged)


if __name__ == "__main__":
    written = {name: data.hex() for name, data in sorted(make_corpus().items())}
    CORPUS.write_text(json.dumps(written, indent=1) + "\n")
    missing = PEER_KINDS - set(written)
    print(f"{len(written)} frames, {sum(map(len, written.values())) // 2} bytes; missing: {sorted(missing)}")
