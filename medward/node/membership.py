"""Who is a member now and where each is reached, as the ledger has it; and what follows when that changes."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from medward.errors import MedwardError
from medward.ledger.errors import TransactionRefused
from medward.ledger.types import Member, MemberUpdate
from medward.node.errors import InvalidCard, InvalidConfiguration, NodeError, Retired
from medward.node.home.cards import Card, Contact
from medward.node.home.configuration import split_address
from medward.node.home.federation_file import FederationFile, check_distinct
from medward.node.home.folder import Home
from medward.node.interfaces import Rules, StateReader
from medward.node.ledger.pbft import Consensus, check_not_replaced
from medward.node.ledger.submitter import Submitter, in_time
from medward.node.store.blobs import NodeStore
from medward.store.errors import StoreError
from medward.store.gateway.peer import Peer

_LOG = logging.getLogger("medward.node")
_LOOK_SECONDS = 0.5
_RECONNECT_SECONDS = 30.0


class MembershipWatcher:
    """The members, watched.

    Args:
        home: whose federation file is kept up to date.
        mine: this member.
        federation: as the file has it.
        rules: know the contacts.
        consensus: knows the members.
        query: reads the ledger's latest state here.
        blobs: is told whom to ask and to serve.
    """

    def __init__(
        self,
        home: Home,
        mine: Card,
        federation: FederationFile,
        rules: Rules,
        consensus: Consensus,
        query: StateReader,
        blobs: NodeStore,
    ) -> None:
        self._home = home
        self._mine = mine
        self._federation = federation
        self._rules = rules
        self._consensus = consensus
        self._query = query
        self._blobs = blobs
        self._was_member = False
        self.leaving = False

    @property
    def federation(self) -> FederationFile:
        """The federation, with the members as they are now."""
        return self._federation

    @property
    def is_member(self) -> bool:
        """Whether this member votes, with the keys it holds."""
        return any(member.keys == self._mine.member.keys for member in self._consensus.members)

    async def watch(self) -> None:
        """Follow the ledger's members until this one is none any more.

        Raises:
            Retired: the federation knows this member by other keys, or not at all any more.
        """
        loop = asyncio.get_running_loop()
        seen: tuple[object, ...] = ()
        connected = loop.time()
        while True:
            members = tuple(self._consensus.members)
            check_not_replaced(self._mine.member, members)
            if self.is_member:
                self._was_member = True
            elif self._was_member:
                raise Retired(f"{self._mine.name} is no member of {self._federation.name} any more; the node stops")
            contacts = self._contacts(members)
            if (members, contacts) != seen:
                seen = (members, contacts)
                await self._follow(members, contacts)
            elif loop.time() - connected > _RECONNECT_SECONDS:
                connected = loop.time()
                await asyncio.to_thread(self._blobs.connect)
            await asyncio.sleep(_LOOK_SECONDS)

    async def announce(self, submitter: Submitter) -> None:
        """Tell the others where this member's store is, where they know something else."""
        contact = await asyncio.to_thread(lambda: self._blobs.contact)
        known = self._contacts([self._mine.member]).get(self._mine.name)
        payload = self._rules.announce(contact)
        if known == contact or payload is None:
            return
        try:
            await submitter.submit(payload)
            _LOG.info("told the others that the store of %s is at %s", contact.name, contact.gateway)
        except TransactionRefused as error:
            _LOG.warning("the ledger did not take the store's address: %s", error)

    async def admit(self, card: Card, submitter: Submitter) -> Mapping[str, Any]:
        """Order that a member comes, or comes back with new keys.

        Raises:
            InvalidCard: it is not newer than the member that the ledger has, or can be taken for another one.
            MedwardError: the ledger refuses it.
        """
        others = [known for known in self._federation.cards if known.name != card.name]
        check_distinct([*others, card])
        present = next((member for member in self._consensus.members if member.name == card.name), None)
        if present is not None and present.keys == card.member.keys:
            raise InvalidCard(f"{card.name} is a member with these keys already")
        if present is not None and card.member.incarnation <= present.incarnation:
            raise InvalidCard(
                f"the card of {card.name} has incarnation {card.member.incarnation}, and the ledger has "
                f"{present.incarnation} already; make a newer one with `medward federation rotate`"
            )
        return await self._change(MemberUpdate(card.name, card.member), card.contact, submitter)

    async def remove(self, name: str, submitter: Submitter) -> Mapping[str, Any]:
        """Order that a member goes; NodeError if there is none of that name or it is the last one."""
        names = [member.name for member in self._consensus.members]
        if name not in names:
            raise NodeError(f"there is no member {name}; the members are {', '.join(names)}")
        if len(names) == 1:
            raise NodeError(f"{name} is the last member; a federation cannot be empty")
        if name == self._mine.name:
            self.leaving = True
        try:
            return await self._change(MemberUpdate(name, None), None, submitter)
        except TransactionRefused:
            self.leaving = self.leaving and name != self._mine.name
            raise

    async def retract(self, name: str, submitter: Submitter) -> Mapping[str, Any]:
        """Order that this member's wish about a name is taken back.

        Raises:
            MedwardError: there is none, or this federation knows no wishes.
        """
        payload = self._rules.retract_wish(name)
        if payload is None:
            raise NodeError("in this federation a change is made when it is ordered; there is nothing to take back")
        height = await self._order([payload], submitter)
        if name == self._mine.name:
            self.leaving = False
        _LOG.info("ordered at height %d: the wish about %s is taken back", height, name)
        return {"ordered": True, "height": height, "member": name}

    async def _change(self, update: MemberUpdate, contact: Contact | None, submitter: Submitter) -> Mapping[str, Any]:
        if self._federation.engine == "cometbft":
            raise NodeError("the members of a federation on CometBFT never change; begin another one, or use pbft")
        height = await self._order(self._rules.change_members(update, contact), submitter)
        what = "is to leave" if update.member is None else f"comes with incarnation {update.member.incarnation}"
        _LOG.info("ordered at height %d: %s %s; it takes effect at a checkpoint", height, update.name, what)
        return {"ordered": True, "height": height, "member": update.name}

    async def _order(self, payloads: Sequence[bytes], submitter: Submitter) -> int:
        """Hand payloads in, one after the other; return the height of the last."""
        height = 0
        async with in_time("the change may still be ordered"):
            for payload in payloads:
                height = (await submitter.submit(payload)).height
        return height

    async def _follow(self, members: Sequence[Member], contacts: Mapping[str, Contact]) -> None:
        names = ", ".join(f"{member.name}.{member.incarnation}" for member in members)
        _LOG.info("the members are %s", names)
        cards = {m.name: Card(m, contacts[m.name].gateway, ()) for m in members if m.name in contacts}
        if not self.is_member:
            # A newcomer's ledger begins at the genesis; until it is current, the file knows more.
            cards = cards | {card.name: card for card in self._federation.cards}
        self._federation = msgspec.structs.replace(self._federation, cards=tuple(cards[name] for name in sorted(cards)))
        self._home.install(self._federation)
        try:
            await asyncio.to_thread(self._blobs.set_members, members, contacts)
        except MedwardError as error:
            _LOG.error("the store cannot follow the members: %s", error)
            raise

    def _contacts(self, members: Sequence[Member]) -> dict[str, Contact]:
        found = {}
        for member in members:
            contact = self._rules.contact(member.name, self._query)
            card = self._federation.card(member.name)
            if (contact is None or not _can_be_called(contact)) and card is not None:
                contact = card.contact
            if contact is not None and _can_be_called(contact):
                found[member.name] = contact
        return found


def _can_be_called(contact: Contact) -> bool:
    """Say whether a contact that some member ordered is an address at all."""
    try:
        host, _ = split_address(contact.gateway, "gateway")
        Peer(contact.name, f"https://{contact.gateway}")
    except (InvalidConfiguration, StoreError):
        return False
    return not set(host) & set("/?#@ ")
