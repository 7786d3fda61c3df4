import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medward.whole_file import write_made, write_whole

WRITE_FOR_EVER = """
import sys
from pathlib import Path
from medward.whole_file import write_whole
write = write_whole if sys.argv[2] == "whole" else Path.write_bytes
number = 0
while True:
    number += 1
    write(Path(sys.argv[1]), bytes([number % 256]) * 4_000_000)
"""


def torn(path: Path, way: str) -> bool:
    """Whether a reader, or who comes after a kill, ever finds half a file."""
    path.write_bytes(b"\0" * 4_000_000)
    with subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path), way]) as writer:
        until, found = time.monotonic() + 3, False
        while time.monotonic() < until and not found:
            content = path.read_bytes()
            found = len(content) != 4_000_000 or len(set(content)) != 1
        writer.kill()
    content = path.read_bytes()
    return found or len(content) != 4_000_000 or len(set(content)) != 1


def test_reader_finds_the_file_before_or_the_new_one_and_a_plain_write_would_show(tmp_path: Path) -> None:
    assert not torn(tmp_path / "whole", "whole")
    assert torn(tmp_path / "plain", "plain")


def test_file_that_cannot_take_its_place_leaves_the_one_before_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.json"
    write_whole(path, b"before")

    def full(_source: object, _target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_long_name_has_room_beside_it(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 255)
    write_whole(path, b"1")
    assert path.read_bytes() == b"1"


def test_content_that_is_made_once_is_not_made_where_there_is_no_room(tmp_path: Path) -> None:
    target, made = tmp_path / "parts", []

    def make() -> bytes:
        made.append(1)
        return b"opened"

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_made(target, 100_000, make)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (made, list(tmp_path.iterdir())) == ([], [])
    write_made(target, 100_000, make)
    assert (target.read_bytes(), list(tmp_path.iterdir())) == (b"opened", [target])
