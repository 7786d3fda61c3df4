"""Callers that are turned away by their certificate are told of, and nobody else is."""

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import httpx
import pytest

from medward.ledger.pbft.identity import NodeIdentity
from medward.ledger.pbft.runtime.listener import Caller, Listener
from medward.node.store.gateway_keys import make_gateway_identity
from medward.store.gateway.server import GatewayServer
from medward.store.local import in_memory


class Told:
    """What was told."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def __call__(self, what: str, particulars: str) -> None:
        assert particulars
        self.reasons.append(what)


@pytest.fixture
def identities(tmp_path: Path) -> dict[str, NodeIdentity]:
    return {name: NodeIdentity.create(tmp_path / name) for name in ("mine", "member", "former", "stranger")}


def test_the_ledgers_port_tells_of_strangers_and_former_members_only(identities: dict[str, NodeIdentity]) -> None:
    told, served = Told(), []

    async def handle(caller: Caller) -> None:
        served.append(caller.name)
        caller.writer.write(b"hello")
        await caller.writer.drain()

    async def call(address: str, context: ssl.SSLContext) -> bytes:
        host, _, port = address.rpartition(":")
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            reader, _ = await asyncio.open_connection(host, int(port), ssl=context)
            async with asyncio.timeout(30):
                return await reader.read(5)
        return b""

    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        names = {identities["member"].certificate: "member"}
        mine = identities["mine"].member("mine", 0, address)
        listener = Listener(identities["mine"].server_context(), handle, names.get, told)
        for name in ("member", "former"):  # trust in a certificate lasts as long as the process
            listener.trust(identities[name].member(name, 0, address))
        await listener.start(address)
        try:
            answers = {name: await call(address, one.client_context(mine)) for name, one in identities.items()}
            assert answers == {"mine": b"", "member": b"hello", "former": b"", "stranger": b""}
            outdated = identities["member"].client_context(mine)
            outdated.minimum_version = outdated.maximum_version = ssl.TLSVersion.TLSv1_2
            assert await call(address, outdated) == b""
        finally:
            await listener.close()

    asyncio.run(story())
    assert served == ["member"]
    assert sorted(told.reasons) == [
        "a caller's certificate is no member's",
        "a caller's certificate is no member's",
        "a caller's certificate is no present member's",
        "a caller's handshake failed",
    ]


def test_the_stores_port_tells_of_strangers_only(identities: dict[str, NodeIdentity], tmp_path: Path) -> None:
    told = Told()
    known = [identities[name].certificate for name in ("mine", "member")]

    def context(name: str) -> ssl.SSLContext:
        keys = make_gateway_identity(tmp_path / f"{name}-gateway", tmp_path / name, "127.0.0.1:1", known)
        return keys.client_context()

    tls = make_gateway_identity(tmp_path / "gateway", tmp_path / "mine", "127.0.0.1:1", known)
    with in_memory() as store:
        url = f"/ipfs/{store.add(b'content', pin='round/1')}?format=raw"
        with GatewayServer(store, tls=tls, refused=told) as server:
            assert httpx.get(server.url + url, verify=context("member")).status_code == 200
            bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            bare.load_verify_locations(tls.trusted)
            for strange in (context("stranger"), bare):
                with pytest.raises(httpx.TransportError):
                    httpx.get(server.url + url, verify=strange)
    assert told.reasons == ["a caller's certificate is no member's", "a caller's handshake failed"]
