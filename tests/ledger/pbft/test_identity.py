"""A node's keys: private, new for each incarnation, refused where damaged, and pinned byte for byte by the others."""

import ssl
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.ledger.errors import LedgerError
from medward.ledger.pbft.identity import CLIENT_PROTOCOL, NodeIdentity, pinned_context
from medward.ledger.signatures import Domain, MemberVerifier
from medward.ledger.types import Member

PRIVATE = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
KEYS = ("signing.key", "tls.key", "tls.crt")


def made(folder: Path, name: str) -> tuple[NodeIdentity, Member]:
    identity = NodeIdentity.create(folder / name)
    return identity, identity.member(name, 0, "127.0.0.1:1")


def serving(identity: NodeIdentity, *members: NodeIdentity) -> ssl.SSLContext:
    """Return the context of a server that knows these members, as the replica's listener makes it."""
    context = identity.server_context()
    for member in members:
        context.load_verify_locations(cadata=member.certificate)
    return context


def meet(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Return both sides after a handshake in memory; ssl.SSLError where one does not accept the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    calling = client.wrap_bio(to_client, to_server)
    called = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (calling, called):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return called, calling


def test_keys_are_their_owner_s_alone_and_never_made_over_others(tmp_path: Path) -> None:
    identity, _ = made(tmp_path, "a")
    for name in ("signing.key", "tls.key"):
        assert stat.S_IMODE((identity.folder / name).stat().st_mode) == 0o600
    before = {name: (identity.folder / name).read_bytes() for name in KEYS}
    with pytest.raises(LedgerError, match=r"there are keys in .* already"):
        NodeIdentity.create(identity.folder)
    (identity.folder / "signing.key").unlink()
    with pytest.raises(LedgerError, match=r"there are keys in .* already"):
        NodeIdentity.create(identity.folder)
    assert (identity.folder / "tls.key").read_bytes() == before["tls.key"]


def test_public_side_verifies_what_the_private_side_signs_after_a_restart(tmp_path: Path) -> None:
    identity, member = made(tmp_path, "a")
    again = NodeIdentity(identity.folder)
    assert again.member("a", 0, "127.0.0.1:1") == member
    domain = Domain(bytes(32), "commit", 0, 0, 1)
    signed = again.signer.sign(domain, bytes(32))
    assert MemberVerifier().valid(member.keys, domain, bytes(32), signed)
    assert not MemberVerifier().valid(made(tmp_path, "b")[1].keys, domain, bytes(32), signed)


def under_password(path: Path) -> bytes:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    return key.private_bytes(*PRIVATE, serialization.BestAvailableEncryption(b"password"))


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "foreign bytes", "folder", "password", "another's"])
def test_damaged_keys_are_refused_in_one_sentence_that_shows_none(tmp_path: Path, name: str, damage: str) -> None:
    identity, other = made(tmp_path, "a")[0], made(tmp_path, "b")[0]
    path, content = identity.folder / name, (identity.folder / name).read_bytes()
    if damage == "password" and name != "tls.crt":
        path.write_bytes(under_password(path))
    elif damage == "another's" and name != "signing.key":
        path.write_bytes((other.folder / name).read_bytes())
    else:
        path.unlink()
        if damage == "folder":
            path.mkdir()
        elif damage != "missing":
            path.write_bytes({"cut": content[:-60], "foreign bytes": b"\xff" * 90}.get(damage, b""))
    with pytest.raises(LedgerError, match=str(identity.folder)) as refused:
        NodeIdentity(identity.folder)
    secret = content.decode().splitlines()[1]
    assert secret not in str(refused.value)


def test_signing_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    identity, _ = made(tmp_path, "a")
    (identity.folder / "signing.key").write_bytes((identity.folder / "tls.key").read_bytes())
    with pytest.raises(LedgerError, match="not an Ed25519 key"):
        NodeIdentity(identity.folder)
    key = Ed25519PrivateKey.generate().private_bytes(*PRIVATE, serialization.NoEncryption())
    (identity.folder / "tls.key").write_bytes(key)
    with pytest.raises(LedgerError):
        NodeIdentity(identity.folder)


def test_member_shows_the_certificate_that_is_pinned_or_is_hung_up_on(tmp_path: Path) -> None:
    (server, pinned), (client, _), (_, other) = (made(tmp_path, name) for name in "abc")
    called, calling = meet(serving(server, client), client.client_context(pinned))
    assert called.getpeercert(binary_form=True) == client.certificate
    assert calling.getpeercert(binary_form=True) == pinned.certificate
    assert called.version() == "TLSv1.3"
    for context in (client.client_context(other), client.asking_context(other), pinned_context(other)):
        with pytest.raises(ssl.SSLCertVerificationError):
            meet(serving(server, client), context)
    with pytest.raises(ssl.SSLCertVerificationError):
        meet(serving(server), client.client_context(pinned))


def test_server_learns_whether_a_member_calls_as_a_client(tmp_path: Path) -> None:
    (server, pinned), (client, _) = (made(tmp_path, name) for name in "ab")
    context = serving(server, client)
    assert meet(context, client.asking_context(pinned))[0].selected_alpn_protocol() == CLIENT_PROTOCOL
    assert meet(context, client.client_context(pinned))[0].selected_alpn_protocol() is None
    # Clients may come without a certificate, and older versions of TLS are not spoken.
    called, _ = meet(server.server_context(), pinned_context(pinned))
    assert called.getpeercert(binary_form=True) is None
    assert pinned_context(pinned).minimum_version is ssl.TLSVersion.TLSv1_3
    old = pinned_context(pinned)
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        meet(server.server_context(), old)


def test_no_two_certificates_share_a_subject(tmp_path: Path) -> None:
    first, second = made(tmp_path, "a")[0], made(tmp_path, "b")[0]
    context = pinned_context(first.member("a", 0, ""))
    context.load_verify_locations(cadata=second.certificate)
    subjects = [one["subject"] for one in context.get_ca_certs()]
    assert len(subjects) == 2
    assert subjects[0] != subjects[1]
