"""Archives of data sets: what goes in comes out, and nothing lands anywhere else."""

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from medward.bench.store.memory_program import peak_beyond_now
from medward.node.errors import NodeError
from medward.node.sealed_data.tar_stream import PieceReader, pack, unpack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "captures"
    (made / "benign").mkdir(parents=True)
    (made / "benign" / "a.csv").write_bytes(b"x,y\n1,2\n")
    (made / "empty.csv").write_bytes(b"")
    (made / ("long" * 40 + ".csv")).write_bytes(bytes(1_500_000))
    return made


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_folder_comes_back_and_says_nothing_of_the_machine(folder: Path, tmp_path: Path) -> None:
    archive = b"".join(pack(folder))
    assert contents(unpack([archive], tmp_path / "out")) == contents(folder)
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for one in opened:
            assert (one.uid, one.gid, one.uname, one.mtime) == (0, 0, "", 0)


def test_file_comes_back_from_pieces_of_any_size(folder: Path, tmp_path: Path) -> None:
    file = folder / "benign" / "a.csv"
    archive = b"".join(pack(file))
    made = unpack((archive[at : at + 7] for at in range(0, len(archive), 7)), tmp_path / "out")
    assert (made.name, made.read_bytes()) == ("a.csv", file.read_bytes())


def test_a_name_that_is_taken_is_not_touched(folder: Path, tmp_path: Path) -> None:
    archive = b"".join(pack(folder))
    out = tmp_path / "out"
    (out / "captures").mkdir(parents=True)
    with pytest.raises(NodeError, match="is there already"):
        unpack([archive], out)
    assert list(out.iterdir()) == [out / "captures"]
    assert contents(out) == {}


def test_pieces_that_end_in_an_error_leave_nothing(folder: Path, tmp_path: Path) -> None:
    archive = b"".join(pack(folder))

    def failing(after: int) -> Iterator[bytes]:
        yield archive[:after]
        raise NodeError("the last chunk does not open")

    for after in (0, 600, len(archive) - 1, len(archive)):
        with pytest.raises(NodeError, match="last chunk"):
            unpack(failing(after), tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []


def test_cut_archive_is_refused(folder: Path, tmp_path: Path) -> None:
    archive = b"".join(pack(folder))
    with pytest.raises(NodeError):
        unpack([archive[: len(archive) // 2]], tmp_path / "out")
    with pytest.raises(NodeError):
        unpack([b"no archive at all" * 100], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made.tobuf(tarfile.PAX_FORMAT)


@pytest.mark.parametrize(
    "hostile",
    [
        entry("../outside"),
        entry("captures/../../outside"),
        entry("/outside"),
        entry("captures/link", tarfile.SYMTYPE, "/etc/passwd"),
        entry("captures/link", tarfile.LNKTYPE, "captures/a"),
        entry("captures/pipe", tarfile.FIFOTYPE),
        entry("captures/device", tarfile.CHRTYPE),
        entry("captures/twice") * 2,
        entry("captures/a") + entry("captures/a/b"),
        entry("one") + entry("two"),
    ],
)
def test_archive_that_was_not_made_here_is_refused(hostile: bytes, tmp_path: Path) -> None:
    with pytest.raises(NodeError):
        unpack([hostile, bytes(1024)], tmp_path / "out")
    assert [path for path in tmp_path.rglob("*") if path.name != "out"] == []


def test_links_and_empty_folders_are_not_packed(folder: Path, tmp_path: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(NodeError, match="is a link"):
        list(pack(folder))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NodeError, match="holds no file"):
        list(pack(tmp_path / "empty"))
    with pytest.raises(NodeError):
        list(pack(tmp_path / "nothing"))


def test_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "growing.csv"
    file.write_bytes(bytes(3_000_000))
    packing = pack(file)
    next(packing), next(packing)
    with file.open("ab") as more:
        more.write(b"more")
    with pytest.raises(NodeError, match="changed while it was read"):
        list(packing)


def test_reader_gives_what_is_asked_for() -> None:
    reader = PieceReader(iter([b"ab", b"", b"cdef", b"g"]))
    assert [reader.read(3), reader.read(1), reader.read(), reader.read(5)] == [b"abc", b"d", b"efg", b""]


# Archives by hand (threat T12).


def sparse(size: int, real: bytes = b"x" * 512) -> bytes:
    """The old GNU form: a header that claims a file of `size` bytes, of which 512 are there."""
    header = bytearray(entry("captures/a"))
    header[124:136] = b"%011o\0" % len(real)
    header[156:157], header[257:265] = b"S", b"ustar  \0"
    header[386:398], header[398:410] = b"%011o\0" % 0, b"%011o\0" % len(real)
    header[483:495] = b"\x80" + size.to_bytes(11, "big")
    return _summed(header) + real


def paxed(records: dict[str, str], content: bytes = b"x", pieces: bytes = b"") -> bytes:
    """A file with these records before it, or with `pieces` in their place."""
    lines = pieces
    for key, value in records.items():
        rest = f" {key}={value}\n".encode()
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length = len(str(length)) + len(rest)
        lines += str(length).encode() + rest
    head = bytearray(entry("captures/pax", tarfile.XHDTYPE))
    head[124:136] = b"%011o\0" % len(lines)
    file = bytearray(entry("captures/a"))
    file[124:136] = b"%011o\0" % len(content)
    whole = _summed(head) + lines + bytes(-len(lines) % 512)
    return whole + _summed(file) + content + bytes(-len(content) % 512)


def _summed(header: bytearray) -> bytes:
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


BY_HAND = {
    "sparse file of 8 TiB": sparse(2**43),
    "sparse file by pax": paxed({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**43)}),
    "escape sequence": entry("captures/a\n\x1b[31mb"),
    "characters that turn around": entry("captures/\u202egnp.exe"),
    "NUL in a name": paxed({"path": "captures/a\0b"}),
    "name that is no text": entry("captures/a").replace(b"captures/a", b"captures/\xff"),
    "two thousand folders": entry("/".join("d" * 2000)),
    "name of 300 bytes": entry("captures/" + "n" * 300),
    "name of 5000 bytes": entry("/".join(["n" * 200] * 25)),
    "hidden name": entry(".bash_profile"),
    "name of nothing": entry(""),
    "folder": entry("captures/", tarfile.DIRTYPE),
    "endless header": paxed({}, pieces=b"x" * 100_000),
    "long header": paxed({}, pieces=b"19 path=captures/a\n" * 1000),
    "header that goes round": paxed({}, pieces=b"0 path=a\n"),
    "header that goes back": paxed({}, pieces=b"-5 path=a\n"),
    "header without a value": paxed({}, pieces=b"7 path\n"),
    "negative size": paxed({"size": "-1"}),
    "size that is no number": paxed({"size": "many"}),
    "more than there is": paxed({"size": str(2**60)}),
    "long name of GNU": entry("captures/a", tarfile.GNUTYPE_LONGNAME),
    "wrong sum": entry("captures/a").replace(b"captures", b"aptures/"),
    "nothing": b"",
}


@pytest.mark.parametrize("what", BY_HAND)
def test_archive_by_hand_is_refused_in_one_sentence_and_costs_nothing(what: str, tmp_path: Path) -> None:
    def work() -> None:
        with pytest.raises(NodeError) as refused:
            unpack([BY_HAND[what], bytes(1024)], tmp_path / "out")
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 400

    assert peak_beyond_now(work) < 64
    assert [path for path in tmp_path.rglob("*") if path.name != "out"] == []


def test_sparse_file_fills_a_disk_where_any_archive_is_read(tmp_path: Path) -> None:
    """The library that reads every kind of archive takes 2 KB for a file of 8 TiB."""
    with tarfile.open(fileobj=io.BytesIO(sparse(2**43) + bytes(1024)), mode="r|") as opened:
        [found] = opened
    assert found.isreg()
    assert found.size == 2**43


@pytest.mark.parametrize(
    "name", ["a\x1b[2Jb", "tab\t", ".hidden", "\u202etxt.exe", b"\xff\xfe".decode(errors="surrogateescape")]
)
def test_name_that_would_not_be_unpacked_is_not_packed(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "captures" if name != ".hidden" else tmp_path / name
    folder.mkdir()
    (folder / (name if name != ".hidden" else "a.csv")).write_bytes(b"x")
    with pytest.raises(NodeError, match="rename it") as refused:
        list(pack(folder))
    assert str(refused.value).isprintable()


def test_name_in_any_script_and_a_long_path_come_back(tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    for name in ("\u00e4rzte \u65e5\u672c.csv", f"{'d' * 90}/{'e' * 90}/f.csv", "with space"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    assert contents(unpack(pack(folder), tmp_path / "out")) == contents(folder)


def test_what_is_unpacked_can_be_read_by_its_owner_only(folder: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        made = unpack(pack(folder), tmp_path / "out")
    finally:
        os.umask(before)
    for path in (made, *made.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
