"""`manifest.json`: the digests of a finished demo's files, signed by its members.

    metrics.json, report.html, model/*, trial.json, federation.json    what the demo says
    node-*/node.toml, card.json, federation.json, log/*, ...           what the nodes wrote, without secrets

Blocks of the stores are left out, since their names are their hashes. So are keys, tokens and whatever else is a
member's alone: nobody is told even their digests.

A signature binds the files to the federation's fingerprint and to the member's key on the ledger. It shows that
whoever held the key wrote the manifest. In a demo all keys lie in the same folder, so that whoever has that folder can
sign again: the signatures are worth something where the keys were taken away, as docs/audit.md says.
"""

import base64
import hashlib
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from medward.ledger.encoding import digest, encode
from medward.ledger.errors import InvalidSignature
from medward.ledger.membership import MAX_MEMBERS
from medward.ledger.signatures import ED25519, AlgorithmBytes, MemberVerifier
from medward.ledger.transactions import sign_transaction, verify_transaction
from medward.ledger.types import Member, Transaction
from medward.node.errors import NodeError
from medward.node.home.folder import Home
from medward.whole_file import write_whole

MANIFEST = "manifest.json"
METRICS, REPORT, MODEL = "metrics.json", "report.html", "model"
#: What a demo says of itself: an audit of its folder begins where one of these is there.
DOCUMENTS = (METRICS, REPORT, MODEL, MANIFEST)
_FORMAT = "medward-manifest/1"
#: Stands where a transaction has its chain, so that no manifest is ever a transaction and no transaction a manifest.
_CHAIN = digest("medward demo manifest 1")
_OF_A_DEMO = re.compile(r"metrics\.json|report\.html|model/[^/]+|trial\.json|federation\.json")
_OF_A_HOME = re.compile(
    r"node\.toml|federation\.json|card\.json|log/[^/]+|ledger/nonce|ledger/journal/(witness|journal\.sqlite(-wal)?)"
    r"|store/pins\.sqlite(-wal)?"
)
_MOST_BYTES = 2**24
_MOST_FILES = 10_000
_PIECE = 2**20


class FileDigest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file's length in bytes, and the SHA-256 of its content in hexadecimal."""

    bytes: int
    sha256: str


class DemoManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a demo's folder held when it ended.

    Args:
        format: of this file.
        federation: the fingerprint of the federation.
        files: path in the folder -> digest.
        signatures: member -> its Ed25519 signature, base64.
    """

    format: str
    federation: str
    files: dict[str, FileDigest]
    signatures: dict[str, str]

    def signed_by(self, member: Member) -> bool:
        """Return whether the member signed exactly these files of exactly this federation."""
        try:
            data = base64.b64decode(self.signatures[member.name], validate=True)
            if base64.b64encode(data).decode() != self.signatures[member.name]:
                return False  # base64 has several forms of the same bytes
            signature = AlgorithmBytes(ED25519, data)
            signed = Transaction(member.keys[0].data, 1, _statement(self.federation, self.files), (signature,))
            verify_transaction(_CHAIN, MemberVerifier(), signed)
        except (KeyError, ValueError, InvalidSignature):
            return False
        return True


def write_manifest(folder: Path, homes: Mapping[str, Home], signers: Sequence[str]) -> None:
    """Write the digests of all files of a demo that ended, signed by its members.

    Args:
        folder: the demo's.
        homes: below it, by their members' names; no node runs on them.
        signers: the members that sign.

    Raises:
        NodeError: a file cannot be read or written.
    """
    federation = homes[signers[0]].federation().fingerprint
    try:
        files = {path: digest_of(folder, path) for path in _listed(folder, homes)}
    except OSError as error:
        raise NodeError(f"cannot read {error.filename}: {error.strerror}; check {folder}") from None
    payload = _statement(federation, files)
    signatures = {}
    for name in signers:
        signed = sign_transaction(_CHAIN, homes[name].identity().signer, 1, payload)
        signatures[name] = base64.b64encode(signed.signatures[0].data).decode()
    content = _written(DemoManifest(_FORMAT, federation, files, signatures))
    try:
        write_whole(folder / MANIFEST, content)
    except OSError as error:
        raise NodeError(f"cannot write {folder / MANIFEST}: {error.strerror}; check the folder") from None


def read_manifest(folder: Path) -> DemoManifest:
    """Read a folder's manifest; who signed it is not looked at.

    Raises:
        NodeError: it is missing or malformed, or names files that no demo lists.
    """
    try:
        content = read_inside(folder, MANIFEST, _MOST_BYTES)
        found = msgspec.json.decode(content, type=DemoManifest)
    except OSError as error:
        raise NodeError(f"it cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NodeError(f"it is no manifest of a demo: {error}") from None
    if found.format != _FORMAT:
        raise NodeError(f"it is of another format than {_FORMAT}, which this version reads")
    if len(found.files) > _MOST_FILES or not all(map(may_list, found.files)):
        raise NodeError("it names files that no demo lists")
    if len(found.signatures) > MAX_MEMBERS:
        raise NodeError(f"it has {len(found.signatures)} signatures, and a ledger at most {MAX_MEMBERS} members")
    if content != _written(found):
        raise NodeError("it is not in the one form in which it is written, so that somebody altered it")
    return found


def may_list(path: str) -> bool:
    """Return whether a manifest may name this path: of a demo's own files, or of a home's that hold no secret."""
    home, _, rest = path.partition("/")
    safe = path.isprintable() and not {"", ".", ".."} & set(path.split("/"))
    return safe and bool(_OF_A_DEMO.fullmatch(path) or (home != MODEL and _OF_A_HOME.fullmatch(rest)))


def open_inside(folder: Path, path: str) -> int:
    """Return a descriptor of a plain file below a folder; no link is followed on the way.

    Args:
        folder: is trusted.
        path: below it, with `/`.

    Raises:
        OSError: there is none, or a link, a pipe, a device or a folder in its place.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    *ways, name = path.split("/")
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for way in ways:
            below = os.open(way, flags | os.O_DIRECTORY, dir_fd=place)
            os.close(place)
            place = below
        descriptor = os.open(name, flags, dir_fd=place)
    finally:
        os.close(place)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no plain file", path)
    return descriptor


def read_inside(folder: Path, path: str, most: int) -> bytes:
    """Return a plain file's content.

    Raises:
        OSError: as `open_inside`, or it has more than `most` bytes.
    """
    with open(open_inside(folder, path), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(0, f"it has more than {most} bytes", path)
    return content


def digest_of(folder: Path, path: str, length: int | None = None) -> FileDigest:
    """Return the digest of a plain file.

    Args:
        folder, path: see `open_inside`.
        length: in bytes, where the caller knows it: a file of another length is not read, and its digest is empty.

    Raises:
        OSError: as `open_inside`.
    """
    hashed, read = hashlib.sha256(), 0
    with open(open_inside(folder, path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if length is not None and size != length:
            return FileDigest(size, "")
        while piece := file.read(_PIECE):
            hashed.update(piece)
            read += len(piece)
    return FileDigest(read, hashed.hexdigest())


def _listed(folder: Path, homes: Mapping[str, Home]) -> list[str]:
    """Return the paths of what a manifest lists, as far as they are plain files."""
    places = [folder, folder / MODEL]
    for home in homes.values():
        places += [home.folder, home.log_file.parent, home.ledger, home.ledger / "journal", home.store]
    files = [file for place in places if place.is_dir() for file in place.iterdir()]
    plain = [file.relative_to(folder).as_posix() for file in files if file.is_file() and not file.is_symlink()]
    return sorted(path for path in plain if may_list(path))


def _written(manifest: DemoManifest) -> bytes:
    """Return the one form of a manifest: no byte of it may be another."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1) + b"\n"


def _statement(federation: str, files: Mapping[str, FileDigest]) -> bytes:
    return hashlib.sha256(
        encode([federation, [[path, one.bytes, one.sha256] for path, one in sorted(files.items())]])
    ).digest()
