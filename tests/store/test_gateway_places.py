"""Threats T5 and T7: what strangers and one member may hold of a gateway, and what is left for the others."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from medward.admission.http import CallerTimeouts
from medward.admission.rooms import Room
from medward.ledger.pbft.identity import NodeIdentity
from medward.node.store.gateway_keys import make_gateway_identity
from medward.store.gateway.server import GatewayRooms, GatewayServer
from medward.store.gateway.tls import Signers, TlsIdentity
from medward.store.local import in_memory
from tests.store.certificates import Federation

HALF = b"GET /ipfs/x HTTP/1.1\r\nHost: x\r\nX-a: "


def rooms(strangers: int = 6, expected: int = 6, members: int = 20, each: int = 8) -> GatewayRooms:
    return GatewayRooms(
        Room(strangers, strangers, grace=0.2, life=1.5),
        Room(expected, expected, grace=0.2, life=1.5),
        Room(members, each, known=True),
    )


@contextmanager
def serving(identity: TlsIdentity, **options: object) -> Iterator[tuple[GatewayServer, str, list[str]]]:
    told: list[str] = []
    with in_memory() as store:
        path = f"/ipfs/{store.add(b'content', pin='round/1')}?format=raw"
        with GatewayServer(store, tls=identity, refused=lambda what, _: told.append(what), **options) as server:  # type: ignore[arg-type]
            yield server, server.url + path, told


def tls_to(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10))


def ended(connections: list[ssl.SSLSocket]) -> int:
    found = 0
    for one in connections:
        one.settimeout(0.02)
        try:
            found += one.recv(1) == b""
        except TimeoutError:
            pass
        except OSError:
            found += 1
    return found


def test_half_requests_of_one_member_keep_no_other_one_out(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "federation")
    liar = federation.member("liar")
    with serving(federation.member("alice"), rooms=rooms()) as (server, url, _):
        held = []
        for _ in range(30):
            one = tls_to(server.port, liar.client_context())
            one.sendall(HALF)
            held.append(one)
        assert httpx.get(url, verify=federation.member("bob").client_context(), timeout=30).status_code == 200
        assert ended(held) >= 30 - 8


def test_half_a_request_is_hung_up_on(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "federation")
    patience = CallerTimeouts(head=1.0, body=1.0, idle=1.0, stalled=1.0)
    with serving(federation.member("alice"), rooms=rooms(), patience=patience) as (server, _, told):
        half = tls_to(server.port, federation.member("bob").client_context())
        half.sendall(HALF)
        half.settimeout(20)
        with suppress(OSError):
            assert half.recv(1) == b""
        assert told == ["half a request"]


def test_idle_strangers_keep_no_member_s_address_out(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "federation")
    with serving(federation.member("alice"), rooms=rooms()) as (server, url, told):
        server.expect(["127.0.0.1"])
        time.sleep(0.2)
        crowd = [
            socket.create_connection(("127.0.0.1", server.port), 10, source_address=(f"127.0.0.{2 + number % 9}", 0))
            for number in range(100)
        ]
        assert httpx.get(url, verify=federation.member("bob").client_context(), timeout=30).status_code == 200
        assert "more callers than there are places" in told
        for one in crowd:
            one.close()


def test_gateway_with_a_crowd_at_its_port_is_not_taken_for_dead(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "federation")
    with serving(federation.member("alice"), rooms=rooms()) as (server, _, _told):
        crowd = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(200)]
        assert server.serving
        for one in crowd:
            one.close()
    assert not server.serving


def test_all_certificates_that_a_member_makes_itself_are_its_own(tmp_path: Path) -> None:
    keys = {name: NodeIdentity.create(tmp_path / name) for name in ("north", "south")}
    pinned = {name: identity.certificate for name, identity in keys.items()}

    def made(name: str, number: int) -> bytes:
        identity = make_gateway_identity(
            tmp_path / f"{name}-{number}", tmp_path / name, "127.0.0.1:1", sorted(pinned.values())
        )
        return ssl.PEM_cert_to_DER_cert(identity.certificate.read_text())

    who = Signers(pinned)
    assert {who(made("north", number)) for number in range(3)} == {"north"}
    assert who(made("south", 0)) == "south"
    assert who(pinned["north"]) == "north"
    stranger = NodeIdentity.create(tmp_path / "stranger")
    assert who(stranger.certificate) == ""


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_usual_rooms_hold_what_they_say(share: float) -> None:
    of = GatewayRooms.of(share)
    assert sum(room.places for room in of) <= 288
    assert all(room.each <= room.places for room in of)
    assert (of.strangers.known, of.expected.known, of.members.known) == (False, False, True)
