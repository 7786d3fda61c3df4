"""A gateway's certificate: the member's own key signs it, for the address that others call, and members trust it."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.ledger.pbft.identity import NodeIdentity
from medward.node.errors import InvalidConfiguration, NodeError
from medward.node.store.gateway_keys import make_gateway_identity, write_trusted
from medward.store.errors import StoreError
from medward.store.gateway.tls import Signers, TlsIdentity


class Hospital:
    """A member with its ledger's keys."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.folder = name, folder / name
        self.pinned = NodeIdentity.create(self.folder / "keys").certificate

    def gateway(self, address: str, *trusted: bytes) -> TlsIdentity:
        return make_gateway_identity(self.folder / "gateway", self.folder / "keys", address, trusted)


@pytest.fixture
def hospitals(tmp_path: Path) -> list[Hospital]:
    return [Hospital(tmp_path, name) for name in ("north", "south", "stranger")]


def shake_hands(server: TlsIdentity, client: TlsIdentity, host: str) -> None:
    """Have the two meet in memory; ssl.SSLError where one does not accept the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.client_context().wrap_bio(to_client, to_server, server_hostname=host),
        server.server_context().wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    for side in sides:  # TLS 1.3: the client is done before the server has looked at its certificate
        try:
            side.read(1)
        except ssl.SSLWantReadError:
            continue


def certificate_of(identity: TlsIdentity) -> x509.Certificate:
    return x509.load_pem_x509_certificate(identity.certificate.read_bytes())


@pytest.mark.parametrize(
    ("address", "host"),
    [("10.0.0.7:4001", "10.0.0.7"), ("[fd00::7]:4001", "fd00::7"), ("ward.example:4001", "ward.example")],
)
def test_members_meet_at_the_address_that_is_called_and_at_no_other(
    hospitals: list[Hospital], address: str, host: str
) -> None:
    north, south, _ = hospitals
    server = north.gateway(address, north.pinned, south.pinned)
    client = south.gateway("10.0.0.8:4001", north.pinned, south.pinned)
    shake_hands(server, client, host)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"mismatch|not match"):
        shake_hands(server, client, "10.0.0.9")


def test_stranger_is_neither_answered_nor_believed(hospitals: list[Hospital]) -> None:
    north, south, stranger = hospitals
    server = north.gateway("10.0.0.7:1", north.pinned, south.pinned)
    caller = stranger.gateway("10.0.0.9:1", north.pinned, south.pinned, stranger.pinned)
    with pytest.raises(ssl.SSLError):
        shake_hands(server, caller, "10.0.0.7")
    member = south.gateway("10.0.0.8:1", north.pinned, south.pinned)
    with pytest.raises(ssl.SSLError):
        shake_hands(stranger.gateway("10.0.0.7:1", south.pinned, stranger.pinned), member, "10.0.0.7")


def test_who_left_is_trusted_no_more(hospitals: list[Hospital]) -> None:
    north, south, _ = hospitals
    server, client = north.gateway("10.0.0.7:1", south.pinned), south.gateway("10.0.0.8:1", north.pinned)
    shake_hands(server, client, "10.0.0.7")
    write_trusted(server, [north.pinned])
    with pytest.raises(ssl.SSLError):
        shake_hands(server, client, "10.0.0.7")


def test_nobody_is_trusted_where_nobody_is_a_member(hospitals: list[Hospital]) -> None:
    north = hospitals[0]
    with pytest.raises((StoreError, ssl.SSLError)):
        shake_hands(north.gateway("10.0.0.7:1"), hospitals[1].gateway("10.0.0.8:1", north.pinned), "10.0.0.7")


def test_certificate_tells_its_member_and_can_sign_no_other(hospitals: list[Hospital]) -> None:
    north, south, stranger = hospitals
    signers = Signers({one.name: one.pinned for one in (north, south)})
    found = {one.name: certificate_of(one.gateway("10.0.0.7:1", one.pinned)) for one in hospitals}
    der = {name: one.public_bytes(serialization.Encoding.DER) for name, one in found.items()}
    assert [signers(der[name]) for name in ("north", "south", "stranger")] == ["north", "south", ""]
    assert signers(stranger.pinned) == ""
    for one in found.values():
        assert one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_key_is_its_owner_s_and_new_at_every_start(hospitals: list[Hospital]) -> None:
    north = hospitals[0]
    identity = north.gateway("10.0.0.7:1", north.pinned)
    before = identity.key.read_bytes()
    assert identity.key.stat().st_mode & 0o077 == 0
    assert identity.key.parent.stat().st_mode & 0o077 == 0
    assert north.gateway("10.0.0.7:1", north.pinned).key.read_bytes() != before


@pytest.mark.parametrize("host", ["münchen.example", "a\u00a0b"])
def test_host_that_can_stand_in_no_certificate_is_said(hospitals: list[Hospital], host: str) -> None:
    with pytest.raises(InvalidConfiguration, match=r"store\.address: .* no certificate"):
        hospitals[0].gateway(f"{host}:4001")


def test_key_that_cannot_sign_is_refused(hospitals: list[Hospital]) -> None:
    north = hospitals[0]
    encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (north.folder / "keys" / "tls.key").write_bytes(Ed25519PrivateKey.generate().private_bytes(*encoding))
    with pytest.raises(NodeError, match="no elliptic-curve key"):
        north.gateway("10.0.0.7:1")
