"""The CometBFT program: finding it, its folder and settings, starting and stopping it."""

import asyncio
import base64
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import msgspec

from medward.ledger.errors import LedgerError

VERSION = "0.38"
_SETTINGS = {
    "timeout_commit": '"150ms"',
    "create_empty_blocks": "false",
    "pex": "false",
    "addr_book_strict": "false",
    "allow_duplicate_ip": "true",
}


def find_program() -> Path | None:
    """Return the newest CometBFT that `.ci/cometbft` has built, or None."""
    cache = Path(os.environ.get("MEDWARD_ENGINES", Path.home() / ".cache" / "medward" / "engines"))
    found = sorted(
        cache.glob(f"cometbft-{VERSION}.*"), key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)]
    )
    return next((path for path in reversed(found) if path.is_file() and os.access(path, os.X_OK)), None)


class Ports(msgspec.Struct, frozen=True):
    """The ports of one validator: for its application, for the other validators, and for its own node."""

    abci: int
    p2p: int
    rpc: int


class CometProcess:
    """One validator's CometBFT.

    Args:
        program: the binary.
        home: its folder, made by `initialise`.
        ports: where it listens and where its application does.
        host: the address on which it listens for the other validators; all else is on loopback.
    """

    def __init__(self, program: Path, home: Path, ports: Ports, host: str = "127.0.0.1") -> None:
        self._host = f"[{host}]" if ":" in host else host
        self.program = program
        self.home = home
        self.ports = ports
        self._process: subprocess.Popen[bytes] | None = None

    def initialise(self) -> None:
        """Make keys and settings."""
        self._run("init", "--home", str(self.home))
        path = self.home / "config" / "config.toml"
        text = path.read_text()
        for key, value in _SETTINGS.items():
            text, changed = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
            if not changed:
                raise LedgerError(f"CometBFT's config.toml has no setting {key}: is this version {VERSION}?")
        path.write_text(text)

    def change_settings(self, changes: dict[str, str]) -> None:
        """Change lines `key = value` of config.toml; a key in a section is the only one of its name there.

        Raises:
            LedgerError: there is no such line or section.
        """
        path = self.home / "config" / "config.toml"
        text = path.read_text()
        for key, value in changes.items():
            section, _, name = key.rpartition(".")
            start = text.find(f"[{section}]") if section else 0
            line = re.compile(rf"(?m)^{re.escape(name)} = .*$").search(text, start) if start >= 0 else None
            if line is None:
                raise LedgerError(f"CometBFT's config.toml has no setting {key}: is this version {VERSION}?")
            text = f"{text[: line.start()]}{name} = {value}{text[line.end() :]}"
        path.write_text(text)

    @property
    def node_id(self) -> str:
        """The id that peers know this node by."""
        return self._run("show-node-id", "--home", str(self.home)).strip()

    @property
    def public_key(self) -> bytes:
        """The validator's Ed25519 key."""
        key = json.loads((self.home / "config" / "priv_validator_key.json").read_text())["pub_key"]["value"]
        return base64.b64decode(key)

    @property
    def address(self) -> str:
        """The validator's address, upper-case hex."""
        text = (self.home / "config" / "priv_validator_key.json").read_text()
        return str(json.loads(text)["address"])

    def start(self, peers: list[str]) -> None:
        """Start it; `peers` are id@host:port."""
        command = [
            str(self.program), "start", "--home", str(self.home),
            "--proxy_app", f"tcp://127.0.0.1:{self.ports.abci}",
            "--p2p.laddr", f"tcp://{self._host}:{self.ports.p2p}",
            "--rpc.laddr", f"tcp://127.0.0.1:{self.ports.rpc}",
            "--p2p.persistent_peers", ",".join(peers),
            "--log_level", "error",
        ]  # fmt: skip
        with open(self.home / "log", "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    @property
    def running(self) -> bool:
        """Whether the program runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Kill -9."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    async def stop(self) -> None:
        """Ask it to end, and make it."""
        if self._process is not None:
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, 10)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([str(self.program), *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise LedgerError(f"cometbft {arguments[0]} failed: {done.stderr.strip()[-300:]}")
        return done.stdout


def write_genesis(processes: list[CometProcess], chain_id: str, time: str) -> None:
    """Give all validators one genesis.

    Args:
        chain_id: CometBFT's name of the chain, at most 50 characters.
        time: RFC 3339.
    """
    genesis = json.loads((processes[0].home / "config" / "genesis.json").read_text())
    genesis["chain_id"], genesis["genesis_time"] = chain_id, time
    genesis["validators"] = [
        {
            "address": process.address,
            "pub_key": {"type": "tendermint/PubKeyEd25519", "value": base64.b64encode(process.public_key).decode()},
            "power": "1",
            "name": process.home.name,
        }
        for process in processes
    ]
    for process in processes:
        (process.home / "config" / "genesis.json").write_text(json.dumps(genesis))
