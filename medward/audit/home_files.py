"""Which homes an audit reads, and what their small files say: the federation, and the members' cards."""

import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from medward.audit.findings import AuditResult, Finding
from medward.errors import BadUsage, MedwardError
from medward.ledger.membership import Membership
from medward.ledger.types import Member
from medward.node.errors import InvalidCard, NodeError
from medward.node.home.cards import Card, check_card
from medward.node.home.federation_file import FederationFile
from medward.node.home.folder import Home

#: Of a home's small files, which are read whole.
_MOST_BYTES = 2**24


def plain_homes(folder: Path, found: AuditResult) -> dict[str, Home]:
    """Return the home in `folder`, or those below it, by the names of their folders.

    Args:
        folder: of one home, or of several.
        found: takes the homes that cannot be read, since something else stands where a file should.

    Raises:
        NodeError: there is none that can be read.
    """
    homes = {}
    for home in _find_homes(folder):
        try:
            _check_plain(home)
            homes[home.folder.name] = home
        except NodeError as error:
            found.count("files")
            found.problems.append(Finding(str(error), home.folder.name))
    if not homes:
        raise NodeError(f"no home in {folder} can be read: {found.problems[0].what}")
    return homes


def homes_that_ran(homes: Mapping[str, Home], found: AuditResult) -> dict[str, Home]:
    """Return the homes in which a node has left something, if there are any; the others prove as much as absent ones.

    Args:
        homes: by their names.
        found: takes a remark for each of the others.
    """
    left = ("ledger/journal", "ledger/cometbft", "store/blocks", "store/kubo")
    ran = {name: home for name, home in homes.items() if any((home.folder / place).exists() for place in left)}
    if not ran:
        return dict(homes)
    for name in sorted(homes.keys() - ran.keys()):
        what = "it has no ledger and no store: its node never ran, or somebody emptied it"
        found.remarks.append(Finding(what, name))
    return ran


def _find_homes(folder: Path) -> list[Home]:
    if (folder / "node.toml").is_file():
        return [Home(folder)]
    homes = [Home(path.parent) for path in sorted(folder.glob("*/node.toml"))] if folder.is_dir() else []
    if not homes:
        raise NodeError(f"{folder} is no node's home and has none in it: there is no node.toml; check the path")
    return homes


def read_federations(
    homes: Mapping[str, Home], folder: Path, found: AuditResult
) -> tuple[FederationFile, dict[str, FederationFile]]:
    """Return the federation that the homes belong to, and what each home's file says, where it can be read.

    Args:
        homes: by their names.
        folder: where they lie.
        found: takes files that cannot be read.

    Raises:
        BadUsage: the homes belong to several federations.
        NodeError: no file can be read.
    """
    read: dict[str, FederationFile] = {}
    for name, home in homes.items():
        found.count("files")
        try:
            read[name] = home.federation()
        except MedwardError as error:
            found.problems.append(Finding(str(error), name))
    if not read:
        raise NodeError(f"no home in {folder} has a federation file that can be read: {found.problems[0].what}")
    chosen = next(iter(read.values()))
    others = {name: federation for name, federation in read.items() if federation.fingerprint != chosen.fingerprint}
    if others:
        first = next(name for name in read if name not in others)
        name, other = next(iter(others.items()))
        raise BadUsage(
            f"{folder} holds homes of several federations: {first} belongs to {chosen.name} ({chosen.fingerprint}), "
            f"{name} to {other.name} ({other.fingerprint}); audit the homes of each federation in a folder of their own"
        )
    return chosen, read


def _check_plain(home: Home) -> None:
    """Refuse a home in which a pipe, a device or a huge file stands where a small file or a database should.

    Raises:
        NodeError: there is one.
    """
    small = (home.configuration_file, home.federation_file, home.card_file)
    journal = home.ledger / "journal"
    for file in (*small, *(journal / name for name in ("journal.sqlite", "journal.sqlite-wal", "witness"))):
        with suppress(FileNotFoundError, NotADirectoryError):
            seen = file.stat()
            if not stat.S_ISREG(seen.st_mode):
                raise NodeError(f"{file.name} is no plain file, so that this home was not read: copy it again")
            if file in small and seen.st_size > _MOST_BYTES:
                raise NodeError(f"{file.name} has {seen.st_size} bytes, so that this home was not read: copy it again")


def audit_cards(
    homes: Mapping[str, Home], read: Mapping[str, FederationFile], memberships: Sequence[Membership], found: AuditResult
) -> None:
    """Compare the cards in every home with each other, and with the members that the ledger knows."""
    ordered = {(m.name, m.incarnation): m for epoch in memberships for m in epoch.members}
    own: dict[tuple[str, int], Card] = {}
    for name, home in homes.items():
        found.count("cards")
        try:
            card = home.card()
        except MedwardError as error:
            found.problems.append(Finding(f"card.json: {error}", name))
            continue
        own[card.member.name, card.member.incarnation] = card
        _compare_card("card.json", name, card, None, ordered, found)
    for name, federation in read.items():
        for card in federation.cards:
            found.count("cards")
            known = own.get((card.member.name, card.member.incarnation))
            _compare_card("federation.json", name, card, known, ordered, found)


def _compare_card(
    file: str,
    home: str,
    card: Card,
    own: Card | None,
    ordered: Mapping[tuple[str, int], Member],
    found: AuditResult,
) -> None:
    member = card.member
    known = ordered.get((member.name, member.incarnation))
    try:
        # A node that writes the file anew takes the cards from the ledger, where they need no signature.
        if card.signatures:
            check_card(card)
    except InvalidCard as error:
        found.problems.append(Finding(f"{file}: {error}", home))
        return
    if known is None:
        what = f"{file}: the ledger knows no {member.name} of incarnation {member.incarnation}"
        found.remarks.append(Finding(what, home))
    elif (known.keys, known.certificate) != (member.keys, member.certificate):
        what = f"{file}: the keys of {member.name} are not those that the ledger has of it"
        found.problems.append(Finding(what, home))
    elif own is not None and (own.member, own.gateway) != (member, card.gateway):
        what = f"{file}: the card of {member.name} is another than in its own home"
        found.problems.append(Finding(what, home))
