"""Who may talk to whom: certificates are told apart by who signed them, and files that do not fit are told."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from medward.store.errors import StoreError
from medward.store.gateway.tls import Signers, TlsIdentity
from tests.store.certificates import Federation


def der(file: Path) -> bytes:
    return x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(Encoding.DER)


def test_certificate_is_of_the_member_that_signed_it_or_whose_own_it_is(tmp_path: Path) -> None:
    federations = {name: Federation(tmp_path, name) for name in ("ahus", "bergen")}
    signers = Signers({name: der(one.trusted) for name, one in federations.items()})
    for name, one in federations.items():
        assert signers(der(one.trusted)) == name
        assert signers(der(one.member(f"gateway of {name}").certificate)) == name
    stranger = Federation(tmp_path, "stranger")
    assert signers(der(stranger.trusted)) == ""
    assert signers(der(stranger.member("ahus").certificate)) == ""
    assert Signers({})(der(stranger.trusted)) == ""


def test_peer_is_known_by_its_own_certificate_or_by_the_one_that_signed_it(tmp_path: Path) -> None:
    bob, eve = (Federation(tmp_path, name).member(name) for name in ("bob", "eve"))
    own, signer, other = der(bob.certificate), der(bob.trusted), der(eve.certificate)
    assert Signers({"bob": own})(own) == Signers({"bob": signer})(own) == "bob"
    assert Signers({"bob": own})(other) == ""


def test_authority_with_a_members_name_and_another_key_signs_for_nobody(tmp_path: Path) -> None:
    (tmp_path / "forged").mkdir()
    own, forged = Federation(tmp_path, "ahus"), Federation(tmp_path / "forged", "ahus")
    signers = Signers({"ahus": der(own.trusted)})
    assert signers(der(forged.trusted)) == ""
    assert signers(der(forged.member("gateway").certificate)) == ""


def test_both_sides_take_files_that_fit(tmp_path: Path) -> None:
    identity = Federation(tmp_path, "ahus").member("gateway")
    for context in (identity.server_context(), identity.client_context()):
        assert context.minimum_version.name == "TLSv1_3"
        assert context.verify_mode.name == "CERT_REQUIRED"
    assert identity.client_context().check_hostname


@pytest.mark.parametrize("place", ["certificate", "key", "trusted"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_file_that_is_missing_or_damaged_is_told(tmp_path: Path, place: str, content: bytes | None) -> None:
    good = Federation(tmp_path, "ahus").member("gateway")
    bad = tmp_path / "bad.pem"
    if content is not None:
        bad.write_bytes(content)
    files = {name: bad if name == place else getattr(good, name) for name in ("certificate", "key", "trusted")}
    for make in (TlsIdentity(**files).server_context, TlsIdentity(**files).client_context):
        with pytest.raises(StoreError, match=r"bad\.pem.*check that the files are there and belong together"):
            make()


def test_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    federation = Federation(tmp_path, "ahus")
    one, other = federation.member("one"), federation.member("other")
    with pytest.raises(StoreError, match="belong together"):
        TlsIdentity(one.certificate, other.key, one.trusted).server_context()
