"""Four hospitals with toy rows and keys in a small ring, which is insecure and fast, and what they order."""

import hashlib
import io
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from medward.agents.closed_form.features import states_of
from medward.agents.sentinel.central import fitted_scaler
from medward.agents.sentinel.model import SentinelModel
from medward.federation.computing.preparation import write_preparation
from medward.federation.computing.records import KeyPublished
from medward.federation.outsourced.answers import check_products, holders_of, opened_numbers, tasks_of
from medward.federation.outsourced.circuit import encrypted_columns, owner_products
from medward.federation.outsourced.records import (
    OutsourcedRecord,
    OutsourcedState,
    PlanProposed,
    ProductsComputed,
    SharesCommitted,
    SharesRevealed,
    TableEncrypted,
    TaskAsked,
    TaskDeclined,
)
from medward.federation.outsourced.rules import apply_outsourced
from medward.federation.outsourced.terms import OutsourcedTerms
from medward.federation.outsourced.training import own_columns, plan_model, read_plan
from medward.fhe.computing.formats.encrypted_tables import read_parts_of, read_table, write_parts, write_table
from medward.fhe.computing.formats.opened_products import (
    read_product_list,
    read_shares,
    write_product_list,
    write_shares,
)
from medward.fhe.computing.inner_product_opening import ProductList, open_shares
from medward.fhe.computing.keys import EvaluationKey, SecretKey
from medward.fhe.ring.primes import balanced
from medward.flows.datasets import Cut, Dataset
from medward.flows.prepared import PreparedData, prepare
from tests.agents.conftest import RECIPE, SCHEMA, toy_flows
from tests.federation.scoring.world import Budget

MEMBERS = ("east", "north", "south", "west")
COHORT = ("east", "north", "south")
PLAN, TASK = "00000001", "00000001"
DEADLINE = 60_000
LABEL = b"outsourced"


@lru_cache(maxsize=1)
def toy_data() -> PreparedData:
    dataset = Dataset(schema=SCHEMA, home="nowhere", cut=Cut.BLOCKS, block_rows=20)
    return prepare(dataset, toy_flows(1600, 0), "honest", 0)


def toy_terms(degree: int = 256, most_rows: int = 256) -> OutsourcedTerms:
    space = toy_data().space
    return OutsourcedTerms(
        features=16,
        states=states_of(space),
        classes=len(SCHEMA.classes),
        columns=len(space.schema.columns),
        seed=7,
        most_rows=most_rows,
        degree=degree,
        for_tests=True,
    )


TERMS = toy_terms()


@lru_cache(maxsize=1)
def toy_plan() -> SentinelModel:
    """What is public; its scaler is fitted on rows, as one of earlier surveys is."""
    data = toy_data()
    recipe = RECIPE.change(scaler="quantile", embedding=0)
    scaler = fitted_scaler(data.space, data.x[data.split.train], recipe)
    return plan_model(data.space, scaler, recipe, TERMS)


def rows_of(member: str) -> np.ndarray:
    """The numbers of a member's rows: a quarter of those to train on."""
    return np.array_split(toy_data().split.train, len(MEMBERS))[MEMBERS.index(member)]


@lru_cache(maxsize=4)
def columns_of(member: str) -> np.ndarray:
    rows, data = rows_of(member), toy_data()
    plan = read_plan(write_preparation(toy_plan()), TERMS)
    return own_columns(plan, TERMS, (plan.space, plan.scaler), data.x[rows], data.flows.y[rows])


@lru_cache(maxsize=4)
def secret_of(member: str) -> SecretKey:
    return SecretKey(member, TERMS.parameters, LABEL, hashlib.sha256(member.encode()).digest())


@lru_cache(maxsize=4)
def key_of(member: str) -> EvaluationKey:
    return secret_of(member).evaluation_key()


def name(what: bytes | str) -> str:
    """The name of a blob: its hash."""
    return "b" + hashlib.sha256(what.encode() if isinstance(what, str) else what).hexdigest()


@lru_cache(maxsize=4)
def table_of(member: str) -> bytes:
    file, columns = io.BytesIO(), columns_of(member)
    pairs = encrypted_columns(secret_of(member), TERMS, columns)
    write_table(file, TERMS.products, secret_of(member).owner, len(columns), pairs, TERMS.table_columns)
    return file.getvalue()


@lru_cache(maxsize=4)
def products_of(member: str) -> tuple[tuple[int, ...], bytes]:
    """What a member that computes gets of one owner's table: coefficients 0, and the parts as bytes."""
    owner, rows = secret_of(member).owner, len(columns_of(member))
    table = list(read_table(io.BytesIO(table_of(member)), TERMS.products, owner, rows, TERMS.table_columns))
    found = list(owner_products(TERMS, table, key_of(member)))
    file = io.BytesIO()
    write_parts(file, TERMS.products, owner, (part for _, part in found), TERMS.numbers)
    return tuple(constant for constant, _ in found), file.getvalue()


@dataclass
class Ward:
    """The ledger's state and all blobs that anybody can fetch."""

    state: OutsourcedState = field(default_factory=lambda: OutsourcedState(MEMBERS, {}, {}, {}, {}))
    blobs: dict[str, bytes] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)
    time: int = 1

    def put(self, content: bytes) -> str:
        self.blobs[name(content)] = content
        return name(content)

    def order(self, author: str, record: OutsourcedRecord) -> None:
        self.state = apply_outsourced(self.state, record, author, self.time)

    def encrypt(self, *members: str) -> None:
        """Publish keys and tables of these members, for the plan of the first."""
        for member in members:
            self.order(member, KeyPublished(name(member), secret_of(member).owner, 1024))
        if not self.state.plans:
            self.order(members[0], PlanProposed(name("plan"), TERMS))
        for member in members:
            self.order(member, TableEncrypted(PLAN, self.put(table_of(member)), len(columns_of(member))))

    def ask(self, cohort: tuple[str, ...] = COHORT, author: str = "east") -> str:
        self.order(author, TaskAsked(PLAN, cohort, DEADLINE))
        return f"{self.state.asked:08d}"

    def true_result(self, cohort: tuple[str, ...] = COHORT) -> str:
        """Compute honestly, and return the result's name."""
        constants, names = [0] * TERMS.numbers, []
        for member in cohort:
            found, parts = products_of(member)
            constants = [a + b for a, b in zip(constants, found, strict=True)]
            names.append(self.put(parts))
        modulus = TERMS.products.modulus
        owners = tuple(secret_of(member).owner for member in cohort)
        products = ProductList(TERMS.products, owners, tuple(balanced(c, modulus) for c in constants), tuple(names))
        return self.put(write_product_list(products))

    def compute(self, number: str, *members: str, result: str | None = None) -> None:
        for member in members:
            self.order(member, ProductsComputed(number, result or self.true_result(self.state.tasks[number].owners)))

    def decline(self, number: str) -> None:
        """Have a task that no result stands for come to nothing."""
        for member in ("south", "west"):
            self.order(member, TaskDeclined(number, "no"))

    def products(self, number: str) -> ProductList:
        """The result that is agreed on, as an owner looks at it."""
        task = self.state.tasks[number]
        products = read_product_list(TERMS.products, self.blobs[task.agreed])
        check_products(TERMS, products, holders_of(self.state, task))
        return products

    def shares(self, number: str, member: str) -> bytes:
        """An owner's shares of the result that is agreed on."""
        products, secret = self.products(number), secret_of(member)
        file = io.BytesIO(self.blobs[products.parts[products.owners.index(secret.owner)]])
        parts = read_parts_of(file, TERMS.products, secret.owner, TERMS.numbers)
        return write_shares(open_shares(products, parts, secret, Budget(secret.fingerprint)), TERMS.products)

    def commit(self, number: str, *members: str) -> None:
        for member in members:
            self.kept[member] = self.shares(number, member)
            agreed = self.state.tasks[number].agreed
            self.order(member, SharesCommitted(number, agreed, name(self.kept[member])))

    def reveal(self, number: str, *members: str) -> None:
        for member in members:
            self.order(member, SharesRevealed(number))
            self.put(self.kept[member])

    def numbers(self, number: str) -> list[int]:
        """What anybody reconstructs from what is on record and in stores."""
        task = self.state.tasks[number]
        holders = {owner: holder for holder, owner in holders_of(self.state, task).items()}
        shares = {holders[owner]: read_shares(TERMS.products, self.blobs[blob]) for owner, blob in task.commitments}
        return opened_numbers(self.products(number), shares)


def encrypted_ward(*members: str) -> Ward:
    ward = Ward()
    ward.encrypt(*(members or MEMBERS))
    return ward


def added_rows(member: str) -> np.ndarray:
    """The numbers of the rows that stand in a member's table: of classes that it has 40 of, as far as there is room."""
    rows = rows_of(member)[: TERMS.most_rows]
    y = toy_data().flows.y[rows]
    return np.asarray(rows[np.bincount(y)[y] >= 40])


def plain_numbers(*members: str) -> list[int]:
    """The same numbers of the members' rows in one place, in plain arithmetic of integers."""
    pooled = np.concatenate([columns_of(member) for member in members])
    gram = pooled.T @ pooled
    return [int(gram[entry]) for entry in TERMS.entries()]


def opened_ward() -> Ward:
    """After a whole task."""
    ward = encrypted_ward(*COHORT)
    number = ward.ask()
    ward.compute(number, "north", "west")
    ward.commit(number, *COHORT)
    ward.reveal(number, *COHORT)
    return ward


def works(ward: Ward, member: str, *, computes: bool = True, now: int = 1) -> list[str]:
    return [work.kind for work in tasks_of(ward.state, member, computes, now)]
