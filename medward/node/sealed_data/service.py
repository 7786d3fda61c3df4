"""A training member's sealed data: into the store, onto the ledger, and back off both.

    take      data/unsent/X -> the store, under the label "data" -> SealedData is ordered -> X is removed
    withdraw  Withdraw is ordered -> the label falls -> the blocks are collected
    publish   the public key -> the store -> DataKey is ordered

`take` is begun again after a crash for whatever still lies in data/unsent; each of its steps may be done twice. What
the ledger does not order in time goes on after the caller was told so, until the node stops.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from medward.errors import MedwardError
from medward.federation.application import decode_state
from medward.federation.errors import RecordRefused
from medward.federation.records import DataKey, DataRecord, SealedData, Withdraw, encode_record
from medward.federation.rules import FederationState
from medward.federation.sealed_data.format import Origin, read_header
from medward.federation.sealed_data.rules import DataSets, apply_to_data
from medward.fhe.hybrid import PUBLIC_BYTES
from medward.flows.datasets import DATASETS
from medward.ledger.errors import TransactionRefused
from medward.node.errors import NodeError
from medward.node.interfaces import Host
from medward.node.ledger.submitter import in_time
from medward.node.sealed_data.folder import DataFolder
from medward.store.cid import Cid
from medward.store.errors import StoreError
from medward.store.limits import file_of, file_up_to

LABEL = "data"
_LOG = logging.getLogger("medward.node")
_MOST_BYTES = 2**32  # of another member's sealed data
_STARTED_AGAIN = "the node goes on once the ledger does; if it is started again before, run the same command again"
_SCHEMAS = {dataset.schema.digest: name for name, dataset in DATASETS.items()}


class SealedDataService:
    """What a node does about sealed data.

    Args:
        host: what the node gives its participant.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._folder = DataFolder(host.data)
        self._going_on: set[asyncio.Task[None]] = set()

    def listed(self) -> Sequence[Mapping[str, Any]]:
        """Return the data sets that are on record, as JSON values, the latest first."""
        sets = sorted(self._on_record().sets.items(), key=lambda item: (-item[1].time, item[0]))
        return [
            {
                "data": name,
                "member": one.member,
                "data_set": _SCHEMAS.get(one.schema),
                "schema": one.schema.hex(),
                "rows": one.rows,
                "readers": list(one.readers),
                "time": one.time,
            }
            for name, one in sets
        ]

    async def do(self, wanted: Mapping[str, str]) -> Mapping[str, Any]:
        """Do what `POST /datasets` asks.

        Raises:
            NodeError: it cannot be done, and why.
            StoreError: the store cannot do its part.
        """
        [(what, which)] = wanted.items()
        match what:
            case "take":
                return {"data": await self.take(which)}
            case "withdraw":
                await self._withdraw(which)
                return {"data": which}
            case "fetch":
                await self._fetch(which)
                return {"data": which}
            case "key_of":
                return {"member": which, "key": (await self._key_of(which)).hex()}
            case "publish":
                return {"key": await self._publish()}
        raise NodeError(f"'{what}' is nothing that can be done with data sets")

    async def finish(self) -> None:
        """Take what was left in data/unsent, where a node or a command was killed."""
        for name in await asyncio.to_thread(self._folder.all_unsent):
            try:
                _LOG.info("data that were sealed before are kept now: %s", await self.take(name))
            except MedwardError as error:
                _LOG.warning("the sealed data %s are not on record: %s", self._folder.folder / "unsent" / name, error)

    async def take(self, name: str) -> str:
        """Put sealed data that wait into the store and on record; return their CID."""
        path = self._folder.unsent(name)
        with path.open("rb") as file:
            header, _ = await asyncio.to_thread(read_header, file)
        self._check_own(header.origin)
        cid = await asyncio.to_thread(self._host.store.add_file, path, pin=LABEL)
        record = SealedData(str(cid), header.origin.schema, header.origin.rows, header.readers)
        how = "the sealed data are kept and go on record once the ledger goes on; do not seal them a second time"
        await self._in_time(self._put_on_record(record, cid, path), how)
        return record.data

    async def _put_on_record(self, record: SealedData, cid: Cid, path: Path) -> None:
        if record.data not in self._on_record().sets:
            try:
                await self._order(record)
            except NodeError:
                # An earlier attempt may have been ordered meanwhile: then it is the second that is refused.
                if record.data not in self._on_record().sets:
                    await asyncio.to_thread(self._let_go, cid)
                    path.unlink(missing_ok=True)
                    raise
        path.unlink(missing_ok=True)

    async def _withdraw(self, name: str) -> None:
        await self._in_time(self._take_off_record(self._cid_of(name)), _STARTED_AGAIN)

    async def _take_off_record(self, cid: Cid) -> None:
        try:
            await self._order(Withdraw(str(cid)))
        except NodeError:
            if str(cid) in self._on_record().sets:
                raise
        await asyncio.to_thread(self._let_go, cid)

    async def _fetch(self, name: str) -> None:
        """Get another member's data, to be opened here."""
        await asyncio.to_thread(self._host.store.fetch, self._cid_of(name), file_up_to(_MOST_BYTES), pin=LABEL)

    async def _publish(self) -> str:
        key = await asyncio.to_thread(self._folder.key)
        cid = str(await asyncio.to_thread(self._host.store.add, key.public, pin=LABEL))
        if self._on_record().keys.get(self._host.name) != cid:
            await self._in_time(self._order(DataKey(cid)), _STARTED_AGAIN)
        return cid

    async def _key_of(self, member: str) -> bytes:
        name = self._on_record().keys.get(member)
        if name is None:
            raise NodeError(f"{member} has published no key for data; it does so with `medward data key --home HOME`")
        public = await asyncio.to_thread(self._host.store.read, Cid.parse(name), file_of(PUBLIC_BYTES))
        await asyncio.to_thread(self._host.store.pin, Cid.parse(name), LABEL)
        return public

    async def _in_time(self, ordering: Coroutine[Any, Any, None], how_it_goes_on: str) -> None:
        """Wait for an order and what follows from it, but not for ever: without a quorum nothing is ordered.

        The order is not taken back then. It may be with other members already, and what follows from it must follow.
        """
        task = asyncio.create_task(ordering)
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)
        try:
            async with in_time(f"nothing is lost: {how_it_goes_on}"):
                await asyncio.shield(task)
        finally:
            if not task.done():
                task.add_done_callback(_tell_failure)

    async def _order(self, record: DataRecord) -> None:
        state = self._state()
        try:
            # The ledger gives a code for a reason; the same rules give it in words.
            apply_to_data(state.data, record, self._host.name, state.terms.members, 0.0)
        except RecordRefused as error:
            raise NodeError(str(error)) from None
        try:
            await self._host.ledger.submit(encode_record(record))
        except TransactionRefused as error:
            raise NodeError(f"the ledger refuses: {error}") from None

    def _let_go(self, cid: Cid) -> None:
        self._host.store.unpin(cid, LABEL)
        try:
            self._host.store.collect_garbage()
        except StoreError as error:
            _LOG.warning("%s is not removed from the disk yet: %s", cid, error)

    def _cid_of(self, name: str) -> Cid:
        if name not in self._on_record().sets:
            raise NodeError(f"no data set {name!r} is on record; `medward federation status` lists them")
        return Cid.parse(name)

    def _check_own(self, origin: Origin) -> None:
        federation = self._state().agreement.name
        if (origin.federation, origin.member) != (federation, self._host.name):
            here = f"{self._host.name} of {federation}"
            raise NodeError(f"the data are sealed by {origin.member} of {origin.federation}, not by {here}")

    def _on_record(self) -> DataSets:
        return self._state().data

    def _state(self) -> FederationState:
        state = self._host.ledger.query("state")
        if state is None:
            raise NodeError("the node does not know yet how the federation stands; try again in a moment")
        return decode_state(state)


def _tell_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (failure := task.exception()) is not None:
        _LOG.warning("what the ledger did not order in time came to nothing: %s", failure)
