"""Who may talk to whom: both sides of a connection show a certificate that the federation signed (TLS 1.3)."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from medward.store.errors import StoreError


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """A member's certificate and those it trusts.

    Args:
        certificate: PEM file of this member's certificate, with what stands between it and the root.
        key: PEM file of its private key.
        trusted: PEM file of the certificates that sign the members', or that are theirs.
    """

    certificate: Path
    key: Path
    trusted: Path

    def server_context(self) -> ssl.SSLContext:
        """Return the settings of a server that answers members only."""
        context = self._context(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return the settings of a client that asks members only and checks the name in the certificate."""
        return self._context(ssl.PROTOCOL_TLS_CLIENT)

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # A certificate that is trusted needs no other above it: hospitals trust each other's, and no authority.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
            context.load_verify_locations(self.trusted)
        except (OSError, ssl.SSLError) as error:
            raise StoreError(
                f"cannot use the certificate {self.certificate} with the key {self.key} and the trusted {self.trusted}:"
                f" {error}; check that the files are there and belong together"
            ) from None
        return context


class Signers:
    """Tells which member a gateway's certificate is of: a member may make itself as many of them as it likes.

    Args:
        members: the members' certificates (DER), by name.
    """

    def __init__(self, members: Mapping[str, bytes]) -> None:
        self._certificates = [(name, x509.load_der_x509_certificate(data)) for name, data in sorted(members.items())]

    def __call__(self, certificate: bytes) -> str:
        """Return the name of the member that signed this certificate (DER), or whose own it is; "" for no member's."""
        found = x509.load_der_x509_certificate(certificate)
        for name, known in self._certificates:
            if found == known:
                return name
            try:
                found.verify_directly_issued_by(known)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return name
        return ""


def _no_password() -> str:
    """Answer OpenSSL, which would otherwise ask on the terminal."""
    return ""
