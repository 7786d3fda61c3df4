"""A federation that computes on ciphertexts, as a node's rules; its members stay the same."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from medward.federation.computing.records import ContactSaid
from medward.ledger.encoding import encode
from medward.ledger.types import Application, Member, MemberUpdate
from medward.node.errors import InvalidConfiguration, NodeError
from medward.node.home.cards import Contact
from medward.node.home.federation_file import accounts_parameter, read_accounts
from medward.node.interfaces import Rules


def computing_parameters_of(members: Sequence[Member]) -> dict[str, str]:
    """Return what the federation file says of a federation that computes: under which key each member speaks."""
    return {"accounts": accounts_parameter(members)}


class ComputingRules(Rules):
    """The rules of a federation that computes on ciphertexts.

    Args:
        parameters: as `computing_parameters_of` returns them.

    Raises:
        InvalidConfiguration: they name no accounts.
    """

    def __init__(self, parameters: Mapping[str, str]) -> None:
        try:
            self._accounts = read_accounts(parameters)
        except (KeyError, ValueError):
            raise InvalidConfiguration(
                "the federation file does not say under which keys the members of a federation that computes speak; "
                "get it again from a member"
            ) from None

    @abstractmethod
    def make_application(self) -> Application:
        """Return the application of a federation that begins."""

    def change_members(self, update: MemberUpdate, contact: Contact | None) -> Sequence[bytes]:
        """Refuse: keys that computed together are those of the members of the beginning."""
        raise NodeError(
            "the members of a federation that computes stay the same; found another one with the new members"
        )

    def announce(self, contact: Contact) -> bytes:
        """Return what a member says of its store's place."""
        return encode(ContactSaid(encode(contact)))
