"""The certificate of a store's gateway: signed by the member's own pinned certificate, for the host that others call.

The members' pinned certificates are the roots that a gateway trusts, so whoever is a member on the ledger is one here,
and nobody else is. A member could certify another's host name for itself; all it could serve there are blocks, and
those are checked against their names.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from medward.node.errors import InvalidConfiguration, NodeError
from medward.node.home.configuration import split_address
from medward.node.home.private_files import make_private_folder, write_private
from medward.store.gateway.tls import TlsIdentity

_DAYS = 3650


def make_gateway_identity(folder: Path, keys: Path, address: str, trusted: Sequence[bytes]) -> TlsIdentity:
    """Make a gateway's key and certificate.

    Args:
        folder: where they go.
        keys: the member's ledger keys, whose TLS key signs.
        address: host:port at which the others call the gateway.
        trusted: the members' certificates (DER).

    Raises:
        NodeError: the keys cannot sign, or the address can stand in no certificate.
    """
    make_private_folder(folder)
    issuer_key = serialization.load_pem_private_key((keys / "tls.key").read_bytes(), None)
    issuer = x509.load_pem_x509_certificate((keys / "tls.crt").read_bytes())
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise NodeError(f"{keys / 'tls.key'} is no elliptic-curve key; make new keys with `medward federation rotate`")
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "medward gateway")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # the members' clocks differ
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([_alternative_name(address)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )
    identity = TlsIdentity(folder / "certificate.pem", folder / "key.pem", folder / "trusted.pem")
    write_private(
        identity.key,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    write_trusted(identity, trusted)
    return identity


def write_trusted(identity: TlsIdentity, trusted: Sequence[bytes]) -> None:
    """Trust the members with these certificates (DER) and nobody else, in contexts that are made from now on."""
    roots = [x509.load_der_x509_certificate(data).public_bytes(serialization.Encoding.PEM) for data in trusted]
    identity.trusted.write_bytes(b"".join(roots))


def _alternative_name(address: str) -> x509.GeneralName:
    host, _ = split_address(address, "store.address")
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError:
        raise InvalidConfiguration(
            f"store.address: '{host}' can stand in no certificate; write the host's name as the DNS does (xn--...)"
        ) from None
