"""A stopped validator's blocks, read by a program in the place of CometBFT whose answers are those of a test."""

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from medward.ledger.cometbft.reading import StoredBlock, StoredChain, read_chain
from medward.ledger.errors import LedgerError

Json = dict[str, Any]
#: Runs until it is ended, as the program does, and writes down what it was given.
RUNS = '#!/bin/sh\necho "$@" > "$0.arguments"\nls "$3" "$3/data" > "$0.files"\nexec sleep 60\n'
ENDS = "#!/bin/sh\necho the blocks are of a later version\nexit 1\n"


def program(folder: Path, script: str) -> Path:
    file = folder / "cometbft"
    file.write_text(script)
    file.chmod(0o755)
    return file


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A validator's folder."""
    made = tmp_path / "home"
    (made / "config").mkdir(parents=True)
    (made / "config" / "genesis.json").write_text("{}")
    (made / "data" / "blockstore.db").mkdir(parents=True)
    (made / "data" / "blockstore.db" / "000001.log").write_bytes(b"blocks")
    (made / "data" / "priv_validator_state.json").write_text("{}")
    return made


def block(height: int, *transactions: bytes) -> Json:
    data = [base64.b64encode(one).decode() for one in transactions] or None
    return {
        "header": {"height": str(height)},
        "data": {"txs": data},
        "last_commit": {"height": str(height - 1)},
        "evidence": {"evidence": None},
    }


class Blocks:
    """What is stored, and how it is told."""

    def __init__(self) -> None:
        self.blocks: dict[str, Any] = {}
        self.last = "0"
        self.raw: dict[str, bytes] = {}

    def answer(self, method: str, height: str) -> bytes:
        if method == "blockchain":
            return json.dumps({"result": {"last_height": self.last}}).encode()
        if height in self.raw:
            return self.raw[height]
        if height not in self.blocks:
            return json.dumps({"error": {"code": 1, "message": "Internal error", "data": f"no {height}"}}).encode()
        if method == "commit":
            return json.dumps({"result": {"signed_header": {"commit": {"height": height}}}}).encode()
        return json.dumps({"result": {"block": self.blocks[height]}}).encode()


@pytest.fixture
def served() -> Iterator[tuple[Blocks, int]]:
    """Blocks at a port, answered by a thread until the test is over."""
    blocks, listener = Blocks(), socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            with caller, caller.makefile("rb") as requests:
                while (head := requests.readline()) and head.startswith(b"POST"):
                    length = 0
                    while line := requests.readline().strip().lower():
                        if line.startswith(b"content-length:"):
                            length = int(line.partition(b":")[2])
                    asked = json.loads(requests.read(length))
                    said = blocks.answer(asked["method"], asked["params"].get("height", ""))
                    if said == b"hang up":
                        break
                    caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    yield blocks, listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    serving.join(timeout=10)


Read = Callable[[], StoredChain]


@pytest.fixture
def read(tmp_path: Path, home: Path, served: tuple[Blocks, int]) -> Read:
    return lambda: read_chain(program(tmp_path, RUNS), home, served[1])


def test_blocks_are_read_from_a_copy_of_the_blocks_alone(
    read: Read, served: tuple[Blocks, int], home: Path, tmp_path: Path
) -> None:
    blocks, port = served
    blocks.blocks, blocks.last = {"1": block(1), "2": block(2, b"one", b"two")}, "2"
    before = sorted(path.relative_to(home) for path in home.rglob("*"))
    chain = read()
    assert (chain.last, chain.damage) == (2, {})
    assert chain.blocks[1].transactions == ()
    assert chain.blocks[2] == StoredBlock(
        {"height": "2"}, (b"one", b"two"), {"height": "1"}, {"commit": {"height": "2"}}, ()
    )
    inspect, flag, copy, *address = (tmp_path / "cometbft.arguments").read_text().split()
    assert (inspect, flag, address) == ("inspect", "--home", ["--rpc.laddr", f"tcp://127.0.0.1:{port}"])
    assert not Path(copy).exists(), "the copy is gone"
    # Its keys and its votes are not given to the program.
    assert "priv_validator" not in (tmp_path / "cometbft.files").read_text()
    assert sorted(path.relative_to(home) for path in home.rglob("*")) == before


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"hang up", "CometBFT cannot read it: "),
        (b"no json", "CometBFT cannot read it: "),
        (b'{"error": {"message": "broken"}}', "CometBFT cannot read it: broken"),
        (b'{"result": {}}', "CometBFT's block 2 lacks a part: "),
        (b'{"result": {"block": null}}', "CometBFT's block 2 lacks a part: "),
        (b'{"result": {"block": {"data": {"txs": ["!"]}}}}', "CometBFT's block 2 lacks a part: "),
        (b'{"result": {"block": {"data": {"txs": [5]}}}}', "CometBFT's block 2 lacks a part: "),
        (b'{"result": null}', "CometBFT's block 2 lacks a part: "),
    ],
)
def test_block_that_cannot_be_read_is_told_with_its_height_and_hides_no_other(
    read: Read, served: tuple[Blocks, int], raw: bytes, said: str
) -> None:
    blocks, _ = served
    blocks.blocks = {str(height): block(height) for height in (1, 2, 3)}
    blocks.last, blocks.raw = "3", {"2": raw}
    chain = read()
    assert sorted(chain.blocks) == [1, 3]
    assert set(chain.damage) == {2}
    assert chain.damage[2].startswith(said)


def test_folder_without_blocks_is_told(tmp_path: Path, home: Path) -> None:
    for missing in (home / "data" / "blockstore.db" / "000001.log", home / "config" / "genesis.json"):
        missing.unlink()
    (home / "data" / "blockstore.db").rmdir()
    with pytest.raises(LedgerError, match="holds no blocks of CometBFT"):
        read_chain(program(tmp_path, RUNS), home, 1)


def test_program_that_ends_is_told_with_its_last_words(tmp_path: Path, home: Path) -> None:
    with pytest.raises(LedgerError, match="CometBFT cannot open its blocks: the blocks are of a later version"):
        read_chain(program(tmp_path, ENDS), home, 1)
