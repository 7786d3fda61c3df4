"""What a request asks for: the query before the header, and nonsense is the asker's fault, in one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medward.store.cid import Cid
from medward.store.gateway.negotiation import (
    CAR_TYPE,
    RAW_TYPE,
    BlockRequest,
    ByteRange,
    CarRequest,
    HttpProblem,
    Scope,
    matches_etag,
    read_request,
)

CID = str(Cid.of(b"content"))
TEXT = st.text(max_size=20)


@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        ({"format": "raw"}, None, BlockRequest),
        ({"format": "raw"}, CAR_TYPE, BlockRequest),
        ({"format": "car"}, RAW_TYPE, CarRequest),
        ({}, RAW_TYPE, BlockRequest),
        ({}, f"text/html, {CAR_TYPE};q=0.9, {RAW_TYPE};q=0.8", CarRequest),
        ({}, f"{CAR_TYPE};q=0.1, {RAW_TYPE};q=0.2", BlockRequest),
        ({}, f"{CAR_TYPE};q=0, {RAW_TYPE};q=0.2", BlockRequest),
        ({}, CAR_TYPE.upper(), CarRequest),
    ],
)
def test_format_is_that_of_the_query_else_the_preferred_of_the_header(
    query: dict[str, str], accept: str | None, kind: type
) -> None:
    assert isinstance(read_request(CID, query, accept), kind)


def test_parameters_of_a_car_come_from_the_query_else_from_the_header() -> None:
    one = read_request(
        f"{CID}/a/b%20c//", {"dag-scope": "block", "filename": "x.car"}, f"{CAR_TYPE}; dups=y; order=unk"
    )
    assert one == CarRequest(Cid.parse(CID), ("a", "b c"), Scope.BLOCK, None, True, "x.car")
    assert one.content_type == f"{CAR_TYPE}; version=1; order=dfs; dups=y"
    other = read_request(CID, {"format": "car", "car-dups": "n"}, f"{CAR_TYPE}; dups=y")
    assert isinstance(other, CarRequest)
    assert not other.repeat


@pytest.mark.parametrize(
    ("text", "scope", "expected"),
    [
        ("0:*", None, (ByteRange(0, None), Scope.ENTITY)),
        ("-5:-1", None, (ByteRange(-5, -1), Scope.ENTITY)),
        ("0:9", "all", (ByteRange(0, 9), Scope.ENTITY)),
        ("0:9", "block", (ByteRange(0, 9), Scope.BLOCK)),
        (None, None, (None, Scope.ALL)),
    ],
)
def test_byte_range_implies_the_scope_of_one_file(text: str | None, scope: str | None, expected: object) -> None:
    query = {"format": "car", **({"entity-bytes": text} if text else {}), **({"dag-scope": scope} if scope else {})}
    found = read_request(CID, query, None)
    assert isinstance(found, CarRequest)
    assert (found.byte_range, found.scope) == expected


@pytest.mark.parametrize(
    ("path", "query", "accept", "status"),
    [
        ("", {"format": "raw"}, None, 400),
        ("no-cid", {"format": "raw"}, None, 400),
        (CID + "%00", {"format": "raw"}, None, 400),
        (f"{CID}/a", {"format": "raw"}, None, 400),
        (CID, {}, None, 400),
        (CID, {}, "*/*", 400),
        (CID, {}, "text/html", 406),
        (CID, {"format": "tar"}, CAR_TYPE, 406),
        (CID, {}, f"{CAR_TYPE};q=x", 400),
        (CID, {}, f"{CAR_TYPE};q=nan", 400),
        (CID, {}, f"{CAR_TYPE};q=-1", 400),
        (CID, {"format": "car", "car-version": "2"}, None, 400),
        (CID, {"format": "car", "car-order": "bfs"}, None, 400),
        (CID, {"format": "car", "car-dups": "yes"}, None, 400),
        (CID, {"format": "car", "dag-scope": "everything"}, None, 400),
        (CID, {"format": "car", "entity-bytes": "1"}, None, 400),
        (CID, {"format": "car", "entity-bytes": "*:5"}, None, 400),
        (CID, {"format": "car", "entity-bytes": "0:" + "9" * 5000}, None, 400),
        ("/".join([CID] + ["a"] * 33), {"format": "car"}, None, 400),
        (CID, {}, ",".join(["text/html"] * 40 + [RAW_TYPE]), 406),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_status(
    path: str, query: dict[str, str], accept: str | None, status: int
) -> None:
    with pytest.raises(HttpProblem) as refused:
        read_request(path, query, accept)
    assert refused.value.status == status
    assert len(refused.value.message.splitlines()) == 1


@given(
    TEXT, st.dictionaries(st.sampled_from(["format", "entity-bytes", "dag-scope", "filename"]), TEXT), st.none() | TEXT
)
def test_any_text_is_a_request_or_refused(path: str, query: dict[str, str], accept: str | None) -> None:
    try:
        found = read_request(f"{CID}/{path}", query, accept)
    except HttpProblem:
        return
    assert found.filename.isascii()
    assert not {'"', "\r", "\n", "/", "\\", ";"} & set(found.filename)
    assert len(found.filename) <= 128


@pytest.mark.parametrize(
    ("sent", "matches"),
    [(None, False), ("", False), ('"a"', True), ('W/"a"', True), ('"b", W/"a"', True), ("*", True), ('"b"', False)],
)
def test_entity_tags_are_compared_weakly(sent: str | None, matches: bool) -> None:
    assert matches_etag(sent, '"a"') is matches_etag(sent, 'W/"a"') is matches
