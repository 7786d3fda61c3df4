"""CometBFT as an engine: the program, the application's socket, and JSON-RPC to hand transactions over."""

import asyncio
import base64
import http.client
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from medward.ledger.cometbft.light import timestamp
from medward.ledger.cometbft.process import CometProcess
from medward.ledger.cometbft.server import AbciApplication, AbciServer
from medward.ledger.errors import LedgerError, TransactionRefused
from medward.ledger.execution import Executed
from medward.ledger.signatures import ED25519, AlgorithmBytes, MemberVerifier
from medward.ledger.transactions import decode_transaction, encode_transaction
from medward.ledger.types import Application, Block, Engine, Member, Receipt, Transaction

_START_SECONDS = 60.0


class CometSettings(msgspec.Struct, frozen=True):
    """What one validator needs.

    Args:
        process: its program and folder, initialised and with a common genesis.
        peers: the others, id@host:port.
        chain: the chain id that clients sign for, 32 bytes.
        snapshot_interval: heights between snapshots of the application.
    """

    process: CometProcess
    peers: tuple[str, ...]
    chain: bytes
    snapshot_interval: int = 100

    @property
    def folder(self) -> Path:
        """Where the application's snapshot is kept."""
        return self.process.home


class CometEngine(Engine):
    """CometBFT with the application in this process.

    Args:
        settings: who this validator is.
        make_application: gives the application in its genesis state.
    """

    def __init__(self, settings: CometSettings, make_application: Callable[[], Application]) -> None:
        self._settings = settings
        self._waiting: dict[tuple[bytes, int], asyncio.Future[Receipt]] = {}
        self._grown = asyncio.Event()
        self.application = AbciApplication(
            make_application,
            settings.chain,
            MemberVerifier(),
            folder=settings.folder,
            snapshot_interval=settings.snapshot_interval,
            observe=self._observe,
        )
        self._server = AbciServer(self.application)

    async def start(self) -> None:
        """Serve the application and start the program; return once it answers."""
        await self._server.start(self._settings.process.ports.abci)
        self._settings.process.start(list(self._settings.peers))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        while loop.time() < deadline and self._settings.process.running:
            try:
                await self.call("health")
                return
            except LedgerError:
                await asyncio.sleep(0.1)
        log = (self._settings.process.home / "log").read_text()[-500:]
        raise LedgerError(f"CometBFT in {self._settings.process.home} does not answer; its log ends: {log}")

    async def stop(self) -> None:
        """Stop the program and the socket."""
        await self._settings.process.stop()
        await self._server.close()

    async def submit(self, transaction: Transaction) -> Receipt:
        """Return once this node's CometBFT has decided the block that holds the transaction, and it was applied."""
        encoded = encode_transaction(transaction)
        key = (transaction.client, transaction.nonce)
        known = self.application.execution.reply(*key)
        if known is not None:
            return known
        answered = self._waiting.get(key)
        if answered is None:
            answered = self._waiting[key] = asyncio.get_running_loop().create_future()
        reply = await self.call("broadcast_tx_sync", tx=base64.b64encode(encoded).decode())
        if int(reply["code"]):
            self._waiting.pop(key, None)
            code = int(reply["code"])
            raise TransactionRefused(f"the rules refuse transaction {transaction.nonce} with code {code}", code)
        # Whoever stops waiting may ask again for the same transaction.
        return await asyncio.shield(answered)

    async def query(self, path: str) -> bytes | None:
        """Return the value at `path` in this node's latest state."""
        return self.application.execution.application.query(path)

    async def blocks(self, first: int) -> AsyncIterator[Block]:
        """Yield every block from `first` on, as CometBFT stored it, waiting for new ones."""
        height = first
        while True:
            while self.application.execution.height < height:
                self._grown.clear()
                await self._grown.wait()
            yield await self.block(height)
            height += 1

    async def block(self, height: int) -> Block:
        """Return one stored block.

        Raises:
            LedgerError: this node has none at that height.
        """
        answer = await self.call("block", height=str(height))
        header, data = answer["block"]["header"], answer["block"]["data"]["txs"] or []
        time = timestamp(header["time"])
        milliseconds = time["seconds"] * 1000 + time["nanos"] // 1_000_000
        transactions = tuple(decode_transaction(base64.b64decode(item)) for item in data)
        return Block(height, milliseconds, transactions)

    @property
    def height(self) -> int:
        """The last height applied here."""
        return self.application.execution.height

    @property
    def members(self) -> Sequence[Member]:
        """The validators of the genesis."""
        genesis = json.loads((self._settings.folder / "config" / "genesis.json").read_text())
        return [
            Member(v["name"], 0, (AlgorithmBytes(ED25519, base64.b64decode(v["pub_key"]["value"])),), b"", "")
            for v in genesis["validators"]
        ]

    async def call(self, method: str, **parameters: str) -> Mapping[str, Any]:
        """Call the node's JSON-RPC.

        Raises:
            LedgerError: it does not answer, or answers with an error.
        """
        return await asyncio.to_thread(_call, self._settings.process.ports.rpc, method, parameters)

    def _observe(self, executed: Executed, _: bytes) -> None:
        for transaction, receipt in executed.replies:
            answered = self._waiting.pop((transaction.client, transaction.nonce), None)
            if answered is not None and not answered.done():
                answered.set_result(receipt)
        self._grown.set()


def _call(port: int, method: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise LedgerError(f"CometBFT's RPC on port {port} does not answer: {error}") from error
    finally:
        connection.close()
    if "error" in answer:
        raise LedgerError(f"CometBFT refuses {method}: {answer['error'].get('data') or answer['error']['message']}")
    result: Mapping[str, Any] = answer["result"]
    return result
