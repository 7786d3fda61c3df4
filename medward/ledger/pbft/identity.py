"""A node's keys and its self-signed TLS certificate, which the others pin.

Trust comes from the genesis and from ordered changes of membership alone: no authority signs certificates, and names in
them mean nothing; a certificate is whom the members say it is, byte for byte.
"""

import datetime
import os
import secrets
import ssl
from pathlib import Path

from cryptography import exceptions, x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from medward.ledger.errors import LedgerError
from medward.ledger.signatures import MemberSigner
from medward.ledger.types import Member

_SIGNING_KEY, _TLS_KEY, _TLS_CERTIFICATE = "signing.key", "tls.key", "tls.crt"
CLIENT_PROTOCOL = "medward-client"
"""What a member names in the handshake (ALPN) when it calls as a client, and not as another replica."""
_NOT_BEFORE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_NOT_AFTER = datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC)


class NodeIdentity:
    """The private side of a `Member`.

    Args:
        folder: holds the keys, made by `create`; only its owner may read them.

    Raises:
        LedgerError: the keys are missing, unreadable or under a password, or do not belong together.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            key = serialization.load_pem_private_key((folder / _SIGNING_KEY).read_bytes(), None)
            tls_key = serialization.load_pem_private_key((folder / _TLS_KEY).read_bytes(), None)
            certificate = x509.load_pem_x509_certificate((folder / _TLS_CERTIFICATE).read_bytes())
        except (OSError, ValueError, TypeError, exceptions.UnsupportedAlgorithm) as error:
            # A key under a password is a TypeError; OpenSSL would later ask for it on the terminal.
            raise LedgerError(f"the keys in {folder} cannot be read: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise LedgerError(f"the signing key in {folder} is not an Ed25519 key")
        if tls_key.public_key() != certificate.public_key():
            raise LedgerError(f"{_TLS_CERTIFICATE} in {folder} is not the certificate of {_TLS_KEY} beside it")
        self.signer = MemberSigner(key)
        self.certificate = certificate.public_bytes(serialization.Encoding.DER)

    @classmethod
    def create(cls, folder: Path) -> "NodeIdentity":
        """Make new keys; a new incarnation always gets new ones.

        Raises:
            LedgerError: there are keys in the folder already.
        """
        if any((folder / name).exists() for name in (_SIGNING_KEY, _TLS_KEY)):
            raise LedgerError(f"there are keys in {folder} already; a new incarnation needs an empty folder")
        folder.mkdir(parents=True, exist_ok=True)
        _write_private(folder / _SIGNING_KEY, Ed25519PrivateKey.generate())
        tls_key = ec.generate_private_key(ec.SECP256R1())
        _write_private(folder / _TLS_KEY, tls_key)
        # OpenSSL looks a pinned certificate up by its subject first, so no two may share one.
        subject = f"medward {secrets.token_hex(16)}"
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(tls_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_NOT_BEFORE)
            .not_valid_after(_NOT_AFTER)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(tls_key, hashes.SHA256())
        )
        (folder / _TLS_CERTIFICATE).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(folder)

    def member(self, name: str, incarnation: int, address: str) -> Member:
        """Return the public side."""
        return Member(name, incarnation, self.signer.public_keys, self.certificate, address)

    def server_context(self) -> ssl.SSLContext:
        """Return the listening side's context: TLS 1.3; clients may come without a certificate, members may not."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.folder / _TLS_CERTIFICATE, self.folder / _TLS_KEY)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols([CLIENT_PROTOCOL])
        return context

    def client_context(self, peer: Member) -> ssl.SSLContext:
        """Return the context for calling one member: it must show exactly its pinned certificate."""
        context = pinned_context(peer)
        context.load_cert_chain(self.folder / _TLS_CERTIFICATE, self.folder / _TLS_KEY)
        return context

    def asking_context(self, peer: Member) -> ssl.SSLContext:
        """Return the context for calling one member as its client, and to be served as a member."""
        context = self.client_context(peer)
        context.set_alpn_protocols([CLIENT_PROTOCOL])
        return context


def pinned_context(peer: Member) -> ssl.SSLContext:
    """Return a TLS 1.3 context that trusts one member's certificate and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=peer.certificate)
    return context


def _write_private(path: Path, key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> None:
    data = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
