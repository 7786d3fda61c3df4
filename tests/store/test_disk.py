"""The embedded store on a real disk: crashes, full disks, damage, and two processes at once."""

import os
import random
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medward.store.cid import Cid
from medward.store.disk import DiskBlocks
from medward.store.errors import BlockNotFound, CorruptBlock, StoreError, StoreFull, StoreInUse
from medward.store.limits import DEFAULT_LIMITS
from medward.store.local import LocalStore, open_directory

from . import vectors

CONTENT = vectors.content(3 * 1024 * 1024 + 1, "disk")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with open_directory(tmp_path / "store") as opened:
        yield opened


def block_files(directory: Path) -> list[Path]:
    return sorted(path for path in (directory / "blocks").rglob("*") if path.is_file())


def file_of(directory: Path, cid: Cid) -> Path:
    return directory / "blocks" / cid.key[-2] / cid.key


ADD_UNTIL_KILLED = """
import hashlib, sys
from pathlib import Path
from medward.store.local import open_directory
store = open_directory(Path(sys.argv[1]))
number = int(sys.argv[2])
while True:
    content = hashlib.shake_128(str(number).encode()).digest(2_500_000)
    print(number, store.add(content, pin="round/1"), flush=True)
    number += 1
"""


def add_until_killed(directory: Path, first: int, delay: float) -> dict[int, str]:
    """Kill a process `delay` seconds after its first add, and return what it had said was added."""
    command = [sys.executable, "-c", ADD_UNTIL_KILLED, str(directory), str(first)]
    acknowledged: dict[int, str] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        time.sleep(delay)  # where in the next add the kill falls is left to chance on purpose
        process.send_signal(signal.SIGKILL)
        for complete in (line + process.stdout.read()).splitlines():
            if len(complete.split()) == 2 and len(complete.split()[1]) == 59:
                number, cid = complete.split()
                acknowledged[int(number)] = cid
    return acknowledged


def assert_all_is_there(directory: Path, acknowledged: dict[int, str]) -> None:
    with open_directory(directory) as store:
        assert list((directory / "incoming").iterdir()) == []
        for number, cid in acknowledged.items():
            assert store.read(Cid.parse(cid), DEFAULT_LIMITS) == vectors.content(2_500_000, str(number))
        assert store.verify().intact
        assert {str(pin.cid) for pin in store.pins()} >= set(acknowledged.values())


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.08])
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path, delay: float) -> None:
    acknowledged: dict[int, str] = {}
    for attempt in range(2):
        acknowledged |= add_until_killed(tmp_path / "store", attempt * 1000, delay)
    assert len(acknowledged) >= 2
    assert_all_is_there(tmp_path / "store", acknowledged)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_over_forty_kills_of_one_store(tmp_path: Path) -> None:
    acknowledged: dict[int, str] = {}
    chance = random.Random()  # other instants in every run
    for attempt in range(40):
        acknowledged |= add_until_killed(tmp_path / "store", attempt * 1000, chance.uniform(0, 0.15))
        if attempt % 8 == 7:
            assert_all_is_there(tmp_path / "store", acknowledged)
    assert len(acknowledged) >= 40


def test_a_block_cut_short_by_a_crash_is_never_under_its_name(tmp_path: Path) -> None:
    """The files of a write that was not finished are in `incoming/`, and gone when the store is opened again."""
    directory = tmp_path / "store"
    open_directory(directory).close()
    (directory / "incoming" / "half").write_bytes(CONTENT[:1000])
    with open_directory(directory) as store:
        assert store.usage().blocks == 0
        assert not (directory / "incoming" / "half").exists()


def test_a_full_disk_is_said_clearly_and_loses_nothing(small_disk: Path) -> None:
    with open_directory(small_disk / "store") as store:
        kept = store.add(CONTENT[:1_500_000], pin="round/1")
        before = store.usage()
        with pytest.raises(StoreFull, match="release old rounds and collect garbage"):
            store.add(CONTENT[::-1], pin="round/2")
        assert store.pins("round/2") == []
        assert list((small_disk / "store" / "incoming").iterdir()) == []
        assert store.read(kept, DEFAULT_LIMITS) == CONTENT[:1_500_000]
        store.collect_garbage()
        assert store.usage() == before
        assert store.add(CONTENT[:700_000], pin="round/2")


ADD_UNDER_A_FILE_LIMIT = """
import resource, sys
from pathlib import Path
from medward.store.errors import StoreFull
from medward.store.local import open_directory
store = open_directory(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
try:
    store.add(bytes(1_000_000), pin="round/1")
except StoreFull as error:
    print(error)
print(store.pins(), store.usage().blocks, list((Path(sys.argv[1]) / "incoming").iterdir()))
"""


def test_a_write_that_the_system_cuts_short_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ADD_UNDER_A_FILE_LIMIT, str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    message, state = done.stdout.splitlines()
    assert "the store is full" in message
    assert state == "[] 0 []"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_the_limit_on_bytes_is_kept_and_what_was_there_stays(tmp_path: Path) -> None:
    with open_directory(tmp_path / "store", limit=2_000_000) as store:
        kept = store.add(CONTENT[:1_500_000], pin="round/1")
        with pytest.raises(StoreFull, match="limit of 2000000 bytes"):
            store.add(CONTENT, pin="round/2")
        assert store.read(kept, DEFAULT_LIMITS) == CONTENT[:1_500_000]
        store.collect_garbage()
        store.add(CONTENT[1_500_000:1_900_000], pin="round/2")
        assert store.usage().bytes <= 2_000_000


@pytest.mark.parametrize("damage", ["flip a bit", "cut short", "make longer", "empty"])
def test_a_damaged_block_is_found_set_aside_and_repaired_by_adding_again(
    store: LocalStore, tmp_path: Path, damage: str
) -> None:
    cid = store.add(CONTENT, pin="round/1")
    victim = file_of(tmp_path / "store", Cid.of(CONTENT[: 1024 * 1024]))
    content = bytearray(victim.read_bytes())
    content[77] ^= 4
    changed = {
        "flip a bit": content,
        "cut short": content[:-1],
        "make longer": content + bytes(3 * 1024 * 1024),
        "empty": b"",
    }
    victim.write_bytes(changed[damage])

    with pytest.raises(CorruptBlock, match="no longer matches its name and was set aside"):
        store.read(cid, DEFAULT_LIMITS)
    assert not store.has(cid)
    assert store.add(CONTENT, pin="round/1") == cid
    assert store.read(cid, DEFAULT_LIMITS) == CONTENT


def test_garbage_collection_removes_nothing_while_it_cannot_know_what_a_pin_keeps(
    store: LocalStore, tmp_path: Path
) -> None:
    cid = store.add(CONTENT, pin="round/1")
    file_of(tmp_path / "store", cid).write_bytes(b"damaged")
    before = len(block_files(tmp_path / "store"))
    with pytest.raises(StoreError, match="removed nothing"):
        store.collect_garbage()
    assert len(block_files(tmp_path / "store")) == before - 1  # the damaged block itself was set aside
    store.unpin(cid, "round/1")
    assert store.collect_garbage().blocks == before - 1


def test_verification_finds_damage_and_says_what_is_missing_now(store: LocalStore, tmp_path: Path) -> None:
    store.add(CONTENT, pin="round/1")
    damaged, removed = Cid.of(CONTENT[: 1024 * 1024]), Cid.of(CONTENT[-1:])
    with file_of(tmp_path / "store", damaged).open("r+b") as file:
        file.write(b"?")
    first = store.verify()
    assert first.corrupt == [damaged]
    assert first.missing == [damaged]
    file_of(tmp_path / "store", removed).unlink()
    again = store.verify()
    assert again.corrupt == []
    assert again.missing == [damaged]


def test_adding_over_a_damaged_block_writes_it_anew(store: LocalStore, tmp_path: Path) -> None:
    cid = store.add(b"model", pin="model/1")
    file_of(tmp_path / "store", cid).write_bytes(b"modem")
    assert store.add(b"model", pin="model/2") == cid
    assert store.read(cid, DEFAULT_LIMITS) == b"model"


def test_two_processes_cannot_write_one_store(store: LocalStore, tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from medward.store.local import open_directory\n"
    code += "open_directory(Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "StoreInUse" in done.stderr
    assert "another process has the store" in done.stderr
    with pytest.raises(StoreInUse):
        open_directory(tmp_path / "store")


def test_a_store_in_use_can_be_read_and_not_written_by_another(store: LocalStore, tmp_path: Path) -> None:
    cid = store.add(CONTENT, pin="round/1")
    with open_directory(tmp_path / "store", read_only=True) as reader:
        assert reader.read(cid, DEFAULT_LIMITS) == CONTENT
        assert reader.verify().intact
        assert reader.pins() == store.pins()
        with pytest.raises(StoreError, match="reading only"):
            reader.add(b"more", pin="round/1")
        with pytest.raises(StoreError):
            reader.pin(cid, "round/2")


def test_a_store_survives_being_closed_and_opened(tmp_path: Path) -> None:
    with open_directory(tmp_path / "store") as store:
        cid = store.add(CONTENT, pin="round/1")
        usage = store.usage()
    with open_directory(tmp_path / "store") as store:
        assert store.usage() == usage
        assert store.read(cid, DEFAULT_LIMITS) == CONTENT
        assert [pin.label for pin in store.pins()] == ["round/1"]


def test_a_path_that_holds_no_store_is_said_clearly(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no store"):
        open_directory(tmp_path / "nothing", read_only=True)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="cannot make a store"):
        open_directory(tmp_path / "file")


def test_foreign_files_among_the_blocks_are_left_alone(store: LocalStore, tmp_path: Path) -> None:
    store.add(CONTENT, pin="round/1")
    foreign = block_files(tmp_path / "store")[0].parent / "README"
    foreign.write_text("put here by an administrator")
    assert store.verify().intact
    store.collect_garbage()
    assert foreign.exists()


def test_files_are_flushed_before_they_have_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace of the system calls of an add: each block's flush comes before its rename, each folder's after it."""
    trace: list[tuple[str, str]] = []
    real_fsync, real_rename = os.fsync, Path.rename

    def fsync(descriptor: int) -> None:
        real_fsync(descriptor)
        trace.append(("flush", os.readlink(f"/proc/self/fd/{descriptor}")))

    def rename(self: Path, target: Path) -> Path:
        trace.append(("rename", f"{self} {target}"))
        return real_rename(self, target)

    blocks = DiskBlocks(tmp_path / "store")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    with blocks.writer() as writer:
        for number in range(5):
            writer.put(Cid.of(bytes([number])), bytes([number]))
    renames = [(place, what.split()) for place, (kind, what) in enumerate(trace) if kind == "rename"]
    assert len(renames) == 5
    for place, (written, name) in renames:
        assert ("flush", written) in trace[:place]
        assert ("flush", str(Path(name).parent)) in trace[place:]
    blocks.close()


def test_a_block_that_is_gone_is_not_found_and_the_store_named(store: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(BlockNotFound, match=str(tmp_path / "store")):
        store.get_block(Cid.of(b"absent"))


# What is no plain file (threat T12).


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.open(path.parent, os.O_RDONLY)
        try:  # a socket's path may be no longer than 107 bytes
            made.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)


def a_folder(path: Path) -> None:
    (path / "inside").mkdir(parents=True)


def a_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("nowhere")


def a_link_to_the_block(path: Path) -> None:
    elsewhere = path.parents[2] / "elsewhere"
    elsewhere.write_bytes(b"model")
    path.symlink_to(elsewhere)


NOT_PLAIN = [a_pipe, a_socket, a_folder, a_link_to_a_device, a_link_to_nothing, a_link_to_the_block]
not_plain = pytest.mark.parametrize("make", NOT_PLAIN, ids=lambda make: make.__name__)


@not_plain
def test_what_is_no_plain_file_in_a_blocks_place_is_set_aside_and_the_block_got_anew(
    store: LocalStore, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    cid = store.add(b"model", pin="model/1")
    path = file_of(tmp_path / "store", cid)
    path.unlink()
    make(path)
    with pytest.raises(CorruptBlock, match="cannot read the block"):
        store.get_block(cid)
    assert not os.path.lexists(path)
    make(path)
    assert not store.has(cid)
    assert store.verify().corrupt == [cid]
    make(path)
    assert store.add(b"model", pin="model/2") == cid
    assert stat.S_ISREG(path.lstat().st_mode)
    assert store.read(cid, DEFAULT_LIMITS) == b"model"
    store.collect_garbage()
    assert list((tmp_path / "store" / "damaged").iterdir()) == []


@not_plain
def test_what_is_no_plain_file_stops_neither_opening_nor_collecting(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    folder = tmp_path / "store"
    with open_directory(folder) as store:
        cid = store.add(b"model", pin="model/1")
        usage = store.usage()
    make(folder / "blocks" / "a" / Cid.of(b"other").key)
    make(folder / "incoming" / "left")
    make(folder / "damaged" / "left")
    make(folder / "blocks" / "stray")
    with open_directory(folder) as store:
        assert list((folder / "incoming").iterdir()) == []
        assert (store.usage().blocks, store.read(cid, DEFAULT_LIMITS)) == (usage.blocks, b"model")
        assert list(store.verify().corrupt) in ([], [Cid.of(b"other")])
        store.collect_garbage()
        assert store.has(cid)
        assert store.usage().bytes == usage.bytes
    with open_directory(folder, read_only=True) as reader:
        assert reader.read(cid, DEFAULT_LIMITS) == b"model"


def test_blocks_can_be_read_by_their_owner_only(store: LocalStore, tmp_path: Path) -> None:
    path = file_of(tmp_path / "store", store.add(b"model", pin="model/1"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
