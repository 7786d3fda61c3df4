"""From an HTTP request to what it asks for.

Source: https://specs.ipfs.tech/http-gateways/trustless-gateway/ (request headers, query parameters), IPIP-412 (CAR
parameters in Accept), IPIP-523 (the query takes precedence).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote

from medward.store.cid import Cid
from medward.store.errors import InvalidCid

RAW_TYPE = "application/vnd.ipld.raw"
CAR_TYPE = "application/vnd.ipld.car"
MAX_PATH_SEGMENTS = 32

_FORMATS = {"raw": RAW_TYPE, "car": CAR_TYPE}
_RANGE = re.compile(r"(-?\d{1,18}):(-?\d{1,18}|\*)")
_FILENAME = re.compile(r"[^\w .()-]", re.ASCII)


class HttpProblem(Exception):
    """A request that is answered with an error.

    Args:
        status: the HTTP status code.
        message: one sentence for whoever sent it.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Scope(Enum):
    """Which blocks at the end of the path are wanted (dag-scope)."""

    BLOCK = "block"
    ENTITY = "entity"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last`, both inclusive; negative ones count from the end, None is the end (entity-bytes)."""

    first: int
    last: int | None

    def resolve(self, size: int) -> tuple[int, int]:
        """Return the range as start and exclusive stop within `size` bytes; start is not before stop where empty."""
        first = max(self.first + size, 0) if self.first < 0 else self.first
        last = size - 1 if self.last is None else self.last
        stop = (last + size if last < 0 else last) + 1
        return first, min(stop, size)


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """One block is asked for."""

    cid: Cid
    filename: str


@dataclass(frozen=True, slots=True)
class CarRequest:
    """A CAR is asked for.

    Args:
        cid: the root of the path.
        path: the names to follow from it.
        scope: which blocks at the end of the path.
        byte_range: which bytes of the file there; None for all.
        repeat: whether a block comes each time that it is linked to (dups=y).
        filename: what a browser would save it as.
    """

    cid: Cid
    path: tuple[str, ...]
    scope: Scope
    byte_range: ByteRange | None
    repeat: bool
    filename: str

    @property
    def content_type(self) -> str:
        """The media type of the answer with its parameters."""
        return f"{CAR_TYPE}; version=1; order=dfs; dups={'y' if self.repeat else 'n'}"


def read_request(path: str, query: Mapping[str, str], accept: str | None) -> BlockRequest | CarRequest:
    """Return what is asked for.

    Args:
        path: the part of the URL after `/ipfs/`, not yet unquoted.
        query: the query parameters.
        accept: the Accept header, None where it is missing.

    Raises HttpProblem: 400 for a malformed CID, path or parameter or where no format is asked for, 406 for formats
    that a trustless gateway does not give.
    """
    name, *segments = path.split("/")
    try:
        cid = Cid.parse(unquote(name))
    except InvalidCid as error:
        raise HttpProblem(400, str(error)) from None
    media_type, parameters = _read_format(query, accept)
    if media_type == RAW_TYPE:
        if any(segments):
            raise HttpProblem(400, "a raw block is asked for by its CID alone, without a path behind it")
        return BlockRequest(cid, _read_filename(query, f"{cid}.bin"))
    _require(query.get("car-version", parameters.get("version", "1")), ("1",), "CAR version")
    _require(query.get("car-order", parameters.get("order", "dfs")), ("dfs", "unk"), "CAR order")
    repeat = _require(query.get("car-dups", parameters.get("dups", "n")), ("y", "n"), "CAR dups") == "y"
    byte_range = _read_byte_range(query.get("entity-bytes"))
    scope = _require(query.get("dag-scope", "entity" if byte_range else "all"), ("block", "entity", "all"), "dag-scope")
    if byte_range and scope == "all":
        scope = "entity"  # entity-bytes implies it
    return CarRequest(cid, _read_path(segments), Scope(scope), byte_range, repeat, _read_filename(query, f"{cid}.car"))


def matches_etag(if_none_match: str | None, etag: str) -> bool:
    """Say whether a request's If-None-Match names `etag` (weak comparison, RFC 9110 section 13.1.2)."""
    if if_none_match is None:
        return False
    names = {name.strip().removeprefix("W/") for name in if_none_match.split(",")}
    return "*" in names or etag.removeprefix("W/") in names


def _read_format(query: Mapping[str, str], accept: str | None) -> tuple[str, Mapping[str, str]]:
    """Return the media type and its parameters; those of Accept also serve a format given in the query."""
    accepted = _read_accept(accept or "")
    wanted = query.get("format")
    if wanted is not None:
        if wanted not in _FORMATS:
            raise HttpProblem(406, f"format={wanted} is not given here; ask for format=raw or format=car")
        media_type = _FORMATS[wanted]
        return media_type, next((found for name, found in accepted if name == media_type), {})
    for media_type, parameters in accepted:
        if media_type in (RAW_TYPE, CAR_TYPE):
            return media_type, parameters
    if accept is None or all(name == "*/*" for name, _ in accepted):
        raise HttpProblem(400, f"say what you want: Accept: {RAW_TYPE} or {CAR_TYPE}, or format=raw or format=car")
    raise HttpProblem(406, f"only {RAW_TYPE} and {CAR_TYPE} are given here")


def _read_accept(accept: str) -> list[tuple[str, dict[str, str]]]:
    """Return the media types of an Accept header, the preferred first; those with q=0 are left out."""
    entries = []
    for part in accept.split(",")[:32]:
        name, *parameters = (piece.strip() for piece in part.split(";"))
        fields = dict(_read_parameter(parameter) for parameter in parameters)
        try:
            weight = float(fields.pop("q", "1"))
        except ValueError:
            raise HttpProblem(400, "a weight (q) in the Accept header is not a number") from None
        if name and weight > 0:
            entries.append((weight, name.lower(), fields))
    entries.sort(key=lambda entry: -entry[0])
    return [(name, fields) for _, name, fields in entries]


def _read_parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip().strip('"')


def _read_byte_range(text: str | None) -> ByteRange | None:
    if text is None:
        return None
    match = _RANGE.fullmatch(text)
    if match is None:
        raise HttpProblem(400, "entity-bytes is FROM:TO, where TO may be *, such as entity-bytes=0:1023")
    first, last = match.groups()
    return ByteRange(int(first), None if last == "*" else int(last))


def _read_path(segments: list[str]) -> tuple[str, ...]:
    names = tuple(unquote(segment) for segment in segments if segment)
    if len(names) > MAX_PATH_SEGMENTS:
        raise HttpProblem(400, f"the path has more than {MAX_PATH_SEGMENTS} parts")
    return names


def _read_filename(query: Mapping[str, str], default: str) -> str:
    return _FILENAME.sub("_", query.get("filename", ""))[:128] or default


def _require(value: str, allowed: tuple[str, ...], what: str) -> str:
    if value not in allowed:
        raise HttpProblem(400, f"{what} must be {' or '.join(allowed)}")
    return value
