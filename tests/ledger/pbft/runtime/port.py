"""A replica's port on a real socket, and callers at it."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from medward.admission.rooms import Room
from medward.ledger.encoding import encode
from medward.ledger.pbft.identity import NodeIdentity
from medward.ledger.pbft.runtime.client_service import ClientService
from medward.ledger.pbft.runtime.event_loop import run
from medward.ledger.pbft.runtime.listener import Caller, Listener, ListenerRooms
from medward.ledger.pbft.runtime.transport import frame, read_frame
from medward.node.trial.ports import free_ports

Called = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Port:
    """A listening replica's port with a service behind it; `told` is what it turned away."""

    def __init__(
        self,
        folder: Path,
        answer: Callable[[object], object],
        rooms: ListenerRooms | None = None,
        members_only: bool = False,
    ) -> None:
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        self.keys = {name: NodeIdentity.create(folder / name) for name in ("mine", "north")}
        self.mine, self.north = (self.keys[name].member(name, 0, self.address) for name in self.keys)
        self.told: list[tuple[str, str]] = []
        self.service = ClientService(
            lambda: None,
            answer,  # type: ignore[arg-type]
            lambda *refused: self.told.append(refused),
            members_only,
        )
        self.replicas: list[Caller] = []
        names = {self.north.certificate: "north"}
        self.listener = Listener(self.keys["mine"].server_context(), self._serve, names.get, rooms=rooms)
        self.listener.trust(self.north)

    async def _serve(self, caller: Caller) -> None:
        if caller.as_client:
            await self.service.serve(caller)
        else:
            self.replicas.append(caller)
            await caller.reader.read()

    async def call(self, context: ssl.SSLContext | None = None, source: str = "127.0.0.1") -> Called:
        host, _, port = self.address.rpartition(":")
        anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        return await asyncio.open_connection(host, int(port), ssl=context or anyone, local_addr=(source, 0))

    async def come(self, times: int, source: str) -> int:
        """Call again and again without a certificate; return how many shook hands."""
        shaken = 0
        for _ in range(times):
            with contextlib.suppress(OSError):
                await self.call(source=source)
                shaken += 1
            await asyncio.sleep(0.03)
        return shaken

    async def call_as_member(self, asking: bool) -> Called:
        keys = self.keys["north"]
        return await self.call(keys.asking_context(self.mine) if asking else keys.client_context(self.mine))


def live(port: Port, story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await port.listener.start(port.address)
        try:
            async with asyncio.timeout(60):
                await story()
        finally:
            await port.listener.close()

    run(whole())


async def asked(called: Called, message: object) -> bytes:
    reader, writer = called
    writer.write(frame(encode(message)))
    return await read_frame(reader)


def rooms(strangers: int = 4, anonymous: int = 4, members: int = 2, life: float = 60.0) -> ListenerRooms:
    return ListenerRooms(
        Room(strangers, strangers, grace=0.2, life=2.0),
        Room(strangers, strangers, grace=0.2, life=2.0),
        Room(anonymous, anonymous, grace=0.2, life=life),
        Room(64, members, known=True),
    )
