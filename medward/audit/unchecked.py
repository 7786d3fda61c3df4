"""The files that an audit does not check, each with the reason: an auditor must not take them for proved."""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from medward.store.cid import Cid
from medward.store.errors import InvalidCid

MOST_NAMED = 1000
_UNKNOWN = "no audit reads a file of this name here"
_LINK = "a symbolic link, which is not followed"
_READ = frozenset({"federation.json", "card.json"})
_JOURNAL = frozenset({"journal.sqlite", "journal.sqlite-wal", "witness"})
#: What nobody but the member reads, or what tells of nothing that others rely on.
_OF_A_HOME = {
    "node.toml": "only what rebuilds the plan is read of it",
    "token": "a secret of the node's API",
    "swarm.key": "a secret of the store's network",
    "lock": "it says only that a node runs",
    "gateway": "keys that the node makes at each start",
    "log": "what the node noted for its operator",
    "participant": "the member's own secrets and notes",
    "data": "the member's own keys and data sets that it has not sent",
    "model": "a copy for use; the ledger's model is what is checked",
    "model-versions": "copies for use; the ledger's model is what is checked",
    "ledger/keys": "the member's secret keys",
    "ledger/fresh": "it says only that the keys were never used",
    "ledger/nonce": "a count for the node itself",
    "ledger/cometbft": "of CometBFT's files, only its blocks are read",
    "ledger/journal/journal.sqlite-shm": "the database's own index of its log",
    "store/pins.sqlite": "what the node keeps; what must be there the ledger says",
    "store/pins.sqlite-wal": "what the node keeps; what must be there the ledger says",
    "store/pins.sqlite-shm": "the database's own index of its log",
    "store/lock": "it says only that a node runs",
    "store/incoming": "blocks that were being written",
    "store/damaged": "blocks that were set aside",
    "store/kubo": "of Kubo's repository, only its blocks are read",
}
_OF_A_DEMO = {
    "trial.json": "it says which folders are homes",
    "federation.json": "a copy; those in the homes are compared",
    "checkpoint": "what a simulated run goes on from",
}
#: Folders of which single files are looked at.
_FOLDERS_OF_A_HOME = frozenset({"ledger", "ledger/journal", "store"})


@dataclass(frozen=True)
class UncheckedFile:
    """A file, or a folder with all that is in it (its path ends with a slash), that was not checked."""

    path: str
    why: str


def unchecked_files(
    folder: Path, homes: Collection[str], compared: Collection[str], reasons: Mapping[str, str] = MappingProxyType({})
) -> Iterator[UncheckedFile]:
    """Yield what lies in a folder and was not checked; the homes are looked through, other folders are named whole.

    Args:
        folder: of one home, if `homes` is empty; or of several.
        homes: their names.
        compared: paths whose whole content was compared with something.
        reasons: path -> why it was not, of files beside the homes.
    """
    if not homes:
        yield from _in_home(folder, "", compared)
        return
    parents = {path.rsplit("/", 1)[0] for path in compared if "/" in path}
    for entry in _entries(folder):
        if entry.name in homes:
            yield from _in_home(folder / entry.name, f"{entry.name}/", compared)
        elif entry.name == "model" or entry.name in parents:
            yield from _others(entry, entry.name, compared, reasons)
        elif entry.name not in compared:
            yield _named(entry, entry.name, {**_OF_A_DEMO, **reasons})


def _in_home(home: Path, prefix: str, compared: Collection[str], below: str = "") -> Iterator[UncheckedFile]:
    for entry in _entries(home / below):
        place = f"{below}{entry.name}"
        if prefix + place in compared or (place in _READ and _is_plain(entry)):
            continue
        if below == "ledger/journal/" and entry.name in _JOURNAL and _is_plain(entry):
            continue
        if place == "store/blocks" and entry.is_dir(follow_symlinks=False):
            yield from _no_blocks(home / place, f"{prefix}{place}/")
        elif place in _FOLDERS_OF_A_HOME and entry.is_dir(follow_symlinks=False):
            yield from _in_home(home, prefix, compared, f"{place}/")
        elif place == "log":
            yield from _others(entry, f"{prefix}{place}", compared, {f"{prefix}{place}": _OF_A_HOME["log"]})
        else:
            found = _named(entry, place, _OF_A_HOME)
            yield UncheckedFile(prefix + found.path, found.why)


def _others(
    folder: os.DirEntry[str], path: str, compared: Collection[str], reasons: Mapping[str, str]
) -> Iterator[UncheckedFile]:
    """Yield what of a folder was not compared."""
    if not folder.is_dir(follow_symlinks=False):
        if path not in compared:
            yield _named(folder, path, reasons)
        return
    for entry in _entries(Path(folder.path)):
        whole = f"{path}/{entry.name}"
        if whole not in compared:
            yield _named(entry, whole, {whole: reasons.get(whole, reasons.get(path, _UNKNOWN))})


def _no_blocks(folder: Path, prefix: str) -> Iterator[UncheckedFile]:
    """Yield what lies among a store's blocks and is none: blocks are hashed, and their names are their hashes."""
    for shelf in _entries(folder):
        if not shelf.is_dir(follow_symlinks=False):
            yield _named(shelf, prefix + shelf.name, {})
            continue
        for entry in _entries(Path(shelf.path)):
            if not (_is_plain(entry) and _is_block(entry.name, shelf.name)):
                yield _named(entry, f"{prefix}{shelf.name}/{entry.name}", {})


def _is_block(key: str, shelf: str) -> bool:
    try:
        return Cid.of_key(key).key == key and key[-2] == shelf
    except InvalidCid:
        return False


def _named(entry: os.DirEntry[str], path: str, reasons: Mapping[str, str]) -> UncheckedFile:
    if entry.is_symlink():
        return UncheckedFile(path, _LINK)
    slash = "/" if entry.is_dir(follow_symlinks=False) else ""
    return UncheckedFile(path + slash, reasons.get(path, _UNKNOWN))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, sorted, without folders that are empty."""
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if not _is_empty(entry)), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_empty(entry: os.DirEntry[str]) -> bool:
    if not entry.is_dir(follow_symlinks=False):
        return False
    with os.scandir(entry.path) as found:
        return next(found, None) is None


def _is_plain(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)
