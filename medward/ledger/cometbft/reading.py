"""Reading the disk of a stopped validator from a copy, by its own program (`cometbft inspect`).

Nothing of it is believed here: whoever reads on verifies each block from the genesis (light.py). A block that the
program cannot read is told with its height.
"""

import base64
import binascii
import http.client
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medward.ledger.errors import LedgerError

_DATABASES = ("blockstore.db",)
_CONFIGURATION = '[tx_index]\nindexer = "null"\n'
_START_SECONDS = 60.0


@dataclass(frozen=True)
class StoredBlock:
    """A block as a validator has it; every part in the JSON of CometBFT's RPC.

    Args:
        header: as it stands in the block.
        transactions: in their order.
        last_commit: for the block before.
        signed_header: the header as it is kept beside the block, and the commit for it.
        evidence: of validators that signed two blocks.
    """

    header: Mapping[str, Any]
    transactions: tuple[bytes, ...]
    last_commit: Mapping[str, Any]
    signed_header: Mapping[str, Any]
    evidence: tuple[Mapping[str, Any], ...]


@dataclass
class StoredChain:
    """What a validator has.

    Args:
        last: the last height that it says it has.
        blocks: by height.
        damage: why a block cannot be read, by height.
    """

    last: int = 0
    blocks: dict[int, StoredBlock] = field(default_factory=dict)
    damage: dict[int, str] = field(default_factory=dict)


def read_chain(program: Path, home: Path, port: int) -> StoredChain:
    """Read all blocks of a validator that does not run; its folder is not changed.

    Args:
        program: CometBFT.
        home: its folder.
        port: a free port on loopback.

    Raises:
        LedgerError: it has no blocks, or they cannot be opened.
    """
    chain = StoredChain()
    with _inspected(program, home, port) as call:
        chain.last = int(call("blockchain")["last_height"])
        for height in range(1, chain.last + 1):
            try:
                chain.blocks[height] = _read_block(call, height)
            except LedgerError as error:
                chain.damage[height] = str(error)
    return chain


def _read_block(call: Callable[..., Mapping[str, Any]], height: int) -> StoredBlock:
    try:
        block = call("block", height=str(height))["block"]
        data = tuple(base64.b64decode(item, validate=True) for item in block["data"]["txs"] or ())
        signed = call("commit", height=str(height))["signed_header"]
        evidence = tuple(block["evidence"]["evidence"] or ())
        return StoredBlock(block["header"], data, block["last_commit"], signed, evidence)
    except (KeyError, TypeError, binascii.Error) as error:
        raise LedgerError(f"CometBFT's block {height} lacks a part: {error!r}") from error


@contextmanager
def _inspected(program: Path, home: Path, port: int) -> Iterator[Callable[..., Mapping[str, Any]]]:
    """Have the program serve a copy of a validator's blocks."""
    with tempfile.TemporaryDirectory(prefix="medward-comet-") as name:
        copy = Path(name)
        (copy / "config").mkdir()
        (copy / "config" / "config.toml").write_text(_CONFIGURATION)
        try:
            shutil.copy(home / "config" / "genesis.json", copy / "config")
            for database in _DATABASES:
                shutil.copytree(home / "data" / database, copy / "data" / database)
        except OSError as error:
            raise LedgerError(f"{home} holds no blocks of CometBFT: {error}") from error
        log = copy / "log"
        with log.open("wb") as output:
            command = [str(program), "inspect", "--home", str(copy), "--rpc.laddr", f"tcp://127.0.0.1:{port}"]
            process = subprocess.Popen(command, stdout=output, stderr=output)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            _wait(process, connection, log)
            yield lambda method, **parameters: _call(connection, method, parameters)
        finally:
            connection.close()
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", connection: http.client.HTTPConnection, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            connection.connect()
            return
        except OSError:
            time.sleep(0.05)
    raise LedgerError(f"CometBFT cannot open its blocks: {log.read_text(errors='replace')[-300:].strip()}")


def _call(connection: http.client.HTTPConnection, method: str, parameters: Mapping[str, str]) -> Mapping[str, Any]:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        # A block that does not decode makes the program break off its answer.
        connection.close()
        raise LedgerError(f"CometBFT cannot read it: {error or type(error).__name__}") from error
    if "error" in answer:
        raise LedgerError(f"CometBFT cannot read it: {answer['error'].get('data') or answer['error']['message']}")
    result: Mapping[str, Any] = answer["result"]
    return result
