"""Training on encrypted rows: every task computed again from them, opened again, and its model made again."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from medward.agents.sentinel.model import SentinelModel
from medward.audit.computing.blobs import AuditedBlobs, name_of_file
from medward.audit.computing.federation import AuditedComputing, NoSuchResult, PastWork, named_keys
from medward.audit.demo import DemoTruth
from medward.audit.findings import AuditResult, Finding, Read
from medward.federation.blobs import blob_name
from medward.federation.computing.application import ComputingApplication
from medward.federation.computing.preparation import MOST_BYTES
from medward.federation.computing.records import KeyPublished
from medward.federation.outsourced.answers import check_products, holders_of, opened_numbers
from medward.federation.outsourced.circuit import product_list, write_owner_parts
from medward.federation.outsourced.records import (
    OutsourcedPlan,
    OutsourcedState,
    OutsourcedTask,
    PlanProposed,
    ProductsComputed,
    SharesCommitted,
    TableEncrypted,
)
from medward.federation.outsourced.training import read_plan, trained_model
from medward.fhe.computing.formats.encrypted_tables import most_table_bytes
from medward.fhe.computing.formats.opened_products import (
    most_product_list_bytes,
    most_shares_bytes,
    read_product_list,
    read_shares,
    write_product_list,
)
from medward.fhe.computing.inner_product_opening import OpenedShares, ProductList
from medward.node.outsourced.telling import told_of_ledger


@dataclass(frozen=True)
class PastTask(PastWork):
    """A task, and the plan that it is of."""

    task: OutsourcedTask
    plan: OutsourcedPlan


class AuditedOutsourcing(AuditedComputing[OutsourcedState, PastTask]):
    """A federation that trains on encrypted rows; see `AuditedComputing`.

    Attributes:
        models: those that checked tasks led to, by the task's number.
    """

    unit, groups = "task", ("tasks", "demo")
    state_type = OutsourcedState

    def __init__(self, make_application: Callable[[], ComputingApplication[OutsourcedState]], chain: bytes) -> None:
        super().__init__(make_application, chain)
        self.models: dict[str, SentinelModel] = {}
        self._checked: set[str] = set()

    def named_by(self, record: object, author: str) -> Iterator[tuple[str, str]]:
        """Yield (name, what it is) of the blobs that a record names."""
        match record:
            case KeyPublished(key=name):
                yield name, f"the evaluation key of {author}"
            case PlanProposed(preparation=name):
                yield name, f"how rows are prepared by a plan of {author}"
            case TableEncrypted(table=name):
                yield name, f"the encrypted rows of {author}"
            case ProductsComputed(task=number, result=name):
                yield name, f"what {author} computed for task {int(number)}"
            case SharesCommitted(task=number, shares=name):
                yield name, f"the shares of {author} of task {int(number)}"

    def numbers_of(self, state: OutsourcedState) -> Mapping[str, object]:
        """Return the tasks that are on record, by number."""
        return state.tasks

    def work_of(self, state: OutsourcedState, number: str, *, kept: bool) -> PastTask:
        """Return a task as it stands in a state."""
        task, what = state.tasks[number], f"task {int(number)}"
        plan = state.plans[task.asked.plan]
        needed = named_keys(state.keys, task.owners)
        needed |= {one.table: f"the encrypted rows of {owner}" for owner, one in _tables(task)}
        needed |= {name: f"the shares of {owner} of {what}" for owner, name in task.commitments}
        needed |= {plan.proposed.preparation: f"how rows are prepared by {what}", task.agreed: f"the result of {what}"}
        for_tests = plan.proposed.terms.for_tests
        return PastTask(number, task.results, task.agreed, task.opened, needed, kept, for_tests, task, plan)

    def told_of(self, state: OutsourcedState, number: str) -> tuple[str, str]:
        """Return what a task is, and how it ended."""
        task = state.tasks[number]
        what = f"the rows of {', '.join(task.owners)}, plan {int(task.asked.plan)}"
        return what, "opened" if task.opened else task.ended or f"not over: {task.missing()}"

    def computed(self, state: OutsourcedState, work: PastTask, blobs: AuditedBlobs) -> str:
        """Compute a task's result again, and return its name."""
        terms = work.plan.proposed.terms
        tables = dict(_tables(work.task))

        def parts_of(owner: str) -> tuple[str, Sequence[int]]:
            table, constants = tables[owner], list[int]()
            key = self.key_of(state.keys, owner, terms.parameters, blobs)
            content = blobs.stream(table.table, most_table_bytes(terms.products, table.rows, terms.table_columns))

            def write(file: BinaryIO) -> None:
                constants.extend(write_owner_parts(file, content, terms, key, table.rows, owner))

            return name_of_file(write), constants

        with self.reading(f"task {int(work.number)}"):
            holders = holders_of(state, work.task)
            parts = [parts_of(owner) for owner in holders.values()]
            return blob_name(write_product_list(product_list(terms, list(holders), parts)))

    def check_opened(self, state: OutsourcedState, work: PastTask, blobs: AuditedBlobs, found: AuditResult) -> None:
        """Open a task's result again from the shares that its owners showed, and make the model that follows."""
        self._open_again(state, work, blobs, found)
        self._checked.add(work.number)  # not reached where a blob is missing

    def _open_again(self, state: OutsourcedState, work: PastTask, blobs: AuditedBlobs, found: AuditResult) -> None:
        task, terms = work.task, work.plan.proposed.terms
        holders, what = holders_of(state, task), f"task {int(work.number)}"
        try:
            with self.reading(f"what was opened of {what}"):
                most = most_product_list_bytes(terms.products, len(holders), terms.numbers)
                products = read_product_list(terms.products, blobs.get(task.agreed, most))
                check_products(terms, products, holders)
        except NoSuchResult:
            return  # told already: it is not what follows
        shares: dict[str, OpenedShares] = {}
        for owner, name in task.commitments:
            found.count("shares")
            holder = state.keys[owner].published.holder
            try:
                shares[holder] = self._shares_of(owner, holder, work, products, blobs)
            except NoSuchResult as error:
                found.remarks.append(Finding(str(error), name=name, guilty=(owner,)))
        try:
            with self.reading(f"{what} leads to no model"):
                preparation = read_plan(blobs.get(work.plan.proposed.preparation, MOST_BYTES), terms)
                rows = [table.rows for table in task.tables]
                model = trained_model(preparation, terms, opened_numbers(products, shares), rows)
        except NoSuchResult as error:
            found.remarks.append(Finding(str(error)))
            return
        found.count("models")
        self.models[work.number] = model
        digest = hashlib.sha256(model.files()["weights.safetensors"]).hexdigest()
        found.remarks.append(Finding(f"{what} leads to the model whose weights.safetensors has the SHA-256 {digest}"))

    def truth(self, read: Read, found: AuditResult) -> DemoTruth:
        """Return what a demo of it must have written: its tasks, and the model of the last one that was opened."""
        tasks = {number: state.tasks[number] for number, state in sorted(self.past.items())}
        work = {number: told_of_ledger(task) for number, task in tasks.items() if task.closed}
        facts: dict[str, Any] = {"protect": "outsourced", "rounds": 1, "rounds_log": []}
        last = max((number for number, task in tasks.items() if task.opened), default="")
        if not last:
            return DemoTruth("task", work, facts, None)
        plan = self.past[last].plans[tasks[last].asked.plan]
        facts |= {"sites": len(tasks[last].owners), "seed": plan.proposed.terms.seed}
        if last not in self._checked:
            why = f"task {int(last)}, which it must follow from, was not checked"
            return DemoTruth("task", work, facts, None, unknown=why)
        model = self.models.get(last)
        if model is None:
            return DemoTruth("task", work, facts, None)
        schema = model.space.schema
        return DemoTruth("task", work, facts | {"data": schema.dataset, "synthetic": schema.synthetic}, model.files())

    def _shares_of(
        self, owner: str, holder: str, work: PastTask, products: ProductList, blobs: AuditedBlobs
    ) -> OpenedShares:
        """Return what an owner showed; see `reading`."""
        terms, what = work.plan.proposed.terms, f"what {owner} showed of task {int(work.number)}"
        with self.reading(f"{what} are no shares"):
            content = blobs.get(dict(work.task.commitments)[owner], most_shares_bytes(terms.products, terms.numbers))
            shares = read_shares(terms.products, content)
        if shares.owner != holder or shares.opening != products.digest or len(shares.shares) != terms.numbers:
            raise NoSuchResult(f"{what} are shares of {shares.owner}, or of another result")
        return shares


def _tables(task: OutsourcedTask) -> Iterator[tuple[str, TableEncrypted]]:
    return zip(task.owners, task.tables, strict=True)
