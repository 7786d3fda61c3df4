"""`node.toml`: what one node is told by its operator. What the members agree on stands in the federation file.

Errors name the file, the key and what was expected.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from medward.node.errors import InvalidConfiguration

LEDGER_PORT, STORE_PORT, API_PORT = 7450, 7451, 7452
"""The default ports; `federation init` counts on from the one it is given."""
#: Where Kubo listens on a machine that all members share.
ANY_SWARM = "/ip4/127.0.0.1/tcp/0"

Milliseconds = Annotated[int, msgspec.Meta(ge=10, le=600_000)]
StoreEngine = Literal["embedded", "kubo"]
LedgerEngine = Literal["pbft", "cometbft"]

_PARTICIPANT = "[participant]\n"
_SCHEMA, _LONGEST_TOLD = "participant.schema", 80
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_EXPECTED = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<key>.*)`)?", re.DOTALL)


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file; a key that nobody reads is a mistake, not a comment."""


class LedgerTable(_Table, frozen=True):
    """`[ledger]`.

    Args:
        address: host:port at which the other members call this one.
        listen: host:port to listen on.
        engine: must be the one that the federation file names.
        request_timeout: milliseconds that a leader may leave a request unexecuted; see `Parameters` of PBFT.
        status_interval: milliseconds between a replica's words on where it stands.
        fetch_timeout: milliseconds to wait for a peer before another is asked.
    """

    address: str
    listen: str
    engine: LedgerEngine = "pbft"
    request_timeout: Milliseconds = 2000
    status_interval: Milliseconds = 500
    fetch_timeout: Milliseconds = 1000


class StoreTable(_Table, frozen=True):
    """`[store]`.

    Args:
        address: host:port at which the other members ask this one for blocks; the host stands in its certificate.
        listen: host:port to listen on.
        engine: embedded, or kubo (Kubo 0.40 or newer).
        limit_gib: most GiB of blocks that the embedded store keeps; 0 leaves it to the disk.
        swarm: multiaddress on which Kubo accepts the other members.
    """

    address: str
    listen: str
    engine: StoreEngine = "embedded"
    limit_gib: Annotated[float, msgspec.Meta(ge=0)] = 0
    swarm: str = ANY_SWARM


class ApiTable(_Table, frozen=True):
    """`[api]`.

    Args:
        listen: host:port; on anything but a loopback address a certificate is needed.
        certificate: PEM file for TLS, relative to the home; empty for none.
        key: PEM file of its private key, mode 0600.
        requests_per_second: what one caller may ask for, on average.
    """

    listen: str = f"127.0.0.1:{API_PORT}"
    certificate: str = ""
    key: str = ""
    requests_per_second: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 50.0


class LogTable(_Table, frozen=True):
    """`[log]`: the level of what is written, and how many files of 10 MB are kept."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    files: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5


class Configuration(_Table, frozen=True):
    """The whole file.

    Args:
        name: the member's name.
        participant: what the participant is told; it reads this table itself.
    """

    name: str
    ledger: LedgerTable
    store: StoreTable
    api: ApiTable = ApiTable()
    log: LogTable = LogTable()
    participant: dict[str, Any] = {}


def read_configuration(path: Path) -> Configuration:
    """Read and check `node.toml`.

    Raises:
        InvalidConfiguration: with file, key and what was expected.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InvalidConfiguration(
            f"cannot read {path}: {error.strerror}; make a home with `medward federation init` or `join`"
        ) from None
    try:
        found = msgspec.toml.decode(text, type=Configuration)
        check_name(found.name, "name")
        for key, address in _addresses(found):
            split_address(address, key)
        _check_api(found.api)
        _check_texts(msgspec.to_builtins(found), "")
    except InvalidConfiguration as error:
        raise InvalidConfiguration(f"{path}: {error}") from None
    except msgspec.ValidationError as error:
        raise InvalidConfiguration(f"{path}: {_in_words(str(error))}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(f"{path}: expected a TOML file: {error}") from None
    return found


def add_participant(path: Path, table: Mapping[str, Any]) -> None:
    """Have a `node.toml` say what the participant is told, where it says nothing of it yet.

    Raises:
        InvalidConfiguration: `[participant]` is not its last table any more, so that nothing can be added.
    """
    if read_configuration(path).participant:
        return
    before = path.read_text(encoding="utf-8")
    if not before.endswith(_PARTICIPANT):
        raise InvalidConfiguration(f"{path}: participant: expected these keys, which are missing:\n{_scalars(table)}")
    path.write_text(before + _scalars(table), encoding="utf-8")


def change_key(path: Path, table: str, key: str, value: str) -> None:
    """Give a key that stands in a table of a `node.toml` another value, and leave all else as the operator wrote it.

    Raises:
        InvalidConfiguration: the key does not stand there, on a line of its own.
    """
    head, name, rest = path.read_text(encoding="utf-8").partition(f"[{table}]\n")
    inside, bracket, after = rest.partition("\n[")
    line = f"{key} = {json.dumps(value)}"
    changed, times = re.subn(rf'(?m)^{key} = "[^"]*"', lambda _: line, inside, count=1)
    if not times:
        raise InvalidConfiguration(f"{path}: {table}.{key}: expected {json.dumps(value)}; write it there")
    path.write_text(head + name + changed + bracket + after, encoding="utf-8")


def check_name(name: str, key: str) -> str:
    """Return `name` if a member can have it."""
    if not _NAME.fullmatch(name):
        raise InvalidConfiguration(
            f"{key}: expected 1 to 40 lower-case letters, digits and hyphens, not beginning with a hyphen, got '{name}'"
        )
    return name


def split_address(address: str, key: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[ipv6]:port`."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 2**16:
        raise InvalidConfiguration(f"{key}: expected host:port with a port of 1 to 65535, got '{address}'")
    return host.strip("[]"), int(port)


def join_address(host: str, port: int) -> str:
    """Return `host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def render(configuration: Configuration) -> str:
    """Return `node.toml` with every key that an operator is likely to change, and what it means."""
    ledger, store, api, log = configuration.ledger, configuration.store, configuration.api, configuration.log
    return f"""\
# One medward node. What the members agreed on stands in federation.json; docs/run-a-node.md explains every key.
name = "{configuration.name}"

[ledger]
engine = "{ledger.engine}"
address = "{ledger.address}"   # where the other members call this one
listen = "{ledger.listen}"
request_timeout = {ledger.request_timeout}
status_interval = {ledger.status_interval}
fetch_timeout = {ledger.fetch_timeout}

[store]
engine = "{store.engine}"
address = "{store.address}"   # where the other members ask for blocks
listen = "{store.listen}"
limit_gib = {store.limit_gib:g}   # 0: as much as the disk holds
swarm = "{store.swarm}"   # for Kubo only

[api]
listen = "{api.listen}"   # anything but 127.0.0.1 needs certificate and key
certificate = "{api.certificate}"
key = "{api.key}"
requests_per_second = {api.requests_per_second:g}

[log]
level = "{log.level}"
files = {log.files}

{_PARTICIPANT}{_scalars(configuration.participant)}"""


def _scalars(table: Mapping[str, Any]) -> str:
    """Return a table of strings, numbers and booleans as TOML, whose forms of these are JSON's."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())


def _addresses(found: Configuration) -> list[tuple[str, str]]:
    return [
        ("ledger.address", found.ledger.address),
        ("ledger.listen", found.ledger.listen),
        ("store.address", found.store.address),
        ("store.listen", found.store.listen),
        ("api.listen", found.api.listen),
    ]


def _check_api(api: ApiTable) -> None:
    host, _ = split_address(api.listen, "api.listen")
    if bool(api.certificate) != bool(api.key):
        raise InvalidConfiguration("api.key: expected certificate and key together, got one of them")
    if not api.certificate and not is_loopback(host):
        raise InvalidConfiguration(
            f"api.certificate: expected a PEM file, as the API listens on {host} where others can read along"
        )


def _check_texts(value: Any, key: str) -> None:
    """Refuse characters that do not show: no path and no address has them, and a log or a terminal would obey them."""
    if isinstance(value, dict):
        for name, inside in value.items():
            _check_texts(name, f"{key or 'the file'}")
            _check_texts(inside, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for inside in value:
            _check_texts(inside, key)
    elif isinstance(value, str):
        # The text of a schema file has lines; it is read as such, and never told as it is.
        shown = value.replace("\n", "") if key == _SCHEMA else value
        if not shown.isprintable():
            raise InvalidConfiguration(f"{key}: expected characters that show, got {value[:_LONGEST_TOLD]!a}")


def _in_words(problem: str) -> str:
    """Turn msgspec's "Expected `int`, got `str` - at `$.api.port`" round: the key first."""
    match = _EXPECTED.fullmatch(problem)
    assert match is not None
    what = match["what"].replace("`", "")
    missing = re.fullmatch(r"Object missing required field (\S+)", what)
    unknown = re.fullmatch(r"Object contains unknown field (\S+)", what)
    inside = f"{match['key']}." if match["key"] else ""
    if missing:
        return f"{inside}{missing[1]}: expected this key, which is missing"
    if unknown:
        return f"{inside}{unknown[1]}: expected no such key; is it misspelt?"
    return f"{match['key'] or 'the file'}: {what[0].lower()}{what[1:]}"
