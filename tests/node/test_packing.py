"""Archives of data sets: what goes in comes out, and nothing lands anywhere else."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from medward.node.errors import NodeError
from medward.node.packing import PieceReader, pack, unpack


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
