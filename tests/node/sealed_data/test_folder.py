"""The folder of sealed data: its key is drawn once and private; what is written is whole or gone."""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from medward.node.errors import ExposedSecret, NodeError
from medward.node.sealed_data.folder import DataFolder


def test_key_is_drawn_once_whoever_asks_first(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(folder.key().public)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert stat.S_IMODE(folder.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.folder.iterdir()] == ["key"]


def test_key_that_others_can_read_or_that_is_damaged_is_refused(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.key()
    folder.key_file.chmod(0o644)
    with pytest.raises(ExposedSecret):
        folder.key()
    folder.key_file.chmod(0o600)
    folder.key_file.write_bytes(b"short")
    with pytest.raises(NodeError, match="the copy"):
        folder.key()


def test_sealed_data_wait_under_a_name_that_leads_nowhere_else(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    assert folder.all_unsent() == []
    name = folder.write_unsent([b"sealed ", b"data"])
    assert folder.unsent(name).read_bytes() == b"sealed data"
    assert folder.all_unsent() == [name]
    (folder.folder / "0123456789abcdef.sealed").write_bytes(b"outside")
    for other in (
        "../key",
        "../0123456789abcdef.sealed",
        "key",
        "",
        name.upper(),
        "0" * 16 + ".sealed",
        f"{name}.part",
    ):
        with pytest.raises(NodeError, match="no sealed data"):
            folder.unsent(other)


def test_data_that_cannot_be_sealed_leave_nothing(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")

    def failing() -> Iterator[bytes]:
        yield b"sealed"
        raise NodeError("the file changed while it was read")

    with pytest.raises(NodeError, match="changed"):
        folder.write_unsent(failing())
    assert list((folder.folder / "unsent").iterdir()) == []


WRITE_FOR_EVER = """
import sys, time
from pathlib import Path
from medward.node.sealed_data.folder import DataFolder
def pieces():
    yield b"x" * 1_000_000
    print("writing", flush=True)
    while True:
        time.sleep(0.01)
        yield b"x" * 1000
DataFolder(Path(sys.argv[1])).write_unsent(pieces())
"""


def test_what_a_killed_command_left_is_removed_and_what_another_still_writes_is_not(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(folder.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ}) as writing:
        assert writing.stdout is not None
        writing.stdout.readline()
        first = folder.write_unsent([b"while another one writes"])
        assert len(list((folder.folder / "unsent").glob("*.part"))) == 1
        writing.send_signal(signal.SIGKILL)
    second = folder.write_unsent([b"after it was killed"])
    assert {path.name for path in (folder.folder / "unsent").iterdir()} == {first, second}
