"""A hostile crowd: thousands of connections that want nothing, and come again when they are hung up on.

    python -m tests.e2e.crowd PLAN.json

It calls loopback addresses only, ends by itself, and prints a line of JSON once all have called and one at its end.
"""

import asyncio
import contextlib
import ipaddress
import json
import logging
import random
import resource
import signal
import ssl
import struct
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from medward.ledger.encoding import encode
from medward.ledger.pbft.client_protocol import GetBlock, GetStatus, StateQuery, WatchTransactions
from medward.ledger.pbft.runtime.transport import frame

#: From so many addresses come those that do not share one with the nodes.
_ADDRESSES = 64
_CALLING_SECONDS = 15.0
_AGAIN_SECONDS = 1.0
_DRIP_SECONDS = 2.0
_PIPELINED = 16_000


class Plan(msgspec.Struct, frozen=True):
    """Whom to trouble.

    Args:
        ledgers: host:port of ledgers.
        stores: of gateways.
        apis: of HTTP APIs.
        connections: how many at a time.
        seconds: how long.
        member: folder with certificate.pem, key.pem and trusted.pem of a member that lies, for half a request at a
            gateway, which strangers cannot make; "" for none.
        kinds: of trouble; all where none are named.
    """

    ledgers: tuple[str, ...]
    stores: tuple[str, ...]
    apis: tuple[str, ...]
    connections: int
    seconds: float
    member: str = ""
    kinds: tuple[str, ...] = ()


class Crowd:
    """Those who call."""

    def __init__(self, plan: Plan) -> None:
        for address in (*plan.ledgers, *plan.stores, *plan.apis):
            if not ipaddress.ip_address(address.rpartition(":")[0]).is_loopback:
                raise ValueError(f"{address} is not on this machine")
        self.plan = plan
        self.open: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.shaken = 0
        self._called: set[int] = set()
        self.bytes_read = 0
        self._random = random.Random(1)
        self._end = time.monotonic() + plan.seconds
        anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        self._anyone = anyone
        self._liar: ssl.SSLContext | None = None
        if plan.member:
            folder = Path(plan.member)
            self._liar = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._liar.check_hostname, self._liar.verify_mode = False, ssl.CERT_NONE
            self._liar.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
        mine = {
            "idle at the ledger": (plan.ledgers, None, self._idle),
            "idle at the store": (plan.stores, None, self._idle),
            "idle at the API": (plan.apis, None, self._idle),
            "half a handshake with the ledger": (plan.ledgers, None, self._half_handshake),
            "half a handshake with the store": (plan.stores, None, self._half_handshake),
            "half a request at the API": (plan.apis, None, self._half_request),
            "half a request at the store": (plan.stores, self._liar, self._half_request),
            "requests without the token": (plan.apis, None, self._requests),
            "anonymous questions": (plan.ledgers, self._anyone, self._questions),
            "answers that are not read": (plan.ledgers, self._anyone, self._deaf),
            "malformed frames": (plan.ledgers, self._anyone, self._malformed),
            "malformed bytes at the API": (plan.apis, None, self._noise),
            "malformed bytes at the store": (plan.stores, None, self._noise),
        }
        self._kinds = {
            name: kind
            for name, kind in mine.items()
            if kind[0]
            and (not plan.kinds or name in plan.kinds)
            and (name != "half a request at the store" or self._liar)
        }

    async def come(self) -> None:
        """Call, and call again, until the time is over."""
        names = list(self._kinds)
        callers = [
            asyncio.create_task(self._caller(number, names[number % len(names)]))
            for number in range(self.plan.connections)
        ]
        while len(self._called) < self.plan.connections and time.monotonic() < self._end:
            await asyncio.sleep(0.1)
        print(json.dumps({"called": len(self._called), "open": sum(self.open.values())}), flush=True)
        most = sum(self.open.values())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._go)
        while time.monotonic() < self._end:
            await asyncio.sleep(0.5)
            most = max(most, sum(self.open.values()))
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        told = {"calls": dict(self.calls), "most_open": most, "handshakes": self.shaken, "read": self.bytes_read}
        print(json.dumps(told), flush=True)

    def _go(self) -> None:
        self._end = 0.0

    async def _caller(self, number: int, kind: str) -> None:
        targets, context, trouble = self._kinds[kind]
        await asyncio.sleep(self._random.random() * 3)
        while True:
            target = targets[(number // len(self._kinds)) % len(targets)]
            self.calls[kind] += 1
            self._called.add(number)
            writer = None
            try:
                # A quarter shares the nodes' and the operator's address, and all do who trouble an API.
                near = "API" in kind or "token" in kind or number % 4 == 0
                source = "127.0.0.1" if near else f"127.9.0.{1 + number % _ADDRESSES}"
                host, _, port = target.rpartition(":")
                async with asyncio.timeout(_CALLING_SECONDS):
                    reader, writer = await asyncio.open_connection(host, int(port), ssl=context, local_addr=(source, 0))
                self.shaken += context is not None
                self.open[kind] += 1
                try:
                    await trouble(reader, writer)
                finally:
                    self.open[kind] -= 1
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                pass
            finally:
                if writer is not None:
                    writer.transport.abort()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _drained(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(65_536):
            self.bytes_read += len(data)

    async def _idle(self, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await self._drained(reader)

    async def _half_handshake(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inbound, outbound = ssl.MemoryBIO(), ssl.MemoryBIO()
        talk = self._anyone.wrap_bio(inbound, outbound)
        with contextlib.suppress(ssl.SSLWantReadError):
            talk.do_handshake()
        hello = outbound.read()
        writer.write(hello[: self._random.choice((3, len(hello) // 2, len(hello)))])
        await self._drained(reader)

    async def _half_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"GET /health HTTP/1.1\r\nHost: x\r\nX-a: "
        body = b"POST /members HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n{"
        writer.write(self._random.choice((head, body)))
        await self._dripping(reader, lambda: writer.write(b"a"))

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        one = b"GET /status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guessed\r\n\r\n"
        writer.write(one * 20)
        await self._drained(reader)

    async def _questions(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Where the ledger stands is told to anyone; what asks for more is hung up on, and calls again.
        others = (GetBlock(1), StateQuery("a"), WatchTransactions(b"\1" * 32, 1, 64))
        one = encode(GetStatus() if self._random.random() < 0.8 else self._random.choice(others))
        burst = frame(one) * max(1, _PIPELINED // len(frame(one)))

        async def pump() -> None:
            while True:
                writer.write(burst)
                await writer.drain()
                await asyncio.sleep(0)

        pumping = asyncio.create_task(pump())
        try:
            await self._drained(reader)
        finally:
            pumping.cancel()
            await asyncio.gather(pumping, return_exceptions=True)

    async def _deaf(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        writer.write(frame(encode(GetStatus())) * 400)
        await asyncio.sleep(self.plan.seconds)
        await reader.read(1)

    async def _malformed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        noise = self._random
        writer.write(
            noise.choice(
                (
                    struct.pack(">I", 2**32 - 1) + bytes(10),
                    struct.pack(">I", 100_000) + b"z" * 50,
                    frame(b"\x82" * 100_000 + b"\0"),
                    frame(noise.randbytes(1000)),
                    frame(b""),
                )
            )
        )
        await self._drained(reader)

    async def _noise(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._random.randbytes(200) + b"\r\n\r\n")
        await self._drained(reader)

    async def _dripping(self, reader: asyncio.StreamReader, drip: Callable[[], None]) -> None:
        ended = asyncio.create_task(self._drained(reader))
        try:
            while not ended.done():
                drip()
                await asyncio.wait([ended], timeout=_DRIP_SECONDS)
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)


Kind = tuple[
    tuple[str, ...],
    ssl.SSLContext | None,
    Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
]


def main() -> None:
    """Trouble whom the plan names."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    asyncio.run(Crowd(plan).come())


if __name__ == "__main__":
    main()
