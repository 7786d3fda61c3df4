"""The peers of a store that is served by hand: each has a name and a certificate, and nobody else is answered."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from medward.admission import RefusalListener, nobody
from medward.store.errors import StoreError
from medward.store.gateway.server import GatewayServer
from medward.store.gateway.tls import Signers, TlsIdentity
from medward.store.interface import BlobStore

_LONGEST_FILE = 2**20
_OTHERS = 0o077


class NamedPeers:
    """Who may ask a store, and how they are told apart.

    Args:
        files: each peer's name and PEM file: of its own certificate, or of the one that signs its certificates.
        now: the present time.

    Raises:
        StoreError: a file has not exactly one certificate, one is not valid now, or two names have the same one.
    """

    def __init__(self, files: Sequence[tuple[str, Path]], now: datetime | None = None) -> None:
        now = now or datetime.now(UTC)
        self._certificates: dict[str, x509.Certificate] = {}
        for name, file in files:
            found = _read_certificates(file)
            if len(found) != 1:
                raise StoreError(
                    f"{file} has {len(found)} certificates; give {name}'s own, or the one that signs it, alone"
                )
            _check_valid_now(file, found[0], now)
            for other, known in self._certificates.items():
                if other == name:
                    raise StoreError(f"the peer {name} is named twice; give each peer a name of its own")
                if known == found[0]:
                    raise StoreError(f"{name} and {other} have the same certificate; each peer has one of its own")
            self._certificates[name] = found[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The peers' names, in alphabetical order."""
        return tuple(sorted(self._certificates))

    def serve(
        self,
        store: BlobStore,
        host: str,
        port: int,
        *,
        certificate: Path,
        key: Path,
        refused: RefusalListener = nobody,
    ) -> GatewayServer:
        """Return a gateway that answers these peers only; it is still to be started.

        Args:
            store: whose blocks are served.
            host: address to listen on.
            port: port to listen on; 0 picks a free one.
            certificate: PEM file of the server's certificate.
            key: PEM file of its private key.
            refused: told of callers that are turned away.

        Raises:
            StoreError: the files cannot be used together, others may read the key, or the address cannot be had.
        """
        _check_private(key)
        with TemporaryDirectory(prefix="medward-peers-") as folder:
            identity = TlsIdentity(certificate, key, Path(folder) / "peers.pem")
            identity.trusted.write_bytes(
                b"".join(one.public_bytes(Encoding.PEM) for one in self._certificates.values())
            )
            try:
                identity.server_context()
            except StoreError:
                raise StoreError(
                    f"cannot use the certificate {certificate} with the key {key}; check that they belong together, "
                    "and that the key has no password"
                ) from None
            return GatewayServer(store, host, port, identity, refused=refused, who=self._signers())

    def _signers(self) -> Signers:
        return Signers({name: found.public_bytes(Encoding.DER) for name, found in self._certificates.items()})


def _check_private(key: Path) -> None:
    try:
        mode = key.stat().st_mode
    except OSError as error:
        raise StoreError(f"cannot read the key {key}: {error.strerror}; check the path") from None
    if mode & _OTHERS:
        raise StoreError(f"others may read the key {key}: `chmod 600` it if nobody has, else make a new one")


def addresses_of(certificate: Path, now: datetime | None = None) -> tuple[str, ...]:
    """Return the addresses and names of hosts that a server's certificate is for.

    Args:
        certificate: PEM file of it, with what stands between it and the one that others know.
        now: the present time.

    Raises:
        StoreError: it cannot be read, is not valid now, or names no host, so that no client would accept it.
    """
    found = _read_certificates(certificate)
    if not found:
        raise StoreError(f"{certificate} has no certificate; give a PEM file")
    _check_valid_now(certificate, found[0], now or datetime.now(UTC))
    try:
        named = found[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise StoreError(
            f"the certificate {certificate} names no host, so no peer would accept it; make one whose "
            "subjectAltName is the address that peers call"
        ) from None
    return (
        *map(str, named.get_values_for_type(x509.IPAddress)),
        *named.get_values_for_type(x509.DNSName),
    )


def _check_valid_now(file: Path, certificate: x509.Certificate, now: datetime) -> None:
    """Refuse a certificate whose time is over or has not begun."""
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not first <= now <= last:
        raise StoreError(f"the certificate {file} is valid from {first:%Y-%m-%d} to {last:%Y-%m-%d}; make a new one")


def _read_certificates(file: Path) -> list[x509.Certificate]:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LONGEST_FILE)
    except OSError as error:
        raise StoreError(f"cannot read the certificate {file}: {error.strerror}; check the path") from None
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise StoreError(
            f"{file} is no certificate in PEM form; give the file that begins with BEGIN CERTIFICATE"
        ) from None
