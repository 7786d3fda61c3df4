"""The certificate of measured nodes: clients trust it for loopback alone, and nobody else reads its key."""

import ssl
import stat
from pathlib import Path

import pytest

from medward.bench.ledger.certificate import Certificate


def shake_hands(shown: Certificate, client: ssl.SSLContext, name: str, most: ssl.TLSVersion) -> str | None:
    """Return the version of TLS that both agree on, in memory."""
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(shown.path, shown.key)
    serving.maximum_version = most
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        serving.wrap_bio(to_server, to_client, server_side=True),
    ]
    while sides:
        for side in list(sides):
            try:
                side.do_handshake()
                sides.remove(side)
            except ssl.SSLWantReadError:
                pass
            version = side.version()
    return version


def agree(shown: Certificate, trusted: Certificate, name: str = "127.0.0.1", most: str = "MAXIMUM_SUPPORTED") -> object:
    return shake_hands(shown, trusted.client_context(), name, ssl.TLSVersion[most])


def test_a_client_speaks_to_who_shows_the_certificate_that_it_has(tmp_path: Path) -> None:
    made = Certificate.create(tmp_path)
    assert agree(made, made) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        agree(made, made, "127.0.0.2")
    with pytest.raises(ssl.SSLError, match="protocol"):
        agree(made, made, most="TLSv1_2")


def test_a_certificate_of_the_same_name_with_another_key_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    made, other = Certificate.create(tmp_path), Certificate.create(tmp_path / "other")
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        agree(other, made)


def test_only_the_owner_reads_the_key(tmp_path: Path) -> None:
    assert stat.S_IMODE(Certificate.create(tmp_path).key.stat().st_mode) == 0o600
