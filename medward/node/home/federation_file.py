"""`federation.json`: what all members hold equal, and where they are reached now. It is public.

The genesis, the engine and the application with its parameters never change; the fingerprint names them, and every
operator compares it before the first start. The cards below them are those of the members at the time of writing, so
that a newcomer knows whom to call; the ledger, not the file, says who is a member, so nobody has to sign them here.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from medward.ledger.encoding import decode, encode
from medward.ledger.errors import LedgerError, NotCanonical
from medward.ledger.membership import MAX_MEMBERS, ChainParameters, Genesis
from medward.ledger.types import Member
from medward.node.errors import InvalidCard, InvalidConfiguration
from medward.node.home.cards import Card, CardForm, card_form, card_of
from medward.node.home.configuration import LedgerEngine
from medward.node.home.private_files import write_private

_FORMAT = "medward-federation/1"


class ApplicationTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the ledger agrees on: a program's name, and its parameters."""

    name: str
    parameters: dict[str, str] = {}


class FederationFile(msgspec.Struct, frozen=True):
    """A federation.

    Args:
        genesis: what the ledger's members agreed on before the first block.
        engine: what orders the blocks.
        application: what is agreed on.
        cards: the members when this was written, sorted by name.
        comet: for CometBFT, its genesis and each validator's id, as JSON; empty for PBFT.
    """

    genesis: Genesis
    engine: LedgerEngine
    application: ApplicationTerms
    cards: tuple[Card, ...]
    comet: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The federation's name."""
        return self.genesis.name

    @property
    def fingerprint(self) -> str:
        """The first 16 bytes of the hash of everything that never changes, to be read aloud."""
        fixed = [
            self.genesis.chain,
            self.engine,
            self.application.name,
            [[key, value] for key, value in sorted(self.application.parameters.items())],
            [[key, value] for key, value in sorted(self.comet.items())],
        ]
        found = hashlib.sha256(encode(fixed)).hexdigest()[:32]
        return " ".join(found[at : at + 4] for at in range(0, 32, 4))

    def card(self, name: str) -> Card | None:
        """Return a member's card as this file has it."""
        return next((card for card in self.cards if card.name == name), None)


class _Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    name: str
    fingerprint: str
    engine: LedgerEngine
    application: ApplicationTerms
    genesis: str
    members: tuple[CardForm, ...]
    comet: dict[str, str] = {}


def found_federation(
    name: str,
    time: int,
    cards: Sequence[Card],
    application: ApplicationTerms,
    *,
    engine: LedgerEngine = "pbft",
    parameters: ChainParameters | None = None,
    comet: Mapping[str, str] | None = None,
) -> FederationFile:
    """Return the federation that these members begin.

    Args:
        name: the federation's name.
        time: milliseconds since 1970; no block is earlier.
        cards: the first members, in any order.
        application: what is agreed on.
        engine: what orders the blocks.
        parameters: of PBFT; the usual ones if None.
        comet: see `FederationFile`.

    Raises:
        InvalidConfiguration: two of them share a name, a key, a certificate or an address, or none or too many are
            given.
        LedgerError: the parameters do not fit each other.
    """
    if not cards:
        raise InvalidConfiguration("a federation needs members: give each with --member or --card")
    if len(cards) > MAX_MEMBERS:
        raise InvalidConfiguration(f"a federation has at most {MAX_MEMBERS} members, not {len(cards)}: give fewer")
    check_distinct(cards)
    members = tuple(sorted((card.member for card in cards), key=lambda member: member.name))
    genesis = Genesis(name, time, parameters or ChainParameters(), members)
    genesis.parameters.validate()
    ordered = tuple(sorted(cards, key=lambda card: card.name))
    return FederationFile(genesis, engine, application, ordered, dict(comet or {}))


def check_distinct(cards: Sequence[Card]) -> None:
    """Check that no two members can be taken for each other.

    Raises:
        InvalidConfiguration: naming what two of them share.
    """

    def said(what: str, values: Sequence[tuple[object, str]]) -> None:
        seen: dict[object, str] = {}
        for value, name in values:
            if value in seen:
                raise InvalidConfiguration(f"{seen[value]} and {name} have the same {what}; each member needs its own")
            seen[value] = name

    said("name", [(card.name, card.name) for card in cards])
    said("key", [(key.data, card.name) for card in cards for key in card.member.keys])
    said("certificate", [(card.member.certificate, card.name) for card in cards])
    said("address", [(at, card.name) for card in cards for at in (card.member.address, card.gateway)])


def render_federation(federation: FederationFile) -> bytes:
    """Return the file's content."""
    form = _Form(
        _FORMAT,
        federation.name,
        federation.fingerprint,
        federation.engine,
        federation.application,
        base64.b64encode(encode(federation.genesis)).decode(),
        tuple(card_form(card) for card in federation.cards),
        federation.comet,
    )
    return msgspec.json.format(msgspec.json.encode(form), indent=2) + b"\n"


def write_federation(federation: FederationFile, path: Path) -> None:
    """Write the file, in place of one that is there, whole or not at all."""
    write_private(path, render_federation(federation))


def read_federation(path: Path) -> FederationFile:
    """Read and check the file.

    Raises:
        InvalidConfiguration: it is missing, malformed, or says of itself what is not so.
    """
    try:
        form = msgspec.json.decode(path.read_bytes(), type=_Form)
    except OSError as error:
        raise InvalidConfiguration(
            f"cannot read {path}: {error.strerror}; get federation.json from a member, "
            "then `medward federation join --federation FILE`"
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(f"{path} is no federation file: {error}") from None
    if form.format != _FORMAT:
        raise InvalidConfiguration(f"{path}: format: expected {_FORMAT}, got '{form.format}'")
    try:
        genesis = decode(base64.b64decode(form.genesis, validate=True), Genesis)
        genesis.parameters.validate()
        cards = tuple(card_of(card) for card in form.members)
        check_distinct(cards)
        _ = genesis.membership
    except (ValueError, NotCanonical, InvalidCard, InvalidConfiguration, LedgerError) as error:
        raise InvalidConfiguration(f"{path}: {error}") from None
    found = FederationFile(genesis, form.engine, form.application, cards, form.comet)
    if (found.fingerprint, found.name) != (form.fingerprint, form.name):
        raise InvalidConfiguration(
            f"{path}: its fingerprint is {found.fingerprint} and not the one it states; get it anew"
        )
    return found


def accounts_parameter(members: Sequence[Member]) -> str:
    """Return, as text, under which public key each member speaks on the ledger: that of its first incarnation."""
    return json.dumps({member.name: member.keys[0].data.hex() for member in members})


def read_accounts(parameters: Mapping[str, str]) -> dict[str, bytes]:
    """Return the members' accounts by name.

    Args:
        parameters: of an application, with what `accounts_parameter` returned under `accounts`.

    Raises:
        KeyError, ValueError: there are none.
    """
    try:
        accounts = msgspec.json.decode(parameters["accounts"], type=dict[str, str])
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    if not accounts:
        raise ValueError("there is no account")
    return {name: bytes.fromhex(key) for name, key in accounts.items()}


def members_to_call(federation: FederationFile) -> tuple[Member, ...]:
    """Return the members as the file has them, for one who joins late."""
    return tuple(card.member for card in federation.cards)
