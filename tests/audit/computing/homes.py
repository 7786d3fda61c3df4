"""Homes of members that computed on ciphertexts: real keys, ciphertexts, stores and journals, ordered by the test."""

import io
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medward.federation.computing.application import ComputingApplication
from medward.federation.computing.preparation import write_preparation
from medward.federation.computing.records import KeyPublished
from medward.federation.outsourced.circuit import encrypted_columns, product_list, write_owner_parts
from medward.federation.outsourced.records import (
    PlanProposed,
    ProductsComputed,
    SharesCommitted,
    SharesRevealed,
    TableEncrypted,
    TaskAsked,
)
from medward.federation.scoring.answers import write_parts
from medward.federation.scoring.circuit import (
    flow_ciphertexts,
    model_ciphertexts,
    scored_batch,
    scored_network,
    terms_of,
)
from medward.federation.scoring.records import BatchAsked, ModelOffered, PartOpened, ResultComputed
from medward.fhe.computing.ciphertexts import Ciphertext
from medward.fhe.computing.formats.ciphertext_files import read_ciphertexts, write_ciphertexts
from medward.fhe.computing.formats.encrypted_tables import read_parts_of, write_table
from medward.fhe.computing.formats.keys import write_evaluation_key
from medward.fhe.computing.formats.opened_products import read_product_list, write_product_list, write_shares
from medward.fhe.computing.inner_product_opening import open_shares
from medward.fhe.computing.keys import EvaluationKey, SecretKey
from medward.fhe.computing.opening import open_part
from medward.ledger.encoding import Structure, encode
from medward.ledger.pbft.identity import NodeIdentity
from medward.node.applications import program_of
from medward.node.computing.rules import computing_parameters_of
from medward.node.trial.founding import Seat, found_on_one_machine
from medward.store.cid import Cid
from medward.store.limits import file_up_to
from medward.store.local import open_directory
from tests.audit.certified_ledger import CertifiedLedger
from tests.federation.outsourced import world
from tests.federation.outsourced.world import columns_of, toy_plan
from tests.federation.scoring.world import Budget, some_inputs, some_network

BATCH_TERMS = terms_of(some_network(), 256, for_tests=True)
TASK_TERMS = world.TERMS
_MOST = file_up_to(1 << 28)


class ComputingHomes:
    """Four homes, one ledger and one store; `write` puts both into all homes.

    Args:
        folder: of the homes.
        application: of the federation.
        names: of its members.
    """

    def __init__(self, folder: Path, application: str, names: Sequence[str]) -> None:
        self.folder = folder
        seats = [Seat.of(f"{name}=127.0.0.1:{23000 + 10 * number}") for number, name in enumerate(names)]
        self.homes = found_on_one_machine(folder, "audited", seats, application, agree=computing_parameters_of)
        self.first = self.homes[names[0]]
        federation = self.first.federation()
        self.chain, self.parameters = federation.genesis.chain, federation.application.parameters
        application_of = program_of(application).make_rules(self.parameters).make_application()
        signers = {name: NodeIdentity(home.ledger / "keys").signer for name, home in self.homes.items()}
        self.ledger = CertifiedLedger(federation.genesis, application_of, signers)
        assert isinstance(application_of, ComputingApplication)
        self.application: ComputingApplication[Any] = application_of
        self.store = open_directory(self.first.store)
        self.secrets: dict[str, SecretKey] = {}
        self.keys: dict[str, EvaluationKey] = {}

    @property
    def state(self) -> Any:
        return self.application.snapshot().known

    def say(self, author: str, record: Structure, *, refused: bool = False) -> str:
        """Order a record, and return what its author is told."""
        self.ledger.time += 1
        (result,) = self.ledger.order(author, encode(record)).results
        assert bool(result.code) == refused, result.data.decode()
        return result.data.decode()

    def put(self, content: bytes) -> str:
        return str(self.store.add(content, pin="audited"))

    def get(self, name: str) -> bytes:
        return self.store.read(Cid.parse(name), _MOST)

    def forget(self, name: str) -> None:
        """Let all homes lose a blob."""
        self.store.unpin(Cid.parse(name), "audited")
        self.store.collect_garbage()

    def publish(self, name: str, secret: SecretKey, outputs: int, *, conjugation: bool) -> None:
        self.secrets[name], key = secret, secret.evaluation_key(conjugation=conjugation)
        self.keys[name] = key
        self.say(name, KeyPublished(self.put(write_evaluation_key(key)), secret.owner, outputs))

    def write(self) -> Path:
        """Write everything to all homes, and return their folder."""
        self.store.close()
        for name, home in self.homes.items():
            self.ledger.write(home, name)
            if home is not self.first:
                shutil.copytree(self.first.store, home.store, copy_function=os.link)
        return self.folder


class ScoringHomes(ComputingHomes):
    """A vendor with an offer, a hospital, and two members that compute."""

    def __init__(self, folder: Path, outputs: int = 1024) -> None:
        super().__init__(folder, "scoring", ("vendor", "hospital", "cloud-a", "cloud-b"))
        for name in ("vendor", "hospital"):
            self.publish(name, SecretKey(name, BATCH_TERMS.parameters, self.chain), outputs, conjugation=True)
        scored = scored_network(some_network(), BATCH_TERMS)
        self.model = self.put_all(model_ciphertexts(self.secrets["vendor"], scored, BATCH_TERMS))
        self.say("vendor", ModelOffered(self.model, self.put(b"how flows are prepared"), BATCH_TERMS))

    def put_all(self, ciphertexts: Any) -> str:
        file = io.BytesIO()
        write_ciphertexts(file, BATCH_TERMS.parameters, ciphertexts)
        return self.put(file.getvalue())

    def ciphertexts(self, name: str) -> list[Ciphertext]:
        return list(read_ciphertexts(io.BytesIO(self.get(name)), BATCH_TERMS.parameters, 2))

    def ask(self, seed: int = 0) -> str:
        inputs = some_inputs(5, seed)
        flows = self.put_all(flow_ciphertexts(self.secrets["hospital"], inputs, BATCH_TERMS))
        return self.say("hospital", BatchAsked("00000001", flows, len(inputs)))

    def result(self, number: str) -> list[Ciphertext]:
        """What follows from a batch."""
        flows, model = (self.ciphertexts(name) for name in (self.state.batches[number].asked.flows, self.model))
        return scored_batch(BATCH_TERMS, flows, model, self.keys["hospital"], self.keys["vendor"])

    def compute(self, number: str, *members: str, result: list[Ciphertext] | None = None) -> str:
        name = self.put_all(result or self.result(number))
        for member in members:
            self.say(member, ResultComputed(number, name))
        return name

    def open(self, number: str, *, of: list[Ciphertext] | None = None) -> str:
        """Let the vendor open its part of what was agreed on, or of something else."""
        agreed, secret = self.state.batches[number].agreed, self.secrets["vendor"]
        budget = Budget(secret.fingerprint)
        parts = [open_part(one, secret, budget, BATCH_TERMS.coarseness) for one in of or self.ciphertexts(agreed)]
        part = self.put(write_parts(parts))
        self.say("vendor", PartOpened(number, agreed, part))
        return part

    def score(self, seed: int = 0) -> str:
        """Score a batch, all being honest, and return its number."""
        number = self.ask(seed)
        self.compute(number, "cloud-a", "cloud-b")
        self.open(number)
        return number


class TaskHomes(ComputingHomes):
    """Three owners and a cloud; a plan, and everybody's rows."""

    owners = ("east", "north", "south")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "outsourced", (*self.owners, "west"))
        self._parts: dict[str, list[tuple[str, list[int]]]] = {}
        for name in self.owners:
            self.publish(name, SecretKey(name, TASK_TERMS.parameters, self.chain), 1024, conjugation=False)
        self.plan = self.say("east", PlanProposed(self.put(write_preparation(toy_plan())), TASK_TERMS))
        for name in self.owners:
            self.say(name, TableEncrypted(self.plan, self.put(self.table(name)), len(columns_of(name))))

    def table(self, owner: str) -> bytes:
        file, columns, secret = io.BytesIO(), columns_of(owner), self.secrets[owner]
        pairs = encrypted_columns(secret, TASK_TERMS, columns)
        write_table(file, TASK_TERMS.products, secret.owner, len(columns), pairs, TASK_TERMS.table_columns)
        return file.getvalue()

    def ask(self) -> str:
        return self.say("east", TaskAsked(self.plan, self.owners, 600_000))

    def result(self, number: str, *, lie: int = 0) -> bytes:
        """What follows from a task; with a lie, one number of each owner's is another."""
        if number not in self._parts:
            self._parts[number] = [
                self._parts_of(*one) for one in zip(self.owners, self.state.tasks[number].tables, strict=True)
            ]
        parts = [(name, [first + lie, *others]) for name, (first, *others) in self._parts[number]]
        holders = sorted(secret.owner for secret in self.secrets.values())
        return write_product_list(product_list(TASK_TERMS, holders, parts))

    def _parts_of(self, owner: str, table: TableEncrypted) -> tuple[str, list[int]]:
        file, content = io.BytesIO(), io.BytesIO(self.get(table.table))
        constants = list(write_owner_parts(file, content, TASK_TERMS, self.keys[owner], table.rows, owner))
        return self.put(file.getvalue()), constants

    def compute(self, number: str, *members: str, lie: int = 0) -> str:
        name = self.put(self.result(number, lie=lie))
        for member in members:
            self.say(member, ProductsComputed(number, name))
        return name

    def shares(self, number: str, owner: str) -> bytes:
        products = read_product_list(TASK_TERMS.products, self.get(self.state.tasks[number].agreed))
        secret = self.secrets[owner]
        file = io.BytesIO(self.get(products.parts[products.owners.index(secret.owner)]))
        parts = read_parts_of(file, TASK_TERMS.products, secret.owner, TASK_TERMS.numbers)
        return write_shares(open_shares(products, parts, secret, Budget(secret.fingerprint)), TASK_TERMS.products)

    def open(self, number: str, **others: bytes) -> None:
        """Let all owners commit to their shares and show them; some to other bytes."""
        agreed = self.state.tasks[number].agreed
        for owner in self.owners:
            shares = self.put(others.get(owner) or self.shares(number, owner))
            self.say(owner, SharesCommitted(number, agreed, shares))
        for owner in self.owners:
            self.say(owner, SharesRevealed(number))
