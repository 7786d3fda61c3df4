"""A member's public card: who it is, where it is reached, and a signature that it holds the keys it shows.

Cards are what hospitals exchange before a federation begins, and what a newcomer or a member with new keys hands to one
who is in. They hold nothing secret. Who reads one compares its fingerprint over another channel (a telephone).
"""

import base64
import hashlib
from pathlib import Path

import msgspec

from medward.ledger.encoding import Name, Structure, digest, encode
from medward.ledger.errors import InvalidSignature
from medward.ledger.pbft.identity import NodeIdentity
from medward.ledger.signatures import AlgorithmBytes, MemberVerifier
from medward.ledger.transactions import sign_transaction, verify_transaction
from medward.ledger.types import Member, Transaction
from medward.node.errors import InvalidCard, InvalidConfiguration
from medward.node.home.configuration import check_name, split_address
from medward.node.home.private_files import write_private

_CHAIN = digest("medward member card 1")
"""Stands where a transaction has its chain, so that no card is ever a transaction and no transaction a card."""


class Contact(Structure, frozen=True):
    """Where a member's store is reached.

    Args:
        name: the member.
        gateway: host:port of its gateway.
        swarm: multiaddresses of its Kubo, none where it runs the embedded store.
    """

    name: Name
    gateway: str
    swarm: tuple[str, ...] = ()


class _Statement(Structure, frozen=True):
    member: Member
    gateway: str


class Card(msgspec.Struct, frozen=True):
    """A member's public side, with its own signature.

    Args:
        member: as the ledger knows it.
        gateway: host:port of its store's gateway.
        signatures: over both, by the member's keys; none where the ledger vouches for the member.
    """

    member: Member
    gateway: str
    signatures: tuple[AlgorithmBytes, ...]

    @property
    def name(self) -> str:
        """The member's name."""
        return self.member.name

    @property
    def contact(self) -> Contact:
        """Where its store is reached."""
        return Contact(self.member.name, self.gateway)

    @property
    def fingerprint(self) -> str:
        """The first 16 bytes of the hash of all that the card says, to be read aloud."""
        found = hashlib.sha256(encode(_Statement(self.member, self.gateway))).hexdigest()[:32]
        return " ".join(found[at : at + 4] for at in range(0, 32, 4))


class CardForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card as JSON: bytes are base64."""

    format: str
    name: str
    incarnation: int
    address: str
    gateway: str
    keys: tuple[dict[str, str], ...]
    certificate: str
    signatures: tuple[dict[str, str], ...]


_FORMAT = "medward-card/1"


def sign_card(identity: NodeIdentity, name: str, incarnation: int, address: str, gateway: str) -> Card:
    """Return the card of a new identity."""
    member = identity.member(name, incarnation, address)
    payload = encode(_Statement(member, gateway))
    return Card(member, gateway, sign_transaction(_CHAIN, identity.signer, incarnation + 1, payload).signatures)


def check_card(card: Card) -> Card:
    """Return the card if it is signed by the keys that it shows and its addresses can be called.

    Raises:
        InvalidCard: it is not, or they cannot.
    """
    member = card.member
    try:
        check_name(member.name, "name")
        split_address(member.address, "address")
        split_address(card.gateway, "gateway")
        payload = encode(_Statement(member, card.gateway))
        signed = Transaction(member.keys[0].data, member.incarnation + 1, payload, card.signatures)
        verify_transaction(_CHAIN, MemberVerifier(), signed)
    except InvalidConfiguration as error:
        raise InvalidCard(f"the card of {member.name} is of no use: {error}") from None
    except (InvalidSignature, IndexError):
        raise InvalidCard(
            f"the card of {member.name} is not signed by the keys it shows; ask for it again, over a channel you trust"
        ) from None
    return card


def card_form(card: Card) -> CardForm:
    """Return the card as it stands in a file."""
    member = card.member
    return CardForm(
        _FORMAT,
        member.name,
        member.incarnation,
        member.address,
        card.gateway,
        tuple({key.algorithm: _text(key.data)} for key in member.keys),
        _text(member.certificate),
        tuple({signature.algorithm: _text(signature.data)} for signature in card.signatures),
    )


def card_of(form: CardForm) -> Card:
    """Return the card of a file's content; its signatures are not looked at.

    Raises:
        InvalidCard: it is malformed.
    """
    if form.format != _FORMAT:
        raise InvalidCard(f"'{form.format}' is no card that this version reads; it writes {_FORMAT}")
    try:
        statement = {
            "name": form.name,
            "incarnation": form.incarnation,
            "address": form.address,
            "keys": [_pair(entry) for entry in form.keys],
            "certificate": _bytes(form.certificate),
        }
        member = msgspec.convert(list(_in_order(statement)), Member, builtin_types=(bytes,))
        signatures = tuple(AlgorithmBytes(name, data) for name, data in map(_pair, form.signatures))
    except (ValueError, msgspec.ValidationError) as error:
        raise InvalidCard(f"the card of {form.name} is malformed: {error}") from None
    return Card(member, form.gateway, signatures)


def write_card(card: Card, path: Path) -> None:
    """Write a card as JSON."""
    write_private(path, msgspec.json.format(msgspec.json.encode(card_form(card)), indent=2) + b"\n")


def read_card(path: Path) -> Card:
    """Read and check a card.

    Raises:
        InvalidCard: it cannot be read, is malformed, or not signed by the keys that it shows.
    """
    try:
        return check_card(card_of(msgspec.json.decode(path.read_bytes(), type=CardForm)))
    except OSError as error:
        raise InvalidCard(f"cannot read the card {path}: {error.strerror}; check the path") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidCard(f"{path} is no member's card: {error}") from None


def _in_order(statement: dict[str, object]) -> list[object]:
    return [statement[field] for field in Member.__struct_fields__]


def _pair(entry: dict[str, str]) -> tuple[str, bytes]:
    if len(entry) != 1:
        raise ValueError("expected one algorithm with its bytes")
    [(algorithm, data)] = entry.items()
    return algorithm, _bytes(data)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
