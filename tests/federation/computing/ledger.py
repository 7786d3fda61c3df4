"""A ledger of one application, to whose members keys were given, that orders each payload in a block of its own."""

from collections.abc import Callable, Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from medward.ledger.encoding import Structure, encode
from medward.ledger.signatures import MemberSigner
from medward.ledger.types import Application, Block, Transaction


class ComputingLedger:
    """An application with the keys of its members, and of a stranger.

    Args:
        make: makes the application of the members' accounts.
        members: by name.
    """

    def __init__(self, make: Callable[[Mapping[str, bytes]], Application], members: Sequence[str]) -> None:
        self.signers = {member: MemberSigner(Ed25519PrivateKey.generate()) for member in (*members, "stranger")}
        self.accounts = {member: self.signers[member].public_keys[0].data for member in members}
        self.application, self.height = make(self.accounts), 0

    def order(self, author: str, payload: bytes) -> tuple[int, bytes]:
        """Order a member's payload; return the code and the data of its result."""
        self.height += 1
        client = self.signers[author].public_keys[0].data
        block = Block(self.height, self.height, (Transaction(client, self.height, payload, ()),))
        (found,) = self.application.apply(block).results
        return found.code, found.data

    def tell(self, said: Sequence[tuple[str, Structure]]) -> list[tuple[int, bytes]]:
        """Order members' records."""
        return [self.order(author, encode(record)) for author, record in said]
