"""Whether a quorum agreed on what this node goes by, and whether one agreed on something else (threat M7).

No f liars can have two blocks of one height certified; f + 1 can, for two members that do not hear of each other. Who
then answered both, or answered one while its neighbour answered the other, would tell more than one sum. So before a
member shows anything that derives from a block, the block's certificate is verified here and compared with those of
all members that answer at once. Of two members that can reach each other, the later one sees the fork.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from medward.ledger.certificates import CertifiedBlock
from medward.ledger.encoding import encode
from medward.ledger.errors import InvalidCertificate, LedgerError
from medward.ledger.membership import Membership
from medward.ledger.signatures import MemberVerifier
from medward.ledger.transactions import encode_transaction
from medward.ledger.types import Block
from medward.node.errors import Forked, NotCertified
from medward.node.home.private_files import write_private

MARKER = "fork.json"


class Forks:
    """Verifies blocks that were applied here, and looks for others of the same height.

    Args:
        chain: the chain id, 32 bytes.
        memberships: gives the members of every epoch so far, from the genesis on.
        own: gives the certified block at a height as this node holds it, None where it holds none.
        others: asks the other members for theirs; what they say is not trusted.
        folder: gets the marker that keeps this node stopped.
    """

    def __init__(
        self,
        chain: bytes,
        memberships: Callable[[], Sequence[Membership]],
        own: Callable[[int], CertifiedBlock | None],
        others: Callable[[int], Awaitable[Sequence[CertifiedBlock]]],
        folder: Path,
    ) -> None:
        self._chain, self._memberships, self._own, self._others = chain, memberships, own, others
        self._folder = folder
        self._verifier = MemberVerifier()

    async def check(self, height: int, block: Block | None) -> None:
        """See `Ledger.certify`.

        Args:
            height: of the block.
            block: as it was applied; None where only its height is known.

        Raises:
            NotCertified: see there.
            Forked: see there; the next start will refuse, too.
        """
        try:
            found = self._own(height)
        except LedgerError as error:
            raise NotCertified(f"the certificate of height {height} cannot be read: {error}") from None
        if found is None and block is None:
            return  # this node took over the state with a checkpoint's certificate
        if found is None or not self._proves(found, height):
            raise NotCertified(f"nothing here proves that a quorum agreed on height {height}")
        if block is not None and not _holds(found, block):
            raise NotCertified(f"the quorum of height {height} agreed on another block than was applied here")
        for other in await self._others(height):
            if other.certificate.header != found.certificate.header and self._proves(other, height):
                self._stop(height, found, other)

    def _proves(self, block: CertifiedBlock, height: int) -> bool:
        """Whether a block of this height bears the signatures of a quorum of the members that ordered it."""
        header, memberships = block.certificate.header, self._memberships()
        later = memberships[header.epoch + 1 : header.epoch + 2]
        if header.height != height or header.epoch >= len(memberships) or any(m.first_height <= height for m in later):
            return False
        try:
            block.verify(memberships[header.epoch], self._chain, self._verifier)
        except InvalidCertificate:
            return False
        return True

    def _stop(self, height: int, mine: CertifiedBlock, other: CertifiedBlock) -> None:
        sentence = (
            f"two different blocks of height {height} bear a quorum's signatures, so more members lied than may: this "
            f"node stops for good; the proof is in {self._folder / MARKER}"
        )
        proof = {"what": sentence, "certificates": [encode(one.certificate).hex() for one in (mine, other)]}
        write_private(self._folder / MARKER, json.dumps(proof).encode())
        raise Forked(sentence)


def check_not_forked(folder: Path) -> None:
    """Refuse to start where this node saw a fork.

    Raises:
        Forked: it did.
    """
    if (folder / MARKER).exists():
        raise Forked(str(json.loads((folder / MARKER).read_bytes())["what"]))


def _holds(certified: CertifiedBlock, block: Block) -> bool:
    """Whether a block as it was applied is the certified one, without what was applied before."""
    ordered = set(certified.transactions)
    applied = {encode_transaction(transaction) for transaction in block.transactions}
    return applied <= ordered and certified.certificate.header.time <= block.time
