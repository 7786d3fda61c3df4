"""Backups that cannot vote: everything that may exist twice, and nothing that may not.

A replica that forgot a vote, or a member that forgot an answer, contradicts itself when it goes on with its old keys.
So a backup holds no key, no journal, no participant's secret and no token. What it holds: node.toml, federation.json,
the public card, and the store's pins with every block below them. The member comes back as a new incarnation, and gets
the ledger from the others.

The file is a tar archive: node.toml, federation.json, card.json, pins.json, then blocks/CID, each checked as it is
read.
"""

import json
import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from medward.errors import MedwardError
from medward.node.errors import NodeError
from medward.node.home.archives import BLOCK, ArchiveReader, InvalidArchive, header
from medward.node.home.cards import Card, check_card
from medward.node.home.configuration import read_configuration
from medward.node.home.federation_file import read_federation
from medward.node.home.folder import Home
from medward.store.cid import Cid
from medward.store.dag import walk
from medward.store.errors import StoreError
from medward.store.interface import Pin
from medward.store.limits import DEFAULT_LIMITS, MAX_BLOCK_BYTES
from medward.store.local import LocalStore, open_directory

_FILES = ("node.toml", "federation.json", "card.json")
_MAX_TEXT = 2**24


class _Pin(msgspec.Struct, frozen=True):
    """A pin, as pins.json has it."""

    cid: str
    label: str
    whole: bool


class Summary(msgspec.Struct, frozen=True):
    """What a backup holds."""

    member: str
    pins: int
    blocks: int
    bytes: int


def write_backup(folder: Path, out: Path) -> Summary:
    """Write a backup of the node in `folder`, which may run, to `out`.

    Raises:
        NodeError: `out` is there already, or cannot be written.
        StoreError: a pinned blob is not whole here; fetch it or unpin it first.
    """
    home = Home(folder)
    member = home.card().name
    home.federation()
    if home.configuration().store.engine != "embedded":
        raise NodeError("Kubo keeps the blobs of this node; back them up with Kubo's own means (`ipfs dag export`)")
    if out.exists():
        raise NodeError(f"{out} is there already; name another file, so that no backup is lost")
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as archive, open_directory(home.store, read_only=True) as store:
            for name in _FILES:
                _put(archive, name, (folder / name).read_bytes())
            pins = store.pins()
            shown = [{"cid": str(pin.cid), "label": pin.label, "whole": pin.whole} for pin in pins]
            _put(archive, "pins.json", json.dumps(shown).encode())
            blocks, size = _put_blocks(archive, store, pins)
            archive.write(bytes(2 * BLOCK))
        unfinished.rename(out)
    except OSError as error:
        raise NodeError(f"cannot write {out}: {error.strerror}; check the folder and its free space") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return Summary(member, len(pins), blocks, size)


def read_backup(file: Path, folder: Path) -> Card:
    """Make a home in `folder` from a backup, with new keys, and return its card.

    Raises:
        NodeError: the file is no backup, or there is something in the folder.
        StoreError: a block in it does not match its name.
    """
    try:
        with file.open("rb") as archive:
            return _restore(ArchiveReader(archive), Home(folder))
    except (InvalidArchive, OSError) as error:
        raise NodeError(f"{file} is no backup of a node, or it is damaged: {error}") from None


def _restore(archive: ArchiveReader, home: Home) -> Card:
    texts: dict[str, bytes] = {}
    for name in (*_FILES, "pins.json"):
        if (archive.next() or ("", 0))[0] != name:
            raise InvalidArchive(f"it lacks {name}")
        texts[name] = archive.content(_MAX_TEXT)
    staging = home.folder.with_name(f".{home.folder.name}.restoring")
    staging.mkdir(mode=0o700, parents=True)
    try:
        for name in _FILES:
            (staging / name).write_bytes(texts[name])
        configuration = read_configuration(staging / "node.toml")
        federation = read_federation(staging / "federation.json")
        former = check_card(Home(staging).card())
    finally:
        for name in _FILES:
            (staging / name).unlink(missing_ok=True)
        staging.rmdir()
    known = federation.card(former.name)
    last = max(former.member.incarnation, 0 if known is None else known.member.incarnation)
    made = Home.create(home.folder, configuration, last + 1)
    made.install(federation)
    with open_directory(made.store) as store:
        _take_blocks(archive, store)
        _take_pins(store, _pins(texts["pins.json"]))
    return made.card()


def _put(archive: BinaryIO, name: str, content: bytes) -> None:
    archive.write(header(name, len(content)) + content + bytes(-len(content) % BLOCK))


def _put_blocks(archive: BinaryIO, store: LocalStore, pins: list[Pin]) -> tuple[int, int]:
    done: set[bytes] = set()
    size = 0
    for pin in pins:
        below = walk(pin.cid, store.get_block, DEFAULT_LIMITS) if pin.whole else [(pin.cid, store.get_block(pin.cid))]
        for cid, block in below:
            if cid.digest not in done and cid.inline is None:
                done.add(cid.digest)
                size += len(block)
                _put(archive, f"blocks/{cid}", block)
    return len(done), size


def _take_blocks(archive: ArchiveReader, store: LocalStore) -> None:
    with store.blocks.writer() as writer:
        while (entry := archive.next()) is not None:
            name, size = entry
            if not name.startswith("blocks/") or size > MAX_BLOCK_BYTES:
                raise NodeError(f"the backup holds {name[:80]!a}, which no backup does; it is damaged or forged")
            cid, block = Cid.parse(name.removeprefix("blocks/")), archive.content(MAX_BLOCK_BYTES)
            if not cid.matches(block):
                raise NodeError(f"the block {cid} in the backup does not match its name; use another backup")
            writer.put(cid, block)


def _pins(text: bytes) -> list[_Pin]:
    try:
        return msgspec.json.decode(text, type=list[_Pin])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArchive(f"its pins.json is malformed: {error}") from None


def _take_pins(store: LocalStore, pins: list[_Pin]) -> None:
    for pin in pins:
        cid = Cid.parse(pin.cid)
        try:
            if pin.whole:
                store.pin(cid, pin.label)
            else:
                store.put_record(store.get_record(cid), pin=pin.label)
        except StoreError as error:
            raise MedwardError(f"the backup does not hold all of {cid}: {error}") from None
