"""The ledger's example application as a node's rules, and a participant that only watches.

With them a federation can be set up, run, watched and changed before it trains anything. Members are changed by the
governor, the client that the parameters name; everybody may note down anything, contacts too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from medward.ledger.bank import Bank, ChangeMembers, Note
from medward.ledger.encoding import encode
from medward.ledger.types import MemberUpdate
from medward.node.errors import InvalidConfiguration
from medward.node.home.cards import Contact
from medward.node.interfaces import Host, Ordered, Participant, Rules


class BankRules(Rules):
    """A bank whose governor changes the members.

    Args:
        parameters: `governor`, a client's public key in hexadecimal; nobody where it is missing.

    Raises:
        InvalidConfiguration: the governor is no such key.
    """

    #: A bank's customers are no members.
    members_only: ClassVar[bool] = False

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._governor = _key(parameters["governor"]) if "governor" in parameters else None

    def make_application(self) -> Bank:
        """Return an empty bank."""
        return Bank(self._governor)

    def change_members(self, update: MemberUpdate, contact: Contact | None) -> Sequence[bytes]:
        """Return the governor's order, and a note of the contact before it."""
        noted = () if contact is None else (self.announce(contact),)
        return (*noted, encode(ChangeMembers((update,))))

    def announce(self, contact: Contact) -> bytes:
        """Return a note of the contact."""
        return encode(Note(f"contact/{contact.name}", encode(contact)))


class Watcher(Participant):
    """Counts what is ordered."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._transactions = 0

    async def run(self) -> None:
        """Count until the node stops."""
        async for event in self._host.ledger.events():
            if isinstance(event, Ordered):
                self._transactions += len(event.results)

    def status(self) -> Mapping[str, Any]:
        """How many transactions were seen since the start."""
        return {"transactions": self._transactions}


def _key(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise InvalidConfiguration("governor: expected a client's public key, 64 hexadecimal digits")
    return found
