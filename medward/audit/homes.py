"""`medward audit`: everything that a federation's nodes have on disk, checked offline, without a key, changing nothing.

    files     home_files.py                          federation.json and the cards, compared with each other
    ledger    ledgers.py                             every certificate, one replay
    store     stores.py                              every block hashed; what rounds rest on is there
    data      sealed_data.py                         sealed data sets are what is on record of them
    keys      rounds.audit_sealing_keys              the keys that shares were sealed to
    rounds    rounds.audit_round                     dealings, complaints, cohorts, answers, sums, models, votes
    demo      demo.py                                what a demo wrote beside its nodes' homes

What lies there and is not checked is listed (unchecked.py). What that proves, and what it cannot: docs/audit.md.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from medward.audit.demo import DemoAudit, DemoTerms, MakePage, audit_demo, is_demo
from medward.audit.findings import AuditResult, Finding, Read
from medward.audit.history import History, PastRound, RefusedRecord
from medward.audit.home_files import audit_cards, homes_that_ran, plain_homes, read_federations
from medward.audit.ledgers import read_ledgers
from medward.audit.pbft_ledger import Replayed
from medward.audit.rounds import (
    audit_cohorts,
    audit_round,
    audit_sealing_keys,
    named_blobs,
    round_blobs,
    sums_of_auditor,
)
from medward.audit.sealed_data import audit_data, data_blobs
from medward.audit.stores import Stores, open_blocks
from medward.audit.unchecked import MOST_NAMED, UncheckedFile, unchecked_files
from medward.errors import MedwardError
from medward.federation.application import REFUSED, FederationApplication, encode_state
from medward.federation.model.plan import TrainingPlan, plan_digest
from medward.federation.records import decode_record
from medward.federation.rules import Agreement
from medward.ledger.execution import Executed
from medward.ledger.membership import Membership
from medward.ledger.types import Transaction, TxResult
from medward.node.api.client import NodeClient
from medward.node.errors import NodeError
from medward.node.home.audit_copy import read_copy
from medward.node.home.federation_file import FederationFile
from medward.node.home.folder import Home
from medward.node.training.data import plan_candidates, read_settings
from medward.node.training.rules import read_agreement
from medward.store.errors import StoreError

GROUPS = ("files", "ledger", "store", "data", "keys", "rounds", "demo")


@dataclass
class Audit:
    """What an audit says.

    Args:
        of: what was audited, a folder or a node.
        federation: the federation's name.
        fingerprint: of what its members agreed on.
        homes: the homes, by their members' names.
        groups: what each group of checks found.
        height: the last height that was replayed.
        refused: records that broke a rule and changed nothing, each in a sentence.
        refused_records: the same, by author and kind; both are empty where a record cannot be read.
        outcomes: (round, task, how it ended) of every round.
        signed: member -> under how many blocks its valid signature stands.
        signing_keys: (member, incarnation, SHA-256 of its public key) of all who ever were members.
        demo: who signed what a demo wrote.
        unchecked: what lies in the folder and was not checked.
        unnamed: how many more such files and folders there are.
    """

    of: str
    federation: str = ""
    fingerprint: str = ""
    homes: tuple[str, ...] = ()
    groups: dict[str, AuditResult] = field(default_factory=lambda: {name: AuditResult() for name in GROUPS})
    height: int = 0
    refused: tuple[Finding, ...] = ()
    refused_records: tuple[RefusedRecord, ...] = ()
    outcomes: tuple[tuple[int, str, str], ...] = ()
    signed: Mapping[str, int] = field(default_factory=dict)
    signing_keys: tuple[tuple[str, int, str], ...] = ()
    demo: DemoAudit = field(default_factory=DemoAudit)
    unchecked: tuple[UncheckedFile, ...] = ()
    unnamed: int = 0

    def unchecked_by_place(self) -> list[tuple[str, list[str], str]]:
        """Return (path, homes, why) of what was not checked, homes with the same path in one entry.

        The path is that in a home, where there are homes.
        """
        places: dict[tuple[str, bool, str], list[str]] = {}
        for one in self.unchecked:
            home, _, rest = one.path.partition("/")
            inside = bool(rest) and home in self.homes
            homes = places.setdefault((rest if inside else one.path, inside, one.why), [])
            homes += [home] if inside else []
        return [(path, homes, why) for (path, _, why), homes in places.items()]

    @property
    def problems(self) -> list[Finding]:
        """Everything that does not hold."""
        return [problem for found in self.groups.values() for problem in found.problems]

    @property
    def sound(self) -> bool:
        """Whether everything holds."""
        return not self.problems


def audit_node(client: NodeClient, only: int | None = None, said: Callable[[str], None] = lambda _: None) -> Audit:
    """Check what a running node has, from a copy that it sends; it is deleted afterwards.

    Args:
        client: of the node.
        only, said: see `audit`.

    Raises:
        NodeError: as `audit`, or the node does not answer, or refuses.
    """
    with tempfile.TemporaryDirectory(prefix="medward-audit-") as name:
        folder = Path(name)
        said("the node for a copy")
        archive = folder / "copy.tar"
        client.save("/audit", archive)
        found = audit(read_copy(archive, folder), only, said)
    found.of = client.url
    return found


def audit(
    folder: str | os.PathLike[str],
    only: int | None = None,
    said: Callable[[str], None] = lambda _: None,
    make_page: MakePage | None = None,
) -> Audit:
    """Check one home, or all homes in a folder, and what a demo wrote there.

    Args:
        folder: a node's home, or a folder of homes of one federation.
        only: the one round whose dealings, sum and model are checked; None for all.
        said: is told what is being checked.
        make_page: makes a demo's report.html anew; None where nobody can.

    Raises:
        BadUsage: the homes belong to several federations.
        NodeError: there is no home, or no federation file that can be read, or a ledger that cannot be read now, or the
            federation is of an earlier format.
    """
    folder = Path(folder)
    found = Audit(str(folder))
    homes = plain_homes(folder, found.groups["files"])
    federation, files = read_federations(homes, folder, found.groups["files"])
    found.federation, found.fingerprint, found.homes = federation.name, federation.fingerprint, tuple(homes)
    agreement = read_agreement(federation.application.parameters)
    ran = homes_that_ran(homes, found.groups["files"])
    stores = _open_stores(ran, found.groups["store"])
    with closing(stores), ThreadPoolExecutor(os.cpu_count() or 1) as workers:
        # Hashing takes a core of its own.
        hashed = workers.submit(stores.verify, found.groups["store"])
        said("the ledger and the blocks of the stores")
        history, replayed, named = _audit_ledger(ran, federation, agreement, found)
        audit_cards(homes, files, replayed.memberships, found.groups["files"])
        found.signed, found.signing_keys = replayed.signed, _signing_keys(replayed.memberships)
        found.outcomes = tuple((n, past.now.task, past.now.phase.value) for n, past in sorted(history.rounds.items()))
        if only is not None and only not in history.rounds:
            raise NodeError(f"the ledger has no round {only}; it has {len(history.rounds)}, from 0 on")
        said("the store")
        hashed.result()
        _audit_store(stores, history, named, ran, found.groups["store"])
        audit_data(history.state, stores, found.groups["data"])
        said("the keys")
        audit_sealing_keys(history.rounds, found.groups["keys"])
        audit_cohorts(history.rounds, found.groups["rounds"])
        chosen = [history.rounds[only]] if only is not None else list(history.rounds.values())
        plan = _plan(homes, agreement, found.groups["files"])
        said("the rounds")
        check = partial(_audit_round, protect=agreement.protect, read=stores.read, plan=plan)
        for past, one in zip(chosen, workers.map(check, chosen), strict=True):
            found.groups["rounds"].take(one)
            said(f"the rounds: {past.now.number} is checked")
        _audit_demo(folder, homes, history, replayed, plan, stores.read, make_page, found, said)
    return found


def _audit_demo(
    folder: Path,
    homes: Mapping[str, Home],
    history: History,
    replayed: Replayed,
    plan: TrainingPlan | None,
    read: Read,
    make_page: MakePage | None,
    audit: Audit,
    said: Callable[[str], None],
) -> None:
    """Check what a demo wrote beside the homes, and list what nobody checked."""
    below = () if folder in (home.folder for home in homes.values()) else tuple(homes)
    if below and is_demo(folder):
        said("what the demo wrote")
        terms = DemoTerms(audit.fingerprint, history, replayed.memberships, plan, read, make_page)
        audit.demo = audit_demo(folder, below, terms, audit.groups["demo"])
    # What a manifest does not list was compared where it could be made anew.
    made = {f"model/{name}" for name in ("weights.safetensors", "model.json")} | {"metrics.json", "report.html"}
    compared = audit.demo.listed | ((made - audit.demo.unproved.keys()) if below else set()) | {"manifest.json"}
    named = unchecked_files(folder, below, compared if below else (), audit.demo.unproved)
    audit.unchecked = tuple(islice(named, MOST_NAMED))
    audit.unnamed = sum(1 for _ in named)


def _signing_keys(memberships: Sequence[Membership]) -> tuple[tuple[str, int, str], ...]:
    known = {(m.name, m.incarnation): m.keys[0].data for epoch in memberships for m in epoch.members}
    return tuple((*who, hashlib.sha256(key).hexdigest()) for who, key in sorted(known.items()))


def read_history(folder: Path) -> History:
    """Return what the ledgers in one or several homes say became of their federation.

    Raises:
        NodeError: as `audit`.
    """
    found = Audit(str(folder))
    homes = plain_homes(folder, found.groups["files"])
    federation, _ = read_federations(homes, folder, found.groups["files"])
    homes = homes_that_ran(homes, found.groups["files"])
    return _audit_ledger(homes, federation, read_agreement(federation.application.parameters), found)[0]


def _audit_ledger(
    homes: Mapping[str, Home], federation: FederationFile, agreement: Agreement, audit: Audit
) -> tuple[History, Replayed, dict[str, str]]:
    """Verify and replay the ledger; return what it led to, and name -> what it is of every blob that it names."""
    found = audit.groups["ledger"]
    application, history = FederationApplication(agreement), History(agreement)
    refused: list[Finding] = []
    unread: list[RefusedRecord] = []
    named: dict[str, str] = {}

    def take(executed: Executed, transaction: Transaction, result: TxResult) -> None:
        height, record = executed.block.height, decode_record(transaction.payload)
        if record is not None:
            author = history.state.author(transaction.client) or "a stranger"
            for name, what in named_blobs(record, author):
                named.setdefault(name, what)
        if record is not None and result.code in (0, REFUSED):
            block, time = application.snapshot().block, executed.block.time / 1000
            history.take(record, transaction.client, time, block, height, executed.block.epoch)
        else:
            why = result.data.decode("utf-8", "replace") or "ordered twice"
            refused.append(Finding(why, height=height))
            unread.append(RefusedRecord(height, "", "", why))

    ledger, lasts = read_ledgers(homes, federation, found)
    replayed = ledger.run(application, take)
    if encode_state(history.state) != encode_state(application.federation):
        found.problems.append(Finding("the records lead to another state than the ledger's own replay"))
    for one in history.refused:
        refused.append(
            Finding(f"a {one.kind} of {one.author or 'a stranger'} was refused: {one.why}", height=one.height)
        )
    found.count("records", history.taken)
    audit.height, audit.refused = replayed.height, tuple(refused)
    audit.refused_records = (*unread, *history.refused)
    for name, last in lasts.items():
        if last < replayed.height:
            found.remarks.append(Finding(f"ends at height {last}, others at {replayed.height}", name))
    return history, replayed, named


def _open_stores(homes: Mapping[str, Home], found: AuditResult) -> Stores:
    blocks = {}
    for name, home in homes.items():
        try:
            blocks[name] = open_blocks(home.store)
        except StoreError as error:
            found.problems.append(Finding(str(error), name))
    return Stores(blocks)


def _audit_store(
    stores: Stores, history: History, named: Mapping[str, str], homes: Mapping[str, Home], found: AuditResult
) -> None:
    needed: dict[str, str] = {history.state.agreement.model: "the first model"}
    for past in history.rounds.values():
        # A model is told as what a round led to, rather than as what the next one worked from.
        needed = round_blobs(past) | needed
    # A data set is its owner's alone to keep.
    needed |= data_blobs(history.state.data, _owners(homes))
    stores.tell({**named, **needed}, needed, found)


def _owners(homes: Mapping[str, Home]) -> set[str]:
    """Return whose homes these are, as far as their cards can be read."""
    owners = set()
    for home in homes.values():
        with suppress(MedwardError):
            owners.add(home.card().name)
    return owners


def _audit_round(past: PastRound, protect: str, read: Read, plan: TrainingPlan | None) -> AuditResult:
    """Return what there is to find in one round; rounds share nothing, so that several can be audited at once."""
    found = AuditResult()
    audit_round(past, sums_of_auditor(protect), read, plan, found)
    return found


def _plan(homes: Mapping[str, Home], agreement: Agreement, found: AuditResult) -> TrainingPlan | None:
    """Rebuild the plan from the settings of any home and the schemas that this version knows; no rows are read."""
    for home in homes.values():
        try:
            settings = read_settings(home.configuration().participant)
        except MedwardError:
            continue
        for plan in plan_candidates(settings):
            if plan_digest(plan) == agreement.plan:
                return plan
    what = "no home's node.toml gives the plan that was agreed on, so no model can be computed anew"
    found.problems.append(Finding(what))
    return None
