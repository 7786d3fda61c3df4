"""The application's side of ABCI 2.0: one application, served to CometBFT's four connections over a socket.

Under PBFT the replica calls `Execution`; here CometBFT does, and the results are the same. State is kept as a snapshot
file written every so many blocks: CometBFT replays its own blocks after it, so nothing else has to be durable here.
The validators stay those of CometBFT's genesis: changes of membership that an application orders take effect under PBFT
only.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medward.ledger import encoding
from medward.ledger.certificates import snapshot_digests
from medward.ledger.cometbft.abci_messages import REQUEST, RESPONSE
from medward.ledger.cometbft.protobuf import MessageValue, decode, encode, varint
from medward.ledger.encoding import Count, Hash, Structure, digest
from medward.ledger.errors import InvalidSignature, LedgerError, NotCanonical, SnapshotMismatch
from medward.ledger.execution import Executed, Execution, StateSummary
from medward.ledger.signatures import Verifier
from medward.ledger.transactions import decode_transaction, verify_transaction
from medward.ledger.types import Application, Transaction, TxResult

MAX_REQUEST = 64 * 2**20
CHUNK = 2**16
_ACCEPT, _REJECT = 1, 2
_SNAPSHOT_ACCEPT, _SNAPSHOT_REJECT, _CHUNK_RETRY, _CHUNK_REJECT_SNAPSHOT = 1, 3, 3, 5
_FORMAT = 1
_KEPT = 2
_BAD_TRANSACTION = TxResult(2**31, b"")


class _Metadata(Structure, frozen=True):
    summary: StateSummary
    chunks: tuple[Hash, ...]


class _StoredSnapshot(Structure, frozen=True):
    summary: StateSummary
    data: bytes
    genesis_time: Count


class AbciApplication:
    """Answers CometBFT's requests for one application.

    Args:
        make_application: gives the application in its genesis state; called again when a snapshot has to be undone.
        chain: the chain id that transactions are signed for, 32 bytes.
        verifier: checks clients' signatures.
        folder: where the snapshot is kept.
        snapshot_interval: heights between snapshots.
        observe: called with every executed block, with CometBFT's own block hash.
    """

    def __init__(
        self,
        make_application: Callable[[], Application],
        chain: bytes,
        verifier: Verifier,
        *,
        folder: Path,
        snapshot_interval: int = 100,
        observe: Callable[[Executed, bytes], None] | None = None,
    ) -> None:
        self._make = make_application
        self._chain = chain
        self._verifier = verifier
        self._path = folder / "application.snapshot"
        self._interval = snapshot_interval
        self._observe = observe
        self._genesis_time = 0
        self.execution = Execution(make_application(), 0)
        self._offered: tuple[_Metadata, dict[int, bytes]] | None = None
        self._snapshots: dict[int, tuple[StateSummary, bytes]] = {}
        self._load()

    def answer(self, request: MessageValue) -> MessageValue:
        """Return the response to one request, both as {kind: message}."""
        kind, content = next((k, v) for k, v in request.items() if v is not None)
        handler: Callable[[MessageValue], MessageValue] = getattr(self, f"_on_{kind}")
        return {kind: handler(content)}

    def _on_echo(self, request: MessageValue) -> MessageValue:
        return {"message": request["message"]}

    def _on_flush(self, request: MessageValue) -> MessageValue:
        return {}

    def _on_info(self, request: MessageValue) -> MessageValue:
        height = self.execution.height
        app_hash = self.execution.summary.root if height else b""
        return {"data": "medward", "last_block_height": height, "last_block_app_hash": app_hash}

    def _on_init_chain(self, request: MessageValue) -> MessageValue:
        self._genesis_time = _milliseconds(request["time"])
        self.execution = Execution(self._make(), self._genesis_time)
        return {"app_hash": self.execution.summary.root}

    def _on_query(self, request: MessageValue) -> MessageValue:
        value = self.execution.application.query(request["path"])
        return {
            "code": 0 if value is not None else 1,
            "key": request["path"].encode(),
            "value": value or b"",
            "height": self.execution.height,
        }

    def _on_check_tx(self, request: MessageValue) -> MessageValue:
        transaction = self._decode(request["tx"])
        result = _BAD_TRANSACTION if transaction is None else self.execution.check(transaction)
        return {"code": min(result.code, 2**32 - 1), "data": result.data}

    def _on_prepare_proposal(self, request: MessageValue) -> MessageValue:
        chosen, size, seen = [], 0, set()
        for data in request["txs"]:
            transaction = self._decode(data)
            # Room for protobuf's own bytes around each transaction.
            if transaction is None or size + len(data) + 8 > request["max_tx_bytes"]:
                continue
            key = (transaction.client, transaction.nonce)
            if key not in seen and not self.execution.applied(*key):
                seen.add(key)
                chosen.append(data)
                size += len(data) + 8
        return {"txs": chosen}

    def _on_process_proposal(self, request: MessageValue) -> MessageValue:
        valid = all(self._decode(data) is not None for data in request["txs"])
        return {"status": _ACCEPT if valid else _REJECT}

    def _on_extend_vote(self, request: MessageValue) -> MessageValue:
        return {}

    def _on_verify_vote_extension(self, request: MessageValue) -> MessageValue:
        return {"status": _ACCEPT}

    def _on_finalize_block(self, request: MessageValue) -> MessageValue:
        decoded = [self._decode(data) for data in request["txs"]]
        present = [transaction for transaction in decoded if transaction is not None]
        executed = self.execution.execute(_milliseconds(request["time"]), present)
        if executed.summary.height != request["height"]:
            raise LedgerError(f"CometBFT sent height {request['height']} after {executed.summary.height - 1}")
        results = iter(executed.results)
        given = [_BAD_TRANSACTION if transaction is None else next(results) for transaction in decoded]
        if self._observe is not None:
            self._observe(executed, request["hash"])
        return {
            "tx_results": [{"code": min(result.code, 2**32 - 1), "data": result.data} for result in given],
            "app_hash": executed.summary.root,
        }

    def _on_commit(self, request: MessageValue) -> MessageValue:
        if self.execution.height % self._interval == 0:
            self._keep(self.execution.summary, self.execution.snapshot().encode())
        return {}

    def _on_list_snapshots(self, request: MessageValue) -> MessageValue:
        listed = []
        for height, (summary, data) in sorted(self._snapshots.items()):
            metadata = _Metadata(summary, snapshot_digests(data, CHUNK))
            listed.append(
                {
                    "height": height,
                    "format": _FORMAT,
                    "chunks": len(metadata.chunks),
                    "hash": digest(metadata),
                    "metadata": encoding.encode(metadata),
                }
            )
        return {"snapshots": listed}

    def _on_load_snapshot_chunk(self, request: MessageValue) -> MessageValue:
        if request["height"] not in self._snapshots:
            return {}
        start = request["chunk"] * CHUNK
        return {"chunk": self._snapshots[request["height"]][1][start : start + CHUNK]}

    def _on_offer_snapshot(self, request: MessageValue) -> MessageValue:
        """Take a snapshot only if its summary has the root that CometBFT's light client verified."""
        snapshot = request["snapshot"]
        try:
            metadata = encoding.decode(snapshot["metadata"], _Metadata)
        except NotCanonical:
            return {"result": _SNAPSHOT_REJECT}
        summary = metadata.summary
        right = (summary.root, summary.height) == (request["app_hash"], snapshot["height"])
        if not right or digest(metadata) != snapshot["hash"] or len(metadata.chunks) != snapshot["chunks"]:
            return {"result": _SNAPSHOT_REJECT}
        self._offered = (metadata, {})
        return {"result": _SNAPSHOT_ACCEPT}

    def _on_apply_snapshot_chunk(self, request: MessageValue) -> MessageValue:
        if self._offered is None:
            return {"result": _CHUNK_REJECT_SNAPSHOT}
        metadata, chunks = self._offered
        index, chunk = request["index"], request["chunk"]
        if index >= len(metadata.chunks) or hashlib.sha256(chunk).digest() != metadata.chunks[index]:
            return {"result": _CHUNK_RETRY, "refetch_chunks": [index], "reject_senders": [request["sender"]]}
        chunks[index] = chunk
        if len(chunks) < len(metadata.chunks):
            return {"result": _SNAPSHOT_ACCEPT}
        self._offered = None
        data = b"".join(chunks[i] for i in range(len(metadata.chunks)))
        fresh = Execution(self._make(), self._genesis_time)
        try:
            fresh.restore(data, metadata.summary.digest())
        except SnapshotMismatch:
            return {"result": _CHUNK_REJECT_SNAPSHOT}
        self.execution = fresh
        self._keep(metadata.summary, data)
        return {"result": _SNAPSHOT_ACCEPT}

    def _decode(self, data: bytes) -> Transaction | None:
        try:
            transaction = decode_transaction(data)
            verify_transaction(self._chain, self._verifier, transaction)
        except (NotCanonical, InvalidSignature):
            return None
        return transaction

    def _keep(self, summary: StateSummary, data: bytes) -> None:
        # CometBFT can use a snapshot only once two more blocks exist, so the one before the newest is kept as well.
        self._snapshots[summary.height] = (summary, data)
        for old in sorted(self._snapshots)[:-_KEPT]:
            del self._snapshots[old]
        stored = _StoredSnapshot(summary, data, self._genesis_time)
        part = self._path.with_suffix(".part")
        with open(part, "wb") as file:
            file.write(encoding.encode(stored))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)

    def _load(self) -> None:
        if not self._path.exists():
            return
        try:
            stored = encoding.decode(self._path.read_bytes(), _StoredSnapshot)
            execution = Execution(self._make(), stored.genesis_time)
            execution.restore(stored.data, stored.summary.digest())
        except (NotCanonical, SnapshotMismatch):
            return  # CometBFT replays all its blocks instead.
        self.execution, self._genesis_time = execution, stored.genesis_time
        self._snapshots[stored.summary.height] = (stored.summary, stored.data)


class AbciServer:
    """The socket that CometBFT calls; each message is protobuf with a varint length before it."""

    def __init__(self, application: AbciApplication) -> None:
        self._application = application
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, port: int) -> None:
        """Listen on loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=2**20)

    async def close(self) -> None:
        """Stop listening and hang up."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                request = decode(REQUEST, await read_message(reader))
                response = self._respond(request)
                data = encode(RESPONSE, response)
                writer.write(varint(len(data)) + data)
                if "flush" in response:
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError, NotCanonical, asyncio.CancelledError):
            # CometBFT hung up, or the process ends; it calls again after its own restart.
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    def _respond(self, request: MessageValue) -> dict[str, Any]:
        try:
            return self._application.answer(request)
        except (LedgerError, StopIteration, AttributeError) as error:
            return {"exception": {"error": str(error) or type(error).__name__}}


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """Return the next length-prefixed message.

    Raises:
        NotCanonical: it is over the limit.
    """
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
        if shift > 35:
            raise NotCanonical("the length of an ABCI message is too long")
    if length > MAX_REQUEST:
        raise NotCanonical(f"an ABCI message of {length} bytes is over the limit")
    return await reader.readexactly(length)


def _milliseconds(timestamp: MessageValue | None) -> int:
    if timestamp is None:
        return 0
    return max(0, int(timestamp["seconds"]) * 1000 + int(timestamp["nanos"]) // 1_000_000)
