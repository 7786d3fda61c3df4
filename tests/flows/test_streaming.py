"""Flows that come one after the other: the same as from a file, whatever the cuts, and one wrong row costs itself."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.flows.datasets import WUSTL
from medward.flows.errors import BadFile
from medward.flows.reading import read_flows
from medward.flows.schema import concatenate
from medward.flows.streaming import FlowStream, chunks_of, follow
from tests.flows.flow_files import table_of, text_of, write

NAME = Path("standard input")


def streamed(chunks: Iterator[bytes | None]) -> tuple[list[np.ndarray], list[str]]:
    """Return the rows of a stream, and the sentences about those that were refused."""
    refused: list[str] = []
    stream = FlowStream(WUSTL, NAME, lambda error: refused.append(str(error)))
    return [flows.x for flows, frame in stream.read(chunks) if len(flows) == frame.height], refused


@given(size=st.integers(1, 3000), end=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
@settings(deadline=None, max_examples=20)
def test_cuts_of_a_stream_do_not_show(size: int, end: str, last: bool) -> None:
    text = text_of(table_of(WUSTL, 12, 4), end=end)
    data = (text if last else text.removesuffix(end)).encode()
    rows, refused = streamed(data[at : at + size] for at in range(0, len(data), size))
    assert refused == []
    whole, _ = streamed(iter([data]))
    np.testing.assert_array_equal(np.concatenate(rows), np.concatenate(whole))
    assert len(np.concatenate(rows)) == 12


def test_stream_gives_what_the_file_gives(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", table_of(WUSTL, 50, 5))
    rows, _ = streamed(iter([path.read_bytes()]))
    np.testing.assert_array_equal(np.concatenate(rows), read_flows(WUSTL, path).x)


def test_wrong_rows_are_named_and_cost_only_themselves() -> None:
    header, *lines = text_of(table_of(WUSTL, 6, 6)).splitlines()
    wrong = [lines[0] + ",1", lines[1].replace(",", ",x", 1), '"' + lines[2], "\xff\x00,;", "y" * (1 << 20) + "z"]
    text = "\n".join([header, lines[0], *wrong, "", lines[1], lines[2]]) + "\n"
    rows, refused = streamed(iter([text.encode("latin-1")]))
    good = [lines[0], lines[1], lines[2]]
    expected, _ = streamed(iter(["\n".join([header, *good]).encode()]))
    assert len(np.concatenate(rows)) in (3, 4)
    np.testing.assert_array_equal(np.concatenate(rows)[-2:], np.concatenate(expected)[-2:])
    assert len(refused) >= 4
    assert all(sentence.startswith("standard input") for sentence in refused)


def test_what_is_no_table_ends_the_stream_in_one_sentence() -> None:
    for data, sentence in ((b"\x1f\x8b\x08", "compressed"), (b"a,b\n1,2\n", "the column is missing"), (b"", "empty")):
        with pytest.raises(BadFile, match=sentence):
            streamed(iter([data]))


def test_pipe_is_read_as_it_comes() -> None:
    text = text_of(table_of(WUSTL, 4, 7)).encode()
    ours, theirs = os.pipe()
    stream = FlowStream(WUSTL, NAME, pytest.fail)
    cut = text.rindex(b"\n", 0, len(text) - 1) + 1
    os.write(theirs, text[:cut])
    batches = stream.read(chunks_of(ours))
    assert len(next(batches)[0]) == 3
    os.write(theirs, text[cut:])
    os.close(theirs)
    assert [len(flows) for flows, _ in batches] == [1]
    os.close(ours)


def test_file_that_grows_and_is_rotated_is_followed(tmp_path: Path) -> None:
    path, text = tmp_path / "flows.csv", text_of(table_of(WUSTL, 4, 8))
    header, *lines = text.splitlines(keepends=True)
    path.write_text(header + lines[0] + lines[1][:9])

    def more() -> Iterator[None]:
        with path.open("a") as file:
            file.write(lines[1][9:])
        yield
        path.rename(tmp_path / "flows.csv.1")
        with (tmp_path / "flows.csv.1").open("a") as file:
            file.write(lines[2])
        yield
        path.write_text(header + lines[3])
        yield
        path.write_text(header)  # cut short, and begun again
        yield
        with path.open("a") as file:
            file.write(lines[0])
        yield

    steps = more()
    batches = FlowStream(WUSTL, path, pytest.fail).read(follow(path, lambda: next(steps)))
    found = []
    for flows, _ in batches:
        found.append(flows)
        if sum(map(len, found)) == 5:
            break
    once, _ = streamed(iter([text.encode()]))
    expected = np.concatenate(once)[[0, 1, 2, 3, 0]]
    np.testing.assert_array_equal(concatenate(found).x, expected)
