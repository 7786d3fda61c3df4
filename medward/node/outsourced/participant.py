"""A member of a federation that trains on encrypted rows: it encrypts, computes, opens and combines as is ordered.

The rules are pure (medward/federation/outsourced); here are the store, the ledger, the key and the order of steps. An
owner's shares are on disk before it is bound to them, and in no store before all owners are bound to theirs.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from medward.federation.blobs import blob_name
from medward.federation.computing.evaluation_keys import most_key_bytes
from medward.federation.computing.preparation import MOST_BYTES
from medward.federation.outsourced.answers import (
    blobs_of,
    check_products,
    holders_of,
    opened_numbers,
    tasks_of,
)
from medward.federation.outsourced.application import outsourced_state
from medward.federation.outsourced.circuit import encrypted_columns, product_list, write_owner_parts
from medward.federation.outsourced.records import (
    OutsourcedState,
    OutsourcedTask,
    PlanProposed,
    ProductsComputed,
    SharesCommitted,
    SharesRevealed,
    TableEncrypted,
    TaskAsked,
    TaskDeclined,
    TaskEnded,
)
from medward.federation.outsourced.terms import BadOutsourcing, OutsourcedTerms
from medward.federation.outsourced.training import read_plan, trained_model
from medward.fhe.arrays import Integers
from medward.fhe.computing.formats.encrypted_tables import (
    most_parts_bytes,
    most_table_bytes,
    read_parts_of,
    write_table,
)
from medward.fhe.computing.formats.opened_products import (
    most_product_list_bytes,
    most_shares_bytes,
    read_product_list,
    read_shares,
    write_product_list,
    write_shares,
)
from medward.fhe.computing.inner_product_opening import ProductList, open_shares
from medward.ledger.encoding import Structure, decode
from medward.ledger.errors import NotCanonical
from medward.ledger.types import Snapshot
from medward.node.computing.blobs import ComputingBlobs
from medward.node.computing.key import keep_opened
from medward.node.computing.orders import NO_ARRAYS
from medward.node.computing.participant import ComputingParticipant
from medward.node.errors import NodeError
from medward.node.interfaces import Host
from medward.node.outsourced.folder import OutsourcedFolder
from medward.node.outsourced.orders import PlanFile, TaskFile
from medward.node.outsourced.telling import told_of_plans, told_of_task
from medward.store.errors import StoreError
from medward.whole_file import write_whole

_LOG = logging.getLogger("medward.node")


class OutsourcedParticipant(ComputingParticipant[OutsourcedState]):
    """A member of a federation that trains on encrypted rows.

    Args:
        host: what the node gives it.
    """

    _unit, _last_step = "task", "combine"

    def __init__(self, host: Host) -> None:
        self._folder = OutsourcedFolder(host.folder)
        self.blobs = ComputingBlobs(host.store, self._folder.folder, "outsourced/")
        super().__init__(host, self._folder.folder, self._folder.key, self.blobs)
        self._open: set[str] | None = None
        self._fetched: set[str] = set()

    def _state_at(self, snapshot: Snapshot) -> OutsourcedState:
        return outsourced_state(snapshot)

    async def _work_on(self, state: OutsourcedState) -> None:
        self._problem = ""
        await self._let_go(state)
        orders: Sequence[tuple[Path, str, Callable[[OutsourcedState, Path], Any]]] = (
            (self._folder.plans, "*.plan", self._propose),
            (self._folder.rows, "*.npz", self._encrypt),
            (self._folder.tasks, "*.task", self._ask),
        )
        for folder, pattern, carry_out in orders:
            for file in sorted(folder.glob(pattern)):
                if await self._tried(carry_out(state, file), file):
                    file.unlink()
        for number, plan in state.plans.items():
            await self._keep_preparation(self._folder.preparations / number, plan.proposed.preparation)
        if self._settings.compute:
            await self._keep_tables(state)
        now = int(time.time() * 1000)
        await self._do_all(state, list(tasks_of(state, self._host.name, self._settings.compute, now)))

    async def _let_go(self, state: OutsourcedState) -> None:
        """Release what was named on record and is not any more, and the parts of tasks that are over."""
        named, still = blobs_of(state), {number for number, task in state.tasks.items() if not task.closed}
        if self._open is None:  # what was over before this node came back
            self._open = set(state.tasks)
        if gone := self._named - named:
            await asyncio.to_thread(self.blobs.release, gone, spared="parts/")
            self._folder.forget(state.plans, state.tasks)
            self._fetched -= gone
        for number in self._open - still:
            await asyncio.to_thread(self.blobs.release_label, f"parts/{number}")
        self._named, self._open = named, still

    async def _keep_tables(self, state: OutsourcedState) -> None:
        """Fetch what owners encrypted, and their keys, so that they may go offline while others compute."""
        for owner, table in state.tables.items():
            terms, key = state.plans[table.plan].proposed.terms, state.keys[owner].published.key
            sizes = {
                table.table: most_table_bytes(terms.products, table.rows, terms.table_columns),
                key: most_key_bytes(terms.parameters),
            }
            for name, most in sizes.items():
                if name in self._fetched or not self._patience.ready(name, time.monotonic()):
                    continue
                try:
                    await asyncio.to_thread(self.blobs.keep, name, most, "table")
                except StoreError as error:
                    self._problem = f"the rows of {owner} wait: {error}"
                    self._patience.failed(name, time.monotonic())
                    continue
                self._patience.done(name)
                self._fetched.add(name)

    def _step_of(self, kind: str) -> Callable[[OutsourcedState, str], Awaitable[None]]:
        return {
            "compute": self._compute,
            "commit": self._commit,
            "reveal": self._reveal,
            "combine": self._combine,
            "end": self._end,
        }[kind]

    def _is_over(self, number: str) -> bool:
        return (self._folder.models / number / "model.json").exists() or self._refusal(number).exists()

    def _refusal(self, number: str) -> Path:
        return self._folder.models / f"{number}.refused"

    def _declined(self, number: str, reason: str) -> Structure:
        return TaskDeclined(number, reason)

    async def _propose(self, state: OutsourcedState, file: Path) -> None:
        try:
            plan = decode(file.read_bytes(), PlanFile)
        except NotCanonical as error:
            raise NodeError(f"this is no plan ({error}); propose it by `medward outsource plan`") from None
        self._allow(plan.terms)
        read_plan(plan.preparation, plan.terms)
        name = await asyncio.to_thread(self.blobs.put, plan.preparation, "plan")
        self._note(file, await self._say(PlanProposed(name, plan.terms)))

    async def _encrypt(self, state: OutsourcedState, file: Path) -> None:
        try:
            with np.load(file, allow_pickle=False) as kept:
                number, columns = str(kept["plan"]), kept["columns"].astype(np.int64)
        except NO_ARRAYS as error:
            raise NodeError(
                f"these are no columns ({error}); have rows encrypted by `medward outsource rows`"
            ) from None
        plan = state.plans.get(number)
        if plan is None:
            raise NodeError(f"there is no plan {number}")
        terms = plan.proposed.terms
        self._allow(terms)
        _check_columns(columns, terms)
        if state.counted(self._host.name):
            raise NodeError(f"rows of {self._host.name} stand in a sum already, and are not replaced by others")
        secret = await self._secret_of(state, terms.parameters)

        def encrypted() -> str:
            pairs = encrypted_columns(secret, terms, columns)
            return self.blobs.put_file(
                lambda out: write_table(out, terms.products, secret.owner, len(columns), pairs, terms.table_columns),
                "table",
            )

        table = await asyncio.to_thread(encrypted)
        self._note(file, await self._say(TableEncrypted(number, table, len(columns))))

    async def _ask(self, state: OutsourcedState, file: Path) -> None:
        try:
            order = decode(file.read_bytes(), TaskFile)
        except NotCanonical as error:
            raise NodeError(f"this is no task ({error}); ask for it by `medward outsource train`") from None
        owners = order.owners or tuple(
            sorted(owner for owner, table in state.tables.items() if table.plan == order.plan)
        )
        self._note(file, await self._say(TaskAsked(order.plan, owners, order.deadline)))

    def _note(self, file: Path, number: str) -> None:
        """Keep the number that an order got, for the command that waits."""
        write_whole(self._folder.folder / f"{file.stem}.done", f"{number}\n".encode())

    async def _compute(self, state: OutsourcedState, number: str) -> None:
        task, terms = state.tasks[number], self._terms(state, number)
        self._allow(terms)

        def computed() -> str:
            holders = holders_of(state, task)
            parts = [self._put_parts(state, number, owner) for owner in holders.values()]
            return self.blobs.put(write_product_list(product_list(terms, list(holders), parts)), f"task/{number}")

        await self._say(ProductsComputed(number, await asyncio.to_thread(computed)))

    def _put_parts(self, state: OutsourcedState, number: str, owner: str) -> tuple[str, Sequence[int]]:
        """Compute one owner's part of all products, and return the blob's name, and coefficients 0."""
        task, terms = state.tasks[number], self._terms(state, number)
        table = task.tables[task.owners.index(owner)]
        key = self._evaluation_key(state, owner, terms.parameters)
        content = self.blobs.stream(table.table, most_table_bytes(terms.products, table.rows, terms.table_columns))
        constants: list[int] = []

        def write(file: BinaryIO) -> None:
            constants.extend(write_owner_parts(file, content, terms, key, table.rows, owner))

        return self.blobs.put_file(write, f"parts/{number}"), constants

    async def _commit(self, state: OutsourcedState, number: str) -> None:
        """Open this owner's shares of what f + 1 members computed, keep them, and be bound to them."""
        task, terms = state.tasks[number], self._terms(state, number)
        own = dict(task.results).get(self._host.name, task.agreed)
        if own != task.agreed:
            raise BadOutsourcing("what this member computed itself is another result than the one of the others")
        self._allow(terms)
        await self._host.ledger.certify(None)
        secret = await self._secret_of(state, terms.parameters)
        kept = self._kept(number, task)

        def opened() -> str:
            if not kept.exists():
                products = self._products(state, number)
                name = products.parts[products.owners.index(secret.owner)]
                parts = read_parts_of(
                    self.blobs.stream(name, most_parts_bytes(terms.products, terms.numbers)),
                    *(terms.products, secret.owner, terms.numbers),
                )

                def shares() -> bytes:
                    with self._key.journal() as journal:
                        return write_shares(open_shares(products, parts, secret, journal), terms.products)

                keep_opened(kept, most_shares_bytes(terms.products, terms.numbers), shares)
            return blob_name(kept.read_bytes())

        await self._say(SharesCommitted(number, task.agreed, await asyncio.to_thread(opened)))

    async def _reveal(self, state: OutsourcedState, number: str) -> None:
        """Show the shares that this owner is bound to, now that all are."""
        task = state.tasks[number]
        await self._host.ledger.certify(None)
        kept, bound = self._kept(number, task), dict(task.commitments)[self._host.name]
        if not kept.exists() or blob_name(kept.read_bytes()) != bound:
            raise BadOutsourcing("the shares that this member was bound to are not on its disk any more")
        await asyncio.to_thread(self.blobs.put, kept.read_bytes(), f"task/{number}")
        await self._say(SharesRevealed(number))

    async def _combine(self, state: OutsourcedState, number: str) -> None:
        """Make the model that all shares open."""
        task, terms = state.tasks[number], self._terms(state, number)

        def combined() -> None:
            plan = state.plans[task.asked.plan].proposed
            preparation = read_plan(self.blobs.get(plan.preparation, MOST_BYTES), terms)
            products, most = self._products(state, number), most_shares_bytes(terms.products, terms.numbers)
            shares = {
                state.keys[owner].published.holder: read_shares(terms.products, self.blobs.get(blob, most))
                for owner, blob in task.commitments
            }
            numbers = opened_numbers(products, shares)
            trained_model(preparation, terms, numbers, [table.rows for table in task.tables]).save(
                self._folder.models / number
            )

        await asyncio.to_thread(combined)

    async def _end(self, state: OutsourcedState, number: str) -> None:
        await self._say(TaskEnded(number))

    def _kept(self, number: str, task: OutsourcedTask) -> Path:
        return self._folder.shares / f"{number}-{hashlib.sha256(task.agreed.encode()).hexdigest()[:16]}"

    def _products(self, state: OutsourcedState, number: str) -> ProductList:
        """Return the result of a task, as far as one can see that it is one."""
        task, terms = state.tasks[number], self._terms(state, number)
        holders = holders_of(state, task)
        most = most_product_list_bytes(terms.products, len(holders), terms.numbers)
        products = read_product_list(terms.products, self.blobs.get(task.agreed, most))
        check_products(terms, products, holders)
        return products

    def _terms(self, state: OutsourcedState, number: str) -> OutsourcedTerms:
        return state.plans[state.tasks[number].asked.plan].proposed.terms

    def _allow(self, terms: OutsourcedTerms) -> None:
        if terms.for_tests and not self._settings.insecure_ring_for_tests:
            raise BadOutsourcing("the plan asks for a ring that is not secure, which is for tests alone")
        terms.check()

    def rounds(self) -> Sequence[Mapping[str, Any]]:
        """Return the tasks, the latest first."""
        state = self._state
        return () if state is None else [told_of_task(state, one, self._folder) for one in sorted(state.tasks)[::-1]]

    def models(self) -> Sequence[Mapping[str, Any]]:
        """Return the plans, the latest first."""
        return () if self._state is None else told_of_plans(self._state)

    def status(self) -> Mapping[str, Any]:
        """Return whether this member computes, what its key may still open, and what stands in its way."""
        state = self._state
        kept = [] if state is None else sorted(name for name, one in state.tables.items() if one.table in self._fetched)
        return {
            "computes": self._settings.compute,
            "kept_rows_of": kept,
            "outputs_left": self._outputs_left(),
            "problem": self._problem or None,
        }


def _check_columns(columns: Integers, terms: OutsourcedTerms) -> None:
    fits = columns.ndim == 2 and columns.shape[1] == terms.table_columns and columns.size
    if not fits or columns.min() < 0 or columns.max() > terms.largest:
        raise NodeError("these are not the columns of the plan; have rows encrypted by `medward outsource rows`")
