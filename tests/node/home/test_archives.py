"""Reading and writing archives: plain files and nothing else, at a bounded price for whatever comes (threat T12)."""

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.node.home.archives import BLOCK, ArchiveReader, InvalidArchive, check_file_name, header

PARTS = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


class Counting(io.BytesIO):
    """Bytes that count how many of them were asked for at most at once; all that is left counts as without end."""

    most: float = 0

    def read(self, size: int | None = -1) -> bytes:
        self.most = max(self.most, float("inf") if size is None or size < 0 else size)
        return super().read(size)


def archive(*files: tuple[str, bytes]) -> bytes:
    pieces = [header(name, len(content)) + content + bytes(-len(content) % BLOCK) for name, content in files]
    return b"".join(pieces) + bytes(2 * BLOCK)


def signed(block: bytes) -> bytes:
    """Return a header with the checksum that it should have."""
    block = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def by_hand(kind: bytes = b"0", size: bytes = b"00000000001\0", name: bytes = b"x") -> bytes:
    block = bytearray(header("x", 0)[:BLOCK])
    block[:100], block[124:136], block[156:157] = name.ljust(100, b"\0"), size.ljust(12, b"\0"), kind
    return signed(bytes(block))


def read(data: bytes) -> list[tuple[str, bytes]]:
    reader, found = ArchiveReader(io.BytesIO(data)), []
    while (one := reader.next()) is not None:
        found.append((one[0], reader.content(one[1])))
    return found


@settings(max_examples=20)
@given(st.lists(st.tuples(NAMES, st.binary(max_size=1200)), max_size=4))
def test_what_is_written_is_read_and_any_tar_reads_it(files: list[tuple[str, bytes]]) -> None:
    data = archive(*files)
    assert read(data) == files
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        for member, (_, content) in zip(opened.getmembers(), files, strict=True):
            file = opened.extractfile(member)
            assert file is not None
            assert file.read() == content
            assert (member.uid, member.gid, member.uname, member.mtime, member.mode) == (0, 0, "", 0, 0o600)


def test_what_was_not_read_of_a_file_is_skipped() -> None:
    reader = ArchiveReader(io.BytesIO(archive(("a", bytes(3_000_000)), ("b", b"here"))))
    assert reader.next() == ("a", 3_000_000)
    assert len(next(reader.pieces())) == 2**20
    assert reader.next() == ("b", 4)
    assert reader.content(4) == b"here"


def test_file_larger_than_the_caller_reads_is_refused() -> None:
    reader = ArchiveReader(io.BytesIO(archive(("a", b"12345"))))
    reader.next()
    with pytest.raises(InvalidArchive, match="has 5 bytes; at most 4"):
        reader.content(4)


@settings(max_examples=30)
@given(st.integers(0, 2 * BLOCK))
def test_archive_that_is_cut_off_is_noticed(at: int) -> None:
    data = archive(("a", b"content"))
    with pytest.raises(InvalidArchive, match="cut off"):
        read(data[:at])


@pytest.mark.parametrize("kind", sorted(set(b"1234567gLKSxV") - {ord("x")}))
def test_whatever_is_no_plain_file_is_refused(kind: int) -> None:
    with pytest.raises(InvalidArchive, match="no plain file"):
        read(by_hand(bytes([kind]), b"00000000000\0") + bytes(4 * BLOCK))


@pytest.mark.parametrize("kind", [b"0", b"x"])
@pytest.mark.parametrize(
    "size", [b"-0000000001\0", b"+0000000001\0", b"0o000000001\0", b"1_000\0", b"9\0", b"\xff\xff"]
)
def test_size_that_is_no_octal_number_is_refused_and_never_read_to_the_end(kind: bytes, size: bytes) -> None:
    source = Counting(by_hand(kind, size) + bytes(64 * BLOCK))
    with pytest.raises(InvalidArchive, match="malformed"):
        ArchiveReader(source).next()
    assert source.most <= BLOCK


def pax(*records: bytes, size: int | None = None) -> bytes:
    content = b"".join(records)
    stated = len(content) if size is None else size
    return by_hand(b"x", b"%011o\0" % stated) + content + bytes(-len(content) % BLOCK)


def record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode()
    size = next(n for n in range(len(rest), len(rest) + 6) if n == len(rest) + len(str(n)))
    return str(size).encode() + rest


def test_header_before_a_file_may_give_a_path_and_a_size() -> None:
    before = pax(record("path", "long name"), record("size", "3")) + by_hand(size=b"0\0")
    assert read(before + b"abc" + bytes(BLOCK - 3) + bytes(2 * BLOCK)) == [("long name", b"abc")]


@pytest.mark.parametrize(
    "records",
    [
        record("size", "-1"),
        record("size", "1_0"),
        record("size", " 1"),
        record("size", "١"),
        record("GNU.sparse.realsize", "99999999999"),
        record("linkpath", "/etc"),
        b"5 a=b",
        b"0 size=1\n",
        b"-7 size=1\n",
        b"99999999 size=1\n",
        b"nonsense",
        b"3 =\n",
    ],
)
def test_header_with_anything_else_is_refused(records: bytes) -> None:
    source = Counting(pax(records) + by_hand() + bytes(64 * BLOCK))
    with pytest.raises(InvalidArchive):
        ArchiveReader(source).next()
    assert source.most <= BLOCK


def test_header_of_another_kind_of_archive_is_refused_although_its_sum_is_right() -> None:
    block = header("x", 0)[:BLOCK]
    with pytest.raises(InvalidArchive, match="should be an archive is none"):
        read(signed(block[:257] + bytes(6) + block[263:]) + bytes(2 * BLOCK))


def test_header_without_end_is_not_read() -> None:
    source = Counting(pax(size=2**33 - 1))
    with pytest.raises(InvalidArchive, match="at most 16384 are read"):
        ArchiveReader(source).next()
    assert source.most <= BLOCK


def test_any_flipped_bit_of_a_header_is_noticed() -> None:
    for at in range(8 * BLOCK):
        data = bytearray(archive(("name", b"content")))
        data[at // 8] ^= 1 << at % 8
        with pytest.raises(InvalidArchive):
            read(bytes(data))


@given(st.binary(max_size=3 * BLOCK))
def test_arbitrary_bytes_are_refused_in_one_sentence(data: bytes) -> None:
    if data[:BLOCK] != bytes(BLOCK):
        with pytest.raises(InvalidArchive):
            read(data)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../x", "leads somewhere else"),
        ("/x", "leads somewhere else"),
        ("a//b", "leads somewhere else"),
        ("a/./b", "leads somewhere else"),
        ("", "leads somewhere else"),
        ("a/", "leads somewhere else"),
        (".ssh/keys", "hidden"),
        ("a\nb", "do not show"),
        ("\x1b[2J", "do not show"),
        ("a\0b", "do not show"),
        ("a\u202eb", "do not show"),
        ("é" * 128, "over 255 bytes"),
        ("/".join(["ab"] * 65), "more than 64 folders"),
        ("/".join(["a" * 250] * 17), "4000 with its folders"),
    ],
)
def test_name_that_leads_out_or_does_not_show_is_refused(name: str, told: str) -> None:
    with pytest.raises(InvalidArchive, match=told) as refused:
        check_file_name(name)
    assert str(refused.value).isprintable()


def test_usual_names_are_taken_apart() -> None:
    assert check_file_name("ward 3/Aufnahme ä.csv") == ("ward 3", "Aufnahme ä.csv")
    assert check_file_name("/".join(["a" * 255] * 15)) == ("a" * 255,) * 15
