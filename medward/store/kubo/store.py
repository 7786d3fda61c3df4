"""`BlobStore` over a Kubo daemon: the daemon keeps and exchanges the blocks, names and bytes are checked here."""

import re
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from medward.store.car import CarDecoder, pieces_of_file
from medward.store.cid import RAW, Cid
from medward.store.dag import get_inline, links_of, walk
from medward.store.errors import (
    BlockNotFound,
    CorruptBlock,
    InvalidCar,
    InvalidCid,
    KuboUnavailable,
    LimitExceeded,
    StoreError,
    StoreFull,
)
from medward.store.gate import Gate
from medward.store.importer import UNIXFS_V1_2025, Content, FileTree, Profile, cut_into_chunks
from medward.store.interface import BlobStore, Collected, Pin, Usage, Verification, check_dag_size, check_label
from medward.store.kubo.rpc import KuboRpc
from medward.store.limits import DEFAULT_LIMITS, DagLimits
from medward.store.pins import PinTable
from medward.store.reader import check_root
from medward.store.records import RecordValue, encode_record, record_cid

_PIN_NAME = "medward"  # tells our pins from those of whoever shares the daemon
_PARALLEL = 8
_CORRUPT = re.compile(r"block (\S+) was corrupt")
_NOT_TO_BE_HAD = ("not find", "not found", "deadline exceeded", "did not answer block/get: timed out")


class KuboStore(BlobStore):
    """Blobs in a Kubo daemon.

    Args:
        rpc: the daemon.
        pins: file with the labels, which Kubo has no place for; None keeps them in memory.
        patience: seconds until a block that only other members have counts as not to be had.
    """

    def __init__(self, rpc: KuboRpc, pins: Path | None, patience: float = 30.0) -> None:
        self._rpc = rpc
        self._pins = PinTable(pins)
        self._patience = patience
        self._pinning = threading.Lock()
        self._gate = Gate()

    def add(self, content: Content, *, pin: str, profile: Profile = UNIXFS_V1_2025) -> Cid:
        """See `BlobStore.add`; StoreError if Kubo names the blob otherwise than it is named here."""
        check_label(pin)
        tree = FileTree(profile, lambda _cid, _block: None)

        def chunks() -> Iterator[bytes]:
            for chunk in cut_into_chunks(content, profile.chunk_size):
                tree.append_leaf(chunk)
                yield bytes(chunk)

        with self._gate.shared():
            answer = self._send(
                "add",
                chunks(),
                cid_version=profile.cid_version,
                raw_leaves=profile.raw_leaves,
                chunker=f"size-{profile.chunk_size}",
                max_file_links=profile.max_links,
                pin=True,
                pin_name=_PIN_NAME,
                progress=False,
            )
            root = tree.finish().cid
            if answer.get("Hash") != str(root):
                self._remove_pin(Cid.parse(answer.get("Hash", "")))
                raise StoreError(
                    f"Kubo named a blob {answer['Hash']} that is {root}; it was not stored, check its version"
                )
            self._pins.add(Pin(root, pin))
        return root

    def put_record(self, value: RecordValue, *, pin: str) -> Cid:
        """See `BlobStore.put_record`."""
        block = encode_record(value)
        cid = record_cid(block)
        check_label(pin)
        with self._gate.shared():
            answer = self._send("block/put", [block], cid_codec="dag-cbor", mhtype="sha2-256", pin=False)
            if answer.get("Key") != str(cid):
                raise StoreError(f"Kubo named a record {answer.get('Key')} that is {cid}; check its version")
            self._pins.add(Pin(cid, pin, whole=False))
            self._apply_pins(cid)
        return cid

    def import_car(self, source: BinaryIO, *, pin: str, limits: DagLimits = DEFAULT_LIMITS) -> tuple[Cid, ...]:
        """See `BlobStore.import_car`."""
        check_label(pin)
        decoder = CarDecoder(limits.max_blocks)
        with self._gate.shared():
            for _ in self._rpc.lines("dag/import", _checked(source, decoder, limits), pin_roots=False):
                pass
            roots = decoder.finish()
            if not roots:
                raise InvalidCar("the CAR names no root, so nothing in it could be kept")
            for root in roots:
                hole = self._first_hole(root, limits)
                if hole is not None:
                    raise InvalidCar(f"the CAR is incomplete: the block {hole} below its root {root} is missing")
            for root in roots:
                self._keep(root, pin)
        return roots

    def fetch(
        self, root: Cid, limits: DagLimits = DEFAULT_LIMITS, *, pin: str | None = None, likely: str | None = None
    ) -> None:
        """See `BlobStore.fetch`; other members are reached through Kubo's swarm, which asks all of them."""
        del likely
        with self._gate.shared():
            with suppress(BlockNotFound, CorruptBlock):
                if limits.sizes is not None:
                    check_root(root, self.get_block(root), limits)
            if self._first_hole(root, limits) is not None:
                with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="kubo-fetch") as pool:
                    try:
                        self._fetch_all(root, limits, pool)
                    finally:
                        pool.shutdown(cancel_futures=True)
            if pin is not None:
                self._keep(root, check_label(pin))

    def fetch_block(self, cid: Cid) -> bytes:
        """See `BlobStore.fetch_block`."""
        try:
            return self.get_block(cid)
        except CorruptBlock:
            self._drop_corrupt()
        except BlockNotFound:
            pass
        return self._block(cid, offline=False)

    def has(self, root: Cid) -> bool:
        """See `BlobStore.has`."""
        return self._first_hole(root, DEFAULT_LIMITS) is None

    def get_block(self, cid: Cid) -> bytes:
        """See `BlobStore.get_block`."""
        return get_inline(cid, lambda wanted: self._block(wanted, offline=True))

    def pin(self, root: Cid, label: str) -> None:
        """See `BlobStore.pin`."""
        check_label(label)
        with self._gate.shared():
            hole = self._first_hole(root, DEFAULT_LIMITS)
            if hole is not None:
                raise BlockNotFound(f"cannot pin {root}: its block {hole} is not here; fetch it first")
            self._keep(root, label)

    def unpin(self, root: Cid, label: str) -> None:
        """See `BlobStore.unpin`."""
        if any(pin.cid == root for pin in self.pins(label)):
            self._pins.remove(root, label)
            self._apply_pins(root)

    def pins(self, label: str | None = None) -> list[Pin]:
        """See `BlobStore.pins`."""
        return self._pins.matching(label)

    def collect_garbage(self) -> Collected:
        """See `BlobStore.collect_garbage`; what others who share the daemon have pinned stays."""
        with self._gate.exclusive():
            self._remove_pins_without_label()
            before = self.usage()
            removed = [line for line in self._rpc.lines("repo/gc", None) if line.get("Key")]
            return Collected(len(removed), max(before.bytes - self.usage().bytes, 0))

    def verify(self) -> Verification:
        """See `BlobStore.verify`; a block that is set aside is removed from Kubo."""
        corrupt = self._drop_corrupt()
        missing = []
        for root, whole in self._pins.roots().items():
            hole = self._first_hole(root, DEFAULT_LIMITS, deep=whole)
            if hole is not None:
                missing.append(hole)
        usage = self.usage()
        return Verification(usage.blocks, usage.bytes, corrupt, missing)

    def usage(self) -> Usage:
        """See `BlobStore.usage`; the bytes are those of Kubo's whole repository."""
        answer = self._rpc.call("repo/stat")
        return Usage(int(answer["NumObjects"]), int(answer["RepoSize"]), None)

    def close(self) -> None:
        """See `BlobStore.close`; the daemon goes on."""
        self._pins.close()
        self._rpc.close()

    def _fetch_all(self, root: Cid, limits: DagLimits, pool: ThreadPoolExecutor) -> None:
        seen, size = {root}, 0
        waiting: deque[tuple[Cid, int]] = deque([(root, 0)])
        running: dict[Future[bytes], tuple[Cid, int]] = {}
        while waiting or running:
            while waiting and len(running) < _PARALLEL:
                cid, depth = waiting.popleft()
                running[pool.submit(get_inline, cid, self.fetch_block)] = (cid, depth)
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                cid, depth = running.pop(future)
                block = future.result()
                if cid == root:
                    check_root(root, block, limits)
                size += len(block)
                if depth == limits.max_depth and links_of(cid, block):
                    raise LimitExceeded(f"the DAG below {root} is deeper than {limits.max_depth} links")
                new = [link for link in dict.fromkeys(links_of(cid, block)) if link not in seen]
                seen.update(new)
                check_dag_size(root, len(seen), size, limits)
                waiting.extend((link, depth + 1) for link in new)

    def _first_hole(self, root: Cid, limits: DagLimits, deep: bool = True) -> Cid | None:
        """Return a block that is missing or corrupt, None if all is here; leaves are looked for but not read."""
        missing: list[Cid] = []

        def get(cid: Cid) -> bytes:
            try:
                if cid.codec == RAW:
                    self._call_for(cid, "block/stat", offline=True)
                    return b""
                return self._block(cid, offline=True)
            except (BlockNotFound, CorruptBlock):
                missing.append(cid)
                raise

        with suppress(BlockNotFound, CorruptBlock):
            for _ in walk(root, get, limits, links=links_of if deep else lambda _cid, _block: ()):
                pass
        return missing[0] if missing else None

    def _block(self, cid: Cid, offline: bool) -> bytes:
        block = self._call_for(cid, "block/get", offline=offline)
        if not cid.matches(block):
            raise CorruptBlock(f"Kubo's block {cid} does not match its name; `verify` removes it, `fetch` gets it anew")
        return block

    def _call_for(self, cid: Cid, command: str, offline: bool) -> bytes:
        try:
            return self._rpc.fetch(command, None if offline else self._patience, arg=str(cid), offline=offline)
        except KuboUnavailable as error:
            if any(sign in str(error) for sign in _NOT_TO_BE_HAD):
                raise BlockNotFound(f"{cid} is not to be had: {error}") from None
            raise

    def _send(self, command: str, content: Iterable[bytes], **arguments: str | int | bool) -> dict[str, str]:
        answer = None
        try:
            for answer in self._rpc.lines(command, content, **arguments):  # noqa: B007
                pass
        except KuboUnavailable as error:
            if "no space left" in str(error):
                raise StoreFull(f"the disk under Kubo is full: {error}; make room or collect garbage") from None
            raise
        if not isinstance(answer, dict):
            raise KuboUnavailable(f"Kubo at {self._rpc.url} did not say whether {command} was done; see its log")
        return answer

    def _keep(self, root: Cid, label: str) -> None:
        self._pins.add(Pin(root, label))
        self._apply_pins(root)

    def _apply_pins(self, cid: Cid) -> None:
        """Make Kubo pin the root as the labels say: all of it, its block alone, or not at all."""
        with self._pinning:
            whole = self._pins.roots().get(cid)
            if whole:
                self._rpc.call("pin/add", arg=str(cid), recursive=True, name=_PIN_NAME, offline=True)
                return
            self._remove_pin(cid)
            if whole is False:
                self._rpc.call("pin/add", arg=str(cid), recursive=False, name=_PIN_NAME, offline=True)

    def _remove_pin(self, cid: Cid) -> None:
        try:
            self._rpc.call("pin/rm", arg=str(cid), recursive=True)
        except KuboUnavailable as error:
            if "not pinned" not in str(error):
                raise

    def _remove_pins_without_label(self) -> None:
        """A crash between Kubo's pin and its label leaves one that nobody would ever release."""
        labelled = {str(cid) for cid in self._pins.roots()}
        for kind in ("recursive", "direct"):
            for line in list(self._rpc.lines("pin/ls", None, type=kind, names=True, stream=True)):
                if line.get("Name") == _PIN_NAME and line["Cid"] not in labelled:
                    self._remove_pin(Cid.parse(line["Cid"]))

    def _drop_corrupt(self) -> list[Cid]:
        corrupt = []
        for line in self._rpc.lines("repo/verify", None, drop=True):
            found = _CORRUPT.match(line.get("Msg") or "")
            if found:
                with suppress(InvalidCid):
                    corrupt.append(Cid.parse(found.group(1)))
        return corrupt


def _checked(source: BinaryIO, decoder: CarDecoder, limits: DagLimits) -> Iterator[bytes]:
    """Pass a CAR on as it is read, once each block in it was checked and counted."""
    blocks, size = 0, 0
    for piece in pieces_of_file(source):
        for cid, block in decoder.receive(piece):
            blocks, size = blocks + 1, size + len(block)
            check_dag_size(cid, blocks, size, limits)
        yield piece
    decoder.finish()
