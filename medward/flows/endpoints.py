"""Endpoints of a flow: which columns hold the addresses and ports of its two sides, and the time of day.

They are never features (`Schema.never`); an alert carries them, so that somebody can go and look.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

import polars as pl

from medward.flows.cells import holds_cells
from medward.flows.schema import Schema

#: What an alert calls each, and the names that data sets and flow exporters give it, without case, dots and the like.
_NAMES = {
    "source": r"src_?(addr|address|ip)?|source(_?(addr|address|ip))?|s_?ip|(ipv[46]_)?src_addr|ip_src(_host)?|sa",
    "destination": r"dst_?(addr|address|ip)?|dest(ination)?(_?(addr|address|ip))?|d_?ip|(ipv[46]_)?dst_addr|"
    r"ip_dst(_host)?|da",
    "source_port": r"(src|source|s)_?port|(l4_|tcp_|udp_)src_?port|sp",
    "destination_port": r"(dst|dest|destination|d)_?port|(l4_|tcp_|udp_)dst_?port|dp",
}
_PATTERNS = {key: re.compile(pattern) for key, pattern in _NAMES.items()}
#: Seconds since 1970 that a time of this century has.
_EPOCH = (9.4e8, 4.2e9)
_LONGEST = 256


def endpoint_columns(schema: Schema, columns: Iterable[str]) -> dict[str, str]:
    """Return which of a table's columns hold an endpoint, among those that the schema knows and feeds to no model.

    Args:
        schema: what the columns mean.
        columns: those that the table has.
    """
    known = set(schema.never) | {schema.device}
    found: dict[str, str] = {}
    for column in columns:
        plain = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
        key = next((key for key, pattern in _PATTERNS.items() if pattern.fullmatch(plain)), None)
        if key is not None and column in known:
            found.setdefault(key, column)
    return found


def endpoints(frame: pl.DataFrame, columns: Mapping[str, str]) -> Iterator[dict[str, str | int]]:
    """Yield each row's endpoints; ports are numbers where they are written as such, and empty cells are left out.

    So are columns of lists or octets, which a Parquet file may hold: they name no endpoint.
    """
    texts = [
        (key, frame[column].cast(pl.String).fill_null("").str.strip_chars().to_list())
        for key, column in columns.items()
        if holds_cells(frame.schema[column])
    ]
    for row in range(frame.height):
        yield {key: _value(key, values[row]) for key, values in texts if values[row]}


def _value(key: str, text: str) -> str | int:
    if key.endswith("port") and (number := _port(text)) is not None:
        return number
    return text[:_LONGEST]


def _port(text: str) -> int | None:
    digits = text.removesuffix(".0")
    return (
        int(digits) if digits.isascii() and digits.isdigit() and int(digits[:6]) < 1 << 16 and len(digits) < 6 else None
    )


def time_of_day(order: float) -> str | None:
    """Return the time of a row as UTC (ISO 8601), None where its order key counts no seconds since 1970."""
    if not _EPOCH[0] <= order < _EPOCH[1]:
        return None
    return datetime.fromtimestamp(order, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
