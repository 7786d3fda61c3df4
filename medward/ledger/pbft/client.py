"""A client of the ledger: sends to one replica, then to all, and believes f+1 equal answers.

See spec/ledger.md, "Requests"; OSDI'99, 4.1.
"""

import asyncio
from collections.abc import Callable
from itertools import count

from medward.ledger.certificates import CertifiedAnswer, follow_handovers
from medward.ledger.encoding import decode_form, encode
from medward.ledger.errors import InvalidCertificate, LedgerError, NotCanonical, Refused
from medward.ledger.membership import Genesis, Membership
from medward.ledger.pbft.client_protocol import (
    Answer,
    BlockReply,
    ClientMessage,
    GetBlock,
    GetStatus,
    NodeStatus,
    Query,
    QueryAnswer,
    Refusal,
    ServerMessage,
    Submit,
)
from medward.ledger.pbft.identity import pinned_context
from medward.ledger.pbft.transport import frame, read_frame
from medward.ledger.signatures import MemberVerifier, Signer
from medward.ledger.transactions import encode_transaction, sign_transaction
from medward.ledger.types import Member, Receipt


class _Connection:
    """One replica, called when needed and again when it hangs up."""

    def __init__(self, member: Member, hear: Callable[[str, ServerMessage], None]) -> None:
        self.member = member
        self._hear = hear
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._calling = asyncio.Lock()

    async def send(self, message: ClientMessage) -> bool:
        try:
            writer = await self._called()
            writer.write(frame(encode(message)))
            await writer.drain()
        except (OSError, TimeoutError):
            return False
        return True

    async def _called(self) -> asyncio.StreamWriter:
        async with self._calling:
            if self._writer is None or self._writer.is_closing():
                host, _, port = self.member.address.rpartition(":")
                calling = asyncio.open_connection(host.strip("[]"), int(port), ssl=pinned_context(self.member))
                reader, writer = await asyncio.wait_for(calling, 5)
                self._writer = writer
                self._reading = asyncio.create_task(self._read(reader, writer))
            return self._writer

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                message: ServerMessage = decode_form(await read_frame(reader), ServerMessage)
                self._hear(self.member.name, message)
        except (OSError, asyncio.IncompleteReadError, NotCanonical):
            pass
        finally:
            writer.close()


class PbftClient:
    """Submits transactions and reads certified answers.

    Args:
        genesis: what the client trusts; everything else is proved to it.
        signer: the client's key.
        first_nonce: the first number that this client has not used yet.
        members: whom to call, the genesis members where empty.
        patience: seconds to wait for one replica before asking all.
    """

    def __init__(
        self,
        genesis: Genesis,
        signer: Signer,
        *,
        first_nonce: int = 1,
        members: tuple[Member, ...] = (),
        patience: float = 1.0,
    ) -> None:
        self._genesis = genesis
        self._signer = signer
        self._nonces = count(first_nonce)
        self._patience = patience
        self._membership = genesis.membership
        self._waiting: dict[int, tuple[dict[str, Answer | Refusal], asyncio.Future[Answer | Refusal]]] = {}
        self._asked: dict[str, asyncio.Future[ServerMessage]] = {}
        self._connections = {m.name: _Connection(m, self._hear) for m in members or genesis.members}
        self._preferred = 0

    async def close(self) -> None:
        """Hang up."""
        await asyncio.gather(*(connection.close() for connection in self._connections.values()))

    async def submit(self, payload: bytes, give_up: float = 60.0) -> Receipt:
        """Return the receipt that f+1 replicas agree on.

        Args:
            payload: what the application reads.
            give_up: seconds after which nothing is known: it may still be ordered.

        Raises:
            Refused: f+1 replicas do not take it.
            LedgerError: no f+1 equal answers came in time.
        """
        transaction = sign_transaction(self._genesis.chain, self._signer, next(self._nonces), payload)
        encoded = encode_transaction(transaction)
        answered: asyncio.Future[Answer | Refusal] = asyncio.get_running_loop().create_future()
        self._waiting[transaction.nonce] = ({}, answered)
        try:
            await asyncio.wait_for(self._ask_until_answered(encoded, answered), give_up)
        except TimeoutError:
            raise LedgerError(
                f"no f+1 equal answers about transaction {transaction.nonce} came within {give_up:.0f} s; "
                "it may still be ordered"
            ) from None
        finally:
            del self._waiting[transaction.nonce]
        answer = answered.result()
        if isinstance(answer, Refusal):
            raise Refused(
                f"the ledger does not take transaction {transaction.nonce}: {answer.reason}", answer.result.code
            )
        return answer.receipt

    async def query(self, path: str) -> CertifiedAnswer:
        """Return the value at `path` at a stable checkpoint, verified from the genesis on.

        Raises:
            LedgerError: no replica gave an answer that proves itself.
        """
        verifier = MemberVerifier()
        for name in self._connections:
            status = await self._ask(name, GetStatus())
            answer = await self._ask(name, Query(path))
            if isinstance(status, NodeStatus) and isinstance(answer, QueryAnswer) and answer.answer is not None:
                try:
                    epochs = follow_handovers(self._genesis.membership, status.handovers, self._genesis.chain, verifier)
                    answer.answer.verify(epochs[answer.answer.certificate.body.epoch], self._genesis.chain, verifier)
                except (InvalidCertificate, IndexError):
                    continue
                if answer.answer.key == path.encode():
                    return answer.answer
        raise LedgerError(f"no replica gave an answer about {path} that proves itself; is there a checkpoint yet?")

    async def status(self, name: str) -> NodeStatus | None:
        """Return where one replica says it stands, None where it does not answer."""
        status = await self._ask(name, GetStatus())
        return status if isinstance(status, NodeStatus) else None

    async def block(self, name: str, height: int) -> BlockReply | None:
        """Return one replica's block at `height`; its certificate proves it."""
        reply = await self._ask(name, GetBlock(height))
        return reply if isinstance(reply, BlockReply) else None

    def follow(self, membership: Membership) -> None:
        """Call the members of a later epoch, which the caller has verified."""
        self._membership = membership
        for member in membership.members:
            known = self._connections.get(member.name)
            if known is None or known.member != member:
                self._connections[member.name] = _Connection(member, self._hear)

    async def _ask_until_answered(self, encoded: bytes, answered: asyncio.Future[Answer | Refusal]) -> None:
        # All are asked for their answer, since f+1 must give it; one passes the request to the leader, and all do when
        # no answer comes.
        names = sorted(self._connections)
        one = names[self._preferred % len(names)]
        forwarding = {one}
        while not answered.done():
            sends = (self._connections[name].send(Submit(encoded, name in forwarding)) for name in names)
            sent = dict(zip(names, await asyncio.gather(*sends), strict=True))
            await asyncio.wait([answered], timeout=self._patience if sent[one] else 0.01)
            if not answered.done():
                forwarding = set(names)
                self._preferred += not sent[one]

    def _hear(self, name: str, message: ServerMessage) -> None:
        if not isinstance(message, Answer | Refusal):
            asked = self._asked.pop(name, None)
            if asked is not None and not asked.done():
                asked.set_result(message)
            return
        answers, answered = self._waiting.get(message.nonce, ({}, None))
        if answered is None or message.client != self._signer.public_keys[0].data:
            return
        answers[name] = message
        if list(answers.values()).count(message) > self._membership.faults and not answered.done():
            answered.set_result(message)

    async def _ask(self, name: str, message: ClientMessage) -> ServerMessage | None:
        asked: asyncio.Future[ServerMessage] = asyncio.get_running_loop().create_future()
        self._asked[name] = asked
        if not await self._connections[name].send(message):
            return None
        done, _ = await asyncio.wait([asked], timeout=self._patience * 5)
        return asked.result() if done else None
