"""A member that computes on ciphertexts: it follows the ledger, and has a key, a journal and a store.

All that is done is in the ledger's state, so a member that comes back does what is still to be done. What was opened is
counted before it is made, on disk before it is sent, and sent again as it is. What fails for want of a blob is tried
again, less and less often; who withholds a blob waits behind everybody who does not.
"""

import asyncio
import logging
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from medward.errors import MedwardError, printable
from medward.federation.computing.evaluation_keys import most_key_bytes, read_published_key
from medward.federation.computing.preparation import MOST_BYTES
from medward.federation.computing.records import MOST_REASON, ComputingState, KeyPublished
from medward.federation.computing.work import ComputingWork
from medward.federation.errors import FederationError
from medward.fhe.computing.formats.keys import write_evaluation_key
from medward.fhe.computing.keys import EvaluationKey, SecretKey
from medward.fhe.computing.parameters import ComputingParameters
from medward.fhe.errors import BudgetSpent, FheError
from medward.ledger.encoding import Structure, encode
from medward.ledger.errors import TransactionRefused
from medward.ledger.types import Snapshot
from medward.node.computing.blobs import ComputingBlobs
from medward.node.computing.key import ComputingKey
from medward.node.computing.orders import refusal_of
from medward.node.computing.patience import MOST_TRIES, Patience
from medward.node.computing.settings import read_computing_settings
from medward.node.errors import Retired
from medward.node.interfaces import Host, Participant
from medward.store.errors import InvalidCid, InvalidDag, InvalidRecord, LimitExceeded, StoreError
from medward.whole_file import write_whole

S = TypeVar("S", bound=ComputingState)

_LOG = logging.getLogger("medward.node")
_LOOK_SECONDS = 0.3
_MOST_KEYS = 4


class ComputingParticipant(Participant, Generic[S]):
    """A member of a federation that computes on ciphertexts.

    Args:
        host: what the node gives it, with `ComputingSettings`.
        folder: of its own.
        key: its key.
        blobs: its store.

    Raises:
        InvalidConfiguration: its settings are others.
    """

    #: A batch or a task, in sentences, and the step after which there is nothing more to do about one.
    _unit: str
    _last_step: str

    def __init__(self, host: Host, folder: Path, key: ComputingKey, blobs: ComputingBlobs) -> None:
        self._host = host
        self._own, self._key, self._store = folder, key, blobs
        self._settings = read_computing_settings(host.settings)
        self._state: S | None = None
        self._problem = ""
        self._keys: dict[str, EvaluationKey] = {}
        self._patience = Patience()
        #: The blobs that were on record at the last look.
        self._named: set[str] = set()

    @abstractmethod
    def _state_at(self, snapshot: Snapshot) -> S:
        """Return the state that a snapshot of the ledger holds."""

    @abstractmethod
    async def _work_on(self, state: S) -> None:
        """Do what is to be done now, one thing after the other; what fails for want of a blob is tried again."""

    async def check_journal(self) -> None:
        """Refuse to go on where the ledger shows more opened outputs than the journal counts."""
        async for event in self._host.ledger.events():
            self._state = self._state_at(event.state)
            break
        known = self._state.keys.get(self._host.name) if self._state else None
        if known is None:
            return
        try:
            with self._key.journal() as journal:
                counted = journal.outputs - journal.left
        except BudgetSpent as error:
            raise Retired(f"{error}") from None
        if counted < known.opened:
            raise Retired(
                f"the ledger shows {known.opened} ciphertexts that the key of {self._host.name} opened, and its "
                f"journal counts {counted}: the home was restored from an old copy, and its key must not be used again"
            )

    async def run(self) -> None:
        """Work until the node stops."""
        watching = asyncio.create_task(self._watch())
        try:
            while not self._host.stopping.is_set() and not watching.done():
                if self._state is not None:
                    await self._work_on(self._state)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._host.stopping.wait(), _LOOK_SECONDS)
            if watching.done():
                watching.result()
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        async for event in self._host.ledger.events():
            self._state = self._state_at(event.state)

    async def _tried(self, asking: Awaitable[None], what: Path) -> bool:
        """Do what the operator asked for, and put it aside with a sentence if it cannot be done; whether it is over."""
        try:
            await asking
        except StoreError as error:
            self._problem = f"{what.name} waits: {error}"
            return False
        except MedwardError as error:
            self._problem = f"{what.name}: {error}"
            _LOG.warning("%s is put aside: %s", what.name, error)
            write_whole(refusal_of(self._own, what), f"{error}\n".encode())
        return True

    @abstractmethod
    def _step_of(self, kind: str) -> Callable[[S, str], Awaitable[None]]:
        """Return what does a kind of work about the batch or task of a number."""

    @abstractmethod
    def _is_over(self, number: str) -> bool:
        """Return whether the last step about a batch or task was done, or refused."""

    @abstractmethod
    def _refusal(self, number: str) -> Path:
        """Return the file that keeps why the last step about a batch or task was refused."""

    @abstractmethod
    def _declined(self, number: str, reason: str) -> Structure:
        """Return the record by which this member does no more about a batch or task."""

    async def _do_all(self, state: S, works: Sequence[ComputingWork]) -> None:
        """Do what is to be done by the ledger, one thing after the other."""
        self._patience.keep({*self._named, *map(str, works)})
        for work in sorted(works, key=lambda one: self._patience.tries(str(one))):
            if work.kind == self._last_step and self._is_over(work.number):
                continue
            if self._patience.ready(str(work), time.monotonic()):
                await self._do(state, work)
            if self._state is not state:
                return  # what was ordered meanwhile may be more urgent than what is left

    async def _do(self, state: S, work: ComputingWork) -> None:
        try:
            await self._step_of(work.kind)(state, work.number)
        except (InvalidCid, InvalidDag, InvalidRecord, LimitExceeded) as error:
            await self._decline(work, f"a blob of it is none: {error}")
        except StoreError as error:
            self._problem = f"{self._unit} {work.number} waits: {error}"
            tries = self._patience.failed(str(work), time.monotonic())
            if work.kind == "compute" and tries >= MOST_TRIES:
                await self._decline(work, f"after {tries} tries: {error}")
        except TransactionRefused as error:
            # Somebody else was first, or this member's clock is ahead of the ledger's.
            _LOG.info("%s %s: %s", self._unit, work.number, error)
            self._patience.failed(str(work), time.monotonic())
        except (FheError, FederationError) as error:
            await self._decline(work, str(error))

    async def _decline(self, work: ComputingWork, reason: str) -> None:
        _LOG.warning("%s %s gets no answer: %s", self._unit, work.number, reason)
        self._problem = f"{self._unit} {work.number}: {reason}"
        if work.kind == self._last_step:
            write_whole(self._refusal(work.number), f"{reason}\n".encode())
            return
        with suppress(TransactionRefused):
            await self._say(self._declined(work.number, printable(reason)[:MOST_REASON]))

    async def _keep_preparation(self, file: Path, name: str) -> None:
        """Keep what a blob says of how rows or flows are prepared in a file, unless it is there already."""
        if file.exists() or not self._patience.ready(name, time.monotonic()):
            return
        try:
            content = await asyncio.to_thread(self._store.get, name, MOST_BYTES)
        except StoreError:
            self._patience.failed(name, time.monotonic())
            return
        self._patience.done(name)
        write_whole(file, content)

    async def _say(self, record: Any) -> str:
        receipt = await self._host.ledger.submit(encode(record))
        return receipt.result.data.decode()

    async def _secret_of(self, state: S, parameters: ComputingParameters, *, conjugation: bool = False) -> SecretKey:
        """Return this member's key, and publish it if it is new."""
        secret = await asyncio.to_thread(self._key.secret, self._host.name, parameters, self._host.chain)
        if self._host.name not in state.keys:

            def published() -> str:
                return self._store.put(write_evaluation_key(secret.evaluation_key(conjugation=conjugation)), "key")

            with self._key.journal() as journal:
                outputs = journal.outputs
            record = KeyPublished(await asyncio.to_thread(published), secret.owner, outputs)
            with suppress(TransactionRefused):  # it is on record, and the state here is older
                await self._say(record)
        return secret

    def _evaluation_key(self, state: S, member: str, parameters: ComputingParameters) -> EvaluationKey:
        """Return a member's evaluation key; it blocks.

        Raises:
            StoreError: nobody has it.
            MalformedEncoding: it is none.
            WrongKey: it is another's.
        """
        published = state.keys[member].published
        if published.key not in self._keys:
            data = self._store.get(published.key, most_key_bytes(parameters))
            key = read_published_key(published, member, parameters, self._host.chain, data)
            while len(self._keys) >= _MOST_KEYS:  # each may take hundreds of megabytes
                del self._keys[next(iter(self._keys))]
            self._keys[published.key] = key
        return self._keys[published.key]

    def _outputs_left(self) -> int | None:
        """Return what the key may still open, None where there is no key."""
        with suppress(BudgetSpent), self._key.journal() as journal:
            return journal.left
        return None
