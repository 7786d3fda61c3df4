"""Beginning a federation: homes for all members on one machine, or from cards that they exchanged."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from medward.ledger.membership import ChainParameters
from medward.ledger.types import Member
from medward.node.errors import InvalidConfiguration
from medward.node.home.cards import Card
from medward.node.home.configuration import (
    ANY_SWARM,
    ApiTable,
    Configuration,
    LedgerEngine,
    LedgerTable,
    StoreTable,
    check_name,
    is_loopback,
    join_address,
    split_address,
)
from medward.node.home.federation_file import ApplicationTerms, FederationFile, found_federation, write_federation
from medward.node.home.folder import Home
from medward.node.home.private_files import write_private
from medward.node.ledger.cometbft import prepare_comet
from medward.store.kubo.configuration import new_swarm_key

Agree = Callable[[Sequence[Member]], Mapping[str, str]]
"""Gives what the members of a new federation agree on: the parameters of its application."""


class Seat(msgspec.Struct, frozen=True):
    """Where one member will sit.

    Args:
        name: the member.
        ledger: host:port for replicas.
        store: host:port of its gateway.
        api: host:port of its HTTP API, on loopback.
        swarm: multiaddress of its Kubo, where it uses one.
    """

    name: str
    ledger: str
    store: str
    api: str
    swarm: str = ANY_SWARM

    @classmethod
    def of(cls, text: str) -> "Seat":
        """Return the seat of NAME=HOST:PORT; store, HTTP API and Kubo take the next three ports in this order.

        On loopback, where many members may be, Kubo takes any free port.

        Raises:
            InvalidConfiguration: it does not read so.
        """
        name, equals, address = text.partition("=")
        if not equals:
            raise InvalidConfiguration(f"--member: expected NAME=HOST:PORT, got '{text}'")
        check_name(name, "--member")
        host, port = split_address(address, f"--member {name}")
        if port + 3 >= 2**16:
            raise InvalidConfiguration(
                f"--member {name}: the ports {port} to {port + 3} are needed; choose a lower one"
            )
        api = join_address("127.0.0.1", port + 2)
        return cls(name, address, join_address(host, port + 1), api, _swarm(host, port + 3))

    def configuration(self) -> Configuration:
        """Return a configuration that listens where the others call."""
        return Configuration(
            self.name,
            LedgerTable(self.ledger, _listen(self.ledger)),
            StoreTable(self.store, _listen(self.store), swarm=self.swarm),
            ApiTable(self.api),
        )


def found_on_one_machine(
    folder: Path,
    name: str,
    seats: Sequence[Seat],
    application: str,
    *,
    settings: Mapping[str, Mapping[str, object]] | None = None,
    own_settings: Mapping[str, Mapping[str, Mapping[str, object]]] | None = None,
    agree: Agree | None = None,
    parameters: ChainParameters | None = None,
    engine: LedgerEngine = "pbft",
    prefix: str = "",
) -> dict[str, Home]:
    """Make a home in `folder` for every seat, and the federation file in each.

    Whoever does this holds everybody's keys for a while: right for a trial, a demonstration, or one operator.

    Args:
        folder: gets one folder for each member, by its name.
        name: the federation's name.
        seats: the members.
        application: see `medward.node.applications`.
        settings: keys of node.toml's tables that differ from the usual, for all members.
        own_settings: the same for single members, by name.
        agree: gives the application's parameters.
        parameters: of PBFT, None for the usual ones.
        engine: of the ledger.
        prefix: stands before the member's name in the name of its home's folder.

    Returns:
        The homes by member.
    """
    if len({seat.name for seat in seats}) != len(seats):
        raise InvalidConfiguration("two members have the same name; each needs its own")
    _check_addresses(seats)
    tables = {**(settings or {}), "ledger": {**(settings or {}).get("ledger", {}), "engine": engine}}
    homes = {}
    for seat in seats:
        configuration = _change(_change(seat.configuration(), tables), (own_settings or {}).get(seat.name, {}))
        homes[seat.name] = Home.create(folder / f"{prefix}{seat.name}", configuration)
    cards = [home.card() for home in homes.values()]
    federation = found_with_cards(name, cards, application, agree=agree, parameters=parameters)
    if engine == "cometbft":
        comet = prepare_comet(dict(sorted(homes.items())), name, federation.genesis.time)
        federation = msgspec.structs.replace(federation, engine=engine, comet=comet)
    swarm_key = new_swarm_key().encode()
    for home in homes.values():
        home.install(federation)
        write_private(home.swarm_key_file, swarm_key)
    write_federation(federation, folder / "federation.json")
    return homes


def found_with_cards(
    name: str,
    cards: Sequence[Card],
    application: str,
    *,
    agree: Agree | None = None,
    parameters: ChainParameters | None = None,
) -> FederationFile:
    """Return the federation of those whose cards are given.

    Args:
        name: its name.
        cards: the members.
        application: see `medward.node.applications`; the first member governs the example application.
        agree: gives the application's parameters.
        parameters: of PBFT, None for the usual ones.
    """
    if agree is not None:
        chosen = dict(agree([card.member for card in cards]))
    else:
        chosen = {"governor": cards[0].member.keys[0].data.hex()} if application == "bank" and cards else {}
    now = int(time.time() * 1000)
    return found_federation(name, now, cards, ApplicationTerms(application, chosen), parameters=parameters)


def make_swarm_key(path: Path) -> None:
    """Write the swarm key of a new federation, which its members exchange over a safe channel."""
    write_private(path, new_swarm_key().encode())


def _listen(address: str) -> str:
    """Return where to listen for calls to `address`: on it if it is a number, else on all addresses."""
    host, port = split_address(address, "address")
    literal = ":" in host or host.replace(".", "").isdigit() or is_loopback(host)
    return address if literal else join_address("0.0.0.0", port)


def _swarm(host: str, port: int) -> str:
    """Return the multiaddress on which Kubo listens for those who call `host`."""
    if is_loopback(host):
        return ANY_SWARM
    listen, _ = split_address(_listen(join_address(host, port)), "address")
    return f"/{'ip6' if ':' in listen else 'ip4'}/{listen}/tcp/{port}"


def _change(configuration: Configuration, settings: Mapping[str, Mapping[str, object]]) -> Configuration:
    tables: dict[str, object] = {}
    for table, keys in settings.items():
        before = getattr(configuration, table)
        tables[table] = {**before, **keys} if isinstance(before, dict) else msgspec.structs.replace(before, **keys)
    return msgspec.structs.replace(configuration, **tables)


def _check_addresses(seats: Sequence[Seat]) -> None:
    taken: dict[str, str] = {}
    for seat in seats:
        for address in (seat.ledger, seat.store):
            if address in taken:
                raise InvalidConfiguration(
                    f"{taken[address]} and {seat.name} both need {address}; leave three ports between members of a host"
                )
            taken[address] = seat.name
