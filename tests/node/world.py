"""A federation of real node processes, for the tests."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.ledger.bank import Note
from medward.ledger.encoding import encode
from medward.ledger.membership import ChainParameters
from medward.ledger.pbft.client import PbftClient
from medward.ledger.signatures import MemberSigner
from medward.node.trial.launcher import Launcher
from tests.node.forks import ForkingLauncher
from tests.node.process import COMMAND, clock_file
from tests.node.waiting import until

NAMES = ["h0", "h1", "h2", "h3"]
CHAIN = ChainParameters(checkpoint_interval=16, log_window=64, in_flight=8)
SETTINGS = {"ledger": {"request_timeout": 1000, "status_interval": 200, "fetch_timeout": 500}}


class World:
    """A running federation and a client of its bank."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher
        self.genesis = next(iter(launcher.homes.values())).federation().genesis
        self.bank = PbftClient(self.genesis, MemberSigner(Ed25519PrivateKey.generate()), patience=0.5)

    async def note(self, name: str, data: bytes = b"") -> None:
        await self.bank.submit(encode(Note(name, data)), give_up=60)

    async def fill(self, count: int) -> None:
        """Order so many blocks."""
        for number in range(count):
            await self.note(f"filler/{number}")

    def status(self, name: str) -> Any:
        return self.launcher.client(name).get("/status")

    async def until(self, holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
        await until(self.launcher, holds, what, seconds)

    async def until_held(self, task: str, by: list[str], of: list[str]) -> None:
        def all_hold() -> bool:
            held = [self.status(name)["participant"].get("held", []) for name in by]
            return all(any(line.startswith(f"{task}/{maker} ") for line in lines) for lines in held for maker in of)

        await self.until(all_hold, f"{by} hold the answers of {of} to {task}")


def story(
    tmp_path: Path,
    tell: Callable[[World], Awaitable[None]],
    names: list[str] = NAMES,
    *,
    store: dict[str, object] | None = None,
    participant: str = "",
    clocks: Mapping[str, float] | None = None,
    **options: Any,
) -> None:
    async def run() -> None:
        settings = {**SETTINGS, **({} if store is None else {"store": store})}
        launcher = ForkingLauncher.found(
            tmp_path / "ward", names, "bank", settings=settings, parameters=CHAIN, command=COMMAND, **options
        )
        for name, seconds in (clocks or {}).items():
            clock_file(launcher.homes[name].folder).write_text(str(seconds))
        for home in launcher.homes.values():
            with home.configuration_file.open("a") as file:
                file.write(f"{participant}\n")
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(launcher)
            await launcher.wait_until_healthy()
            world = World(launcher)
            stack.push_async_callback(world.bank.close)
            await tell(world)

    asyncio.run(run())
