"""A federation of real processes on loopback, for tests and the benchmark: start, kill -9, restart, wipe."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from medward.ledger.bank import Bank
from medward.ledger.encoding import decode, encode
from medward.ledger.membership import ChainParameters, Genesis
from medward.ledger.pbft.effects import Broadcast, ReplicaEffect, Send
from medward.ledger.pbft.messages import PrePrepare
from medward.ledger.pbft.parameters import Parameters
from medward.ledger.pbft.runtime import journal
from medward.ledger.pbft.runtime.engine import NodeSettings, PbftEngine, prepare_folder
from medward.ledger.pbft.runtime.event_loop import run
from medward.ledger.pbft.runtime.journal import ReplicaJournal
from medward.ledger.pbft.runtime.transport import Outgoing
from medward.ledger.pbft.runtime.witness import Witness
from medward.ledger.types import Member
from medward.node.trial.ports import free_ports

CHAIN = ChainParameters(checkpoint_interval=16, log_window=64, in_flight=8)
TIMERS = Parameters(request_timeout=1000, status_interval=200, fetch_timeout=500, transfer_gap=64)


class Cluster:
    """Members h0, h1 ... with their folders under `root`; every process runs this module."""

    def __init__(
        self,
        root: Path,
        size: int,
        governor: bytes | None = None,
        chain: ChainParameters = CHAIN,
        addresses: dict[str, str] | None = None,
        timers: Parameters = TIMERS,
    ) -> None:
        self.root = root
        self.governor = governor
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        # What runs before a member's command, for one who lives in a network of its own.
        self.prefixes: dict[str, list[str]] = {}
        self.leading_delay: dict[str, float] = {}
        # Where a member's next process dies by itself, see `arrange_death`.
        self.deaths: dict[str, tuple[str, int]] = {}
        self.environment = dict(os.environ)
        self.addresses = addresses or {f"h{i}": f"127.0.0.1:{port}" for i, port in enumerate(free_ports(size))}
        members = tuple(self.prepare(name, 0) for name in sorted(self.addresses))
        self.genesis = Genesis("cluster", int(time.time() * 1000), chain, members)
        (root / "genesis").write_bytes(encode(self.genesis))
        (root / "timers").write_bytes(msgspec.json.encode(timers))

    def prepare(self, name: str, incarnation: int) -> Member:
        if name not in self.addresses:
            self.addresses[name] = f"127.0.0.1:{free_ports(1)[0]}"
        identity = prepare_folder(self.folder(name, incarnation))
        return identity.member(name, incarnation, self.addresses[name])

    def folder(self, name: str, incarnation: int = 0) -> Path:
        return self.root / f"{name}-{incarnation}"

    def start(self, name: str, incarnation: int = 0) -> None:
        governor = "" if self.governor is None else self.governor.hex()
        delay = str(self.leading_delay.get(name, 0))
        point, number = self.deaths.pop(name, ("", 0))
        arguments = [str(self.root), name, str(incarnation), self.addresses[name], governor, delay, point, str(number)]
        command = [*self.prefixes.get(name, []), sys.executable, __file__, *arguments]
        log = open(self.root / f"{name}.log", "ab")  # noqa: SIM115
        self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment)

    def start_all(self) -> None:
        for name in sorted(self.addresses):
            self.start(name)

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    def logs(self) -> str:
        return "\n".join(f"{p.name}: {p.read_text()[-2000:]}" for p in sorted(self.root.glob("*.log")))


DEATHS = ("before a commit", "before its witness", "before anything is sent", "amid sending", "after a fold")


def arrange_death(point: str, number: int) -> None:
    """Have this process killed with signal 9 when it comes to one of `DEATHS` for the `number`th time."""
    left = number

    def die_in(owner: type, name: str, *, first: bool) -> None:
        original = getattr(owner, name)

        def replaced(self: object, *arguments: object) -> object:
            nonlocal left
            left -= 1
            if first and left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(self, *arguments)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, replaced)

    if point == "before a commit":
        die_in(ReplicaJournal, "flush", first=True)
    elif point == "before its witness":
        die_in(Witness, "write", first=True)
    elif point == "before anything is sent":
        die_in(ReplicaJournal, "flush", first=False)
    elif point == "amid sending":
        die_in(Outgoing, "send", first=False)
    elif point == "after a fold":
        journal._FOLD_BYTES, journal._FOLD_COMMITS = 0, 2
        die_in(ReplicaJournal, "fold", first=False)


class SlowLeader(PbftEngine):
    """Proposes late, and repeats it late, just early enough not to be deposed."""

    delay = 0.0

    def _carry_out(self, effect: ReplicaEffect) -> None:
        if isinstance(effect, Broadcast | Send) and isinstance(effect.message, PrePrepare):
            asyncio.get_running_loop().call_later(self.delay, super()._carry_out, effect)
        else:
            super()._carry_out(effect)


async def serve(root: Path, name: str, incarnation: int, address: str, governor: str, delay: float) -> None:
    genesis = decode((root / "genesis").read_bytes(), Genesis)
    timers = msgspec.json.decode((root / "timers").read_bytes(), type=Parameters)
    settings = NodeSettings(name, genesis, root / f"{name}-{incarnation}", address, timers)
    kind = SlowLeader if delay else PbftEngine
    engine = kind(settings, Bank(bytes.fromhex(governor) if governor else None))
    if isinstance(engine, SlowLeader):
        engine.delay = delay
    await engine.start()
    while engine.failure is None:
        await asyncio.sleep(0.2)
    print(f"stopped: {engine.failure}", flush=True)
    await asyncio.sleep(3600)


if __name__ == "__main__":
    arrange_death(sys.argv[7], int(sys.argv[8]))
    run(serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5], float(sys.argv[6])))
