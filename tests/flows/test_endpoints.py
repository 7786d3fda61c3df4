"""Endpoints of a flow: whose columns they are, what is told of them, and what is not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medward.flows.datasets import WUSTL
from medward.flows.endpoints import endpoint_columns, endpoints, time_of_day
from medward.flows.reading import read_with_columns
from tests.agents.conftest import SCHEMA
from tests.flows.flow_files import table_of, write


def test_columns_of_endpoints_are_found_and_told(tmp_path: Path) -> None:
    table = table_of(WUSTL, 3, 9) | {"Sport": ["443", "http", ""], "Dport": ["70000", "1.0", "0"]}
    ((flows, frame),) = read_with_columns(WUSTL, write(tmp_path / "a.csv", table))
    columns = endpoint_columns(WUSTL.schema, frame.columns)
    assert columns == {
        "source": "SrcAddr",
        "destination": "DstAddr",
        "source_port": "Sport",
        "destination_port": "Dport",
    }
    told = list(endpoints(frame, columns))
    assert [row.get("source_port") for row in told] == [443, "http", None]
    assert [row.get("destination_port") for row in told] == ["70000", 1, 0]
    assert [row["source"] for row in told] == table["SrcAddr"]
    assert len(flows) == 3


def test_time_of_day_is_told_where_the_order_counts_seconds() -> None:
    assert time_of_day(1_700_000_000.25) == "2023-11-14T22:13:20.250Z"
    assert time_of_day(12.0) is None
    assert time_of_day(float("nan")) is None


@pytest.mark.parametrize(
    ("column", "key"),
    [
        ("src_ip", "source"),
        ("Source IP", "source"),
        ("ip.src", "source"),
        ("IPV4_SRC_ADDR", "source"),
        ("sa", "source"),
        ("dst.addr", "destination"),
        ("Destination", "destination"),
        ("Src Port", "source_port"),
        ("tcp.srcport", "source_port"),
        ("L4_DST_PORT", "destination_port"),
        ("udp.dstport", "destination_port"),
        ("src_bytes", None),
        ("destination_packets", None),
        ("report", None),
        ("", None),
        ("__", None),
    ],
)
def test_names_that_exporters_give_are_known_and_no_others(column: str, key: str | None) -> None:
    schema = replace(SCHEMA, never={column: "is an address"})
    assert endpoint_columns(schema, [column]) == ({} if key is None else {key: column})


def test_column_that_is_a_feature_or_that_the_schema_does_not_know_is_no_endpoint() -> None:
    schema = replace(SCHEMA, never={"dst_ip": "is an address"}, device="src_ip")
    assert endpoint_columns(schema, ["dst_port", "src_ip", "dst_ip", "source"]) == {
        "source": "src_ip",
        "destination": "dst_ip",
    }


def test_first_of_two_columns_for_the_same_end_is_taken() -> None:
    schema = replace(SCHEMA, never={"saddr": "", "src": "", "source": ""})
    assert endpoint_columns(schema, ["source", "src"]) == {"source": "source"}


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=300))
@settings(max_examples=100)
def test_any_text_of_a_port_is_told_as_a_number_of_16_bits_or_as_it_stands(text: str) -> None:
    """Digits that only look like some, and a hundred thousand of them, are text."""
    (told,) = endpoints(pl.DataFrame({"p": [text]}), {"source_port": "p"})
    if not text.strip():
        assert told == {}
    elif isinstance(told["source_port"], int):
        assert 0 <= told["source_port"] < 65536
        assert text.strip().removesuffix(".0").lstrip("0") in (str(told["source_port"]), "")
    else:
        assert text.strip().startswith(told["source_port"])


@pytest.mark.parametrize(
    ("text", "told"),
    [("65535", 65535), ("65536", "65536"), ("443.0", 443), ("-1", "-1"), ("²", "²"), ("٣", "٣"), ("1e3", "1e3")],
)
def test_port_is_a_number_only_where_it_is_written_as_one(text: str, told: str | int) -> None:
    assert list(endpoints(pl.DataFrame({"p": [text]}), {"source_port": "p"})) == [{"source_port": told}]


def test_long_cell_is_cut_and_an_address_stays_text() -> None:
    frame = pl.DataFrame({"a": ["x" * 5000, "12"]})
    first, second = endpoints(frame, {"source": "a"})
    assert first == {"source": "x" * 256}
    assert second == {"source": "12"}


@pytest.mark.parametrize(
    "cells",
    [[[1], [2]], [b"\xff", b"a"], [{"a": 1}, {"a": 2}], [object(), object()]],
    ids=["lists", "octets", "structs", "objects"],
)
def test_column_of_a_parquet_file_that_holds_no_text_names_no_endpoint(cells: list[Any]) -> None:
    frame = pl.DataFrame({"a": cells, "b": ["10.0.0.1", None]}, strict=False)
    assert list(endpoints(frame, {"source": "a", "destination": "b"})) == [{"destination": "10.0.0.1"}, {}]


@pytest.mark.parametrize("order", [float("inf"), float("-inf"), -1e300, 9.3e8, 4.2e9, 1e300])
def test_order_that_is_no_time_of_this_century_is_not_told_as_one(order: float) -> None:
    assert time_of_day(order) is None
