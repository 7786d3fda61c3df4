"""Who may talk to whom: both sides of a connection show a certificate that the federation signed (TLS 1.3)."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from medward.store.errors import StoreError


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """A member's certificate and those it trusts.

    Args:
        certificate: PEM file of this member's certificate, with what stands between it and the root.
        key: PEM file of its private key.
        trusted: PEM file of the certificates that sign the members'.
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
        try:
            context.load_cert_chain(self.certificate, self.key)
            context.load_verify_locations(self.trusted)
        except (OSError, ssl.SSLError) as error:
            raise StoreError(
                f"cannot use the certificate {self.certificate} with the key {self.key} and the trusted {self.trusted}:"
                f" {error}; check that the files are there and belong together"
            ) from None
        return context
