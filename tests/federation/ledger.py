"""A federation of four on its application, without a ledger's machines: each call orders one block."""

from dataclasses import dataclass

from medward.federation.application import (
    FederationApplication,
)
from medward.federation.records import (
    Next,
    Record,
    encode_record,
)
from medward.federation.rules import Agreement
from medward.ledger.encoding import encode
from medward.ledger.signatures import AlgorithmBytes
from medward.ledger.types import Applied, Block, Member, Transaction

NAMES = ("a", "b", "c", "d")


AGREEMENT = Agreement(
    *("test", NAMES, {name: name.encode() * 32 for name in NAMES}, 10.0),
    protect="none", bits=16, plan="plan", model="model-0", first=Next("train", 1, 3),
)  # fmt: skip


@dataclass
class Ledger:
    """Feeds an application one block after another, each of an epoch of its own unless one is set."""

    application: FederationApplication
    height: int = 0
    nonce: int = 0
    epoch: int | None = None

    def order(self, *said: tuple[str, Record | bytes], time: float = 1.0) -> Applied:
        transactions = []
        for author, record in said:
            self.nonce += 1
            payload = record if isinstance(record, bytes) else encode_record(record)
            account = (author.encode() * 32)[:32]
            transactions.append(Transaction(account, self.nonce, payload, (AlgorithmBytes("none", b""),)))
        self.height += 1
        epoch = self.height if self.epoch is None else self.epoch
        return self.application.apply(Block(self.height, int(time * 1000), tuple(transactions), epoch))

    def codes(self, *said: tuple[str, Record | bytes], time: float = 1.0) -> list[int]:
        return [result.code for result in self.order(*said, time=time).results]


def replica(name: str, key: str | None = None) -> bytes:
    keys = (AlgorithmBytes("ed25519", (key or name).encode() * 32),)
    return encode(Member(name, 0, keys, b"", "127.0.0.1:1"))
