"""CometBFT beside a node: its folder, its genesis, and the engine under the node's eye.

Its validators are those of the genesis for ever, and whoever begins the federation makes all their keys: for one
operator, on one machine or several. Between hospitals, use PBFT. CometBFT ends by itself when the node that serves its
application is gone.
"""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medward.ledger.cometbft.engine import CometEngine, CometSettings
from medward.ledger.cometbft.light import data_hash, genesis_validators, verify_commit
from medward.ledger.cometbft.process import CometProcess, Ports, find_program, write_genesis
from medward.ledger.errors import LedgerError
from medward.ledger.transactions import encode_transaction
from medward.ledger.types import Application, Block, Member
from medward.node.errors import NodeError, NotCertified
from medward.node.home.configuration import LedgerTable, split_address
from medward.node.home.federation_file import FederationFile
from medward.node.home.folder import Home
from medward.node.ledger.pbft import Consensus
from medward.node.trial.ports import free_ports

_TRIES = 5
_LOOK_AGAIN_SECONDS = 0.25
_CHAIN_CHARACTERS = 50


def prepare_comet(homes: Mapping[str, Home], name: str, time: int) -> dict[str, str]:
    """Make CometBFT's keys in every home, and return what the federation file keeps of them.

    Args:
        homes: by member, sorted by name.
        name: the federation's name.
        time: the genesis time, milliseconds since 1970.

    Raises:
        NodeError: there is no CometBFT here.
    """
    program = comet_program()
    processes = {}
    for member, home in homes.items():
        processes[member] = CometProcess(program, comet_folder(home, member), Ports(0, 0, 0))
        processes[member].home.mkdir(parents=True)
        processes[member].initialise()
    moment = datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    write_genesis(list(processes.values()), name[:_CHAIN_CHARACTERS], moment)
    first = next(iter(processes.values()))
    peers = {f"peer/{m}": f"{p.node_id}@{homes[m].configuration().ledger.address}" for m, p in processes.items()}
    return {"genesis": (first.home / "config" / "genesis.json").read_text(), **peers}


class CometConsensus(Consensus):
    """CometBFT as a program beside this process.

    Args:
        home: holds its folder, made by `prepare_comet`.
        table: where it listens.
        federation: its genesis and its peers.
        member: this member.
        make_application: gives the application in its genesis state.

    Raises:
        NodeError: there is no CometBFT here, or the home is not prepared for it.
    """

    def __init__(
        self,
        home: Home,
        table: LedgerTable,
        federation: FederationFile,
        member: Member,
        make_application: Callable[[], Application],
    ) -> None:
        folder = comet_folder(home, member.name)
        if not folder.is_dir():
            raise NodeError(f"{folder} is missing: `medward federation init --ledger cometbft` makes CometBFT's keys")
        (folder / "config" / "genesis.json").write_text(federation.comet["genesis"])
        abci, rpc = free_ports(2)
        host, port = split_address(table.listen, "ledger.listen")
        self._process = CometProcess(comet_program(), folder, Ports(abci, port, rpc), host)
        peers = (peer for name, peer in federation.comet.items() if name.startswith("peer/"))
        others = tuple(peer for peer in peers if peer != federation.comet[f"peer/{member.name}"])
        self._federation = federation
        self._started = False
        self.engine: CometEngine = CometEngine(
            CometSettings(self._process, others, federation.genesis.chain), make_application
        )

    @property
    def members(self) -> Sequence[Member]:
        """The founders."""
        return self._federation.genesis.members

    async def start(self) -> None:
        """Start the program; one that a killed node left behind may need a moment to go."""
        for attempt in range(_TRIES):
            try:
                await self.engine.start()
                self._started = True
                return
            except LedgerError:
                await self.engine.stop()
                if attempt == _TRIES - 1:
                    raise
                await asyncio.sleep(1)

    def failure(self) -> str | None:
        """Say that the program ended."""
        if self._started and not self._process.running:
            return f"CometBFT ended; its log is {self._process.home / 'log'}"
        return None

    def describe(self) -> Mapping[str, Any]:
        """Return the height."""
        return {"engine": "cometbft", "height": self.engine.height, "votes": self._started and self._process.running}

    async def become_current(self, note: Callable[[str], None]) -> None:
        """Wait until CometBFT itself says that it has caught up."""
        said = False
        while True:
            sync = (await self.engine.call("status"))["sync_info"]
            if not sync["catching_up"] and self.engine.height >= int(sync["latest_block_height"]):
                return
            if not said:
                note("CometBFT fetches what the others ordered")
            said = True
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def certify(self, block: Block | None) -> None:
        """Verify the commit that CometBFT has for the block; of two chains its program follows one, and halts.

        What came before the last block is what the program itself verified and replayed.
        """
        if block is None:
            return
        height, genesis = str(block.height), json.loads(self._federation.comet["genesis"])
        try:
            signed = (await self.engine.call("commit", height=height))["signed_header"]
            stored = (await self.engine.call("block", height=height))["block"]["data"]["txs"] or []
            certified, _ = verify_commit(signed, genesis_validators(genesis), str(genesis["chain_id"]))
            ordered = [base64.b64decode(one) for one in stored]
            named = str(signed["header"]["data_hash"])
        except (LedgerError, KeyError, ValueError, TypeError) as error:
            raise NotCertified(f"nothing proves that a quorum agreed on height {height}: {error}") from None
        applied = {encode_transaction(transaction) for transaction in block.transactions}
        if certified != block.height or data_hash(ordered) != named or not applied <= set(ordered):
            raise NotCertified(f"the quorum of height {height} agreed on another block than was applied here")

    async def close(self) -> None:
        """Stop the program."""
        await self.engine.stop()


def comet_folder(home: Home, member: str) -> Path:
    """Return where a member's CometBFT has its folder."""
    return home.ledger / "cometbft" / member


def comet_program() -> Path:
    """Return CometBFT; NodeError, with what to do, where there is none."""
    program = find_program()
    if program is None:
        raise NodeError(
            "CometBFT 0.38 is not installed: build it with .ci/cometbft (needs Go), or name its folder in "
            "MEDWARD_ENGINES; or use the ledger pbft"
        )
    return program
