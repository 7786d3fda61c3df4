"""`medward audit`: everything that a federation's nodes have on disk, checked offline, without a key, changing nothing.

    files     federation.json and the cards          every home, compared with each other
    ledger    ledgers.py                             every certificate, one replay
    store     store_audit.py                         every block hashed; what rounds rest on is there
    data      data_audit.py                          sealed data sets are what is on record of them
    keys      federation.audit.audit_sealing_keys    the keys that shares were sealed to
    rounds    federation.audit.audit_round           dealings, complaints, cohorts, answers, sums, models, votes

What that proves, and what it cannot: docs/audit.md.
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from medward.audit.findings import AuditResult, Finding, Read
from medward.audit.history import History, PastRound
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
from medward.errors import MedwardError
from medward.federation.application import REFUSED, FederationApplication, encode_state
from medward.federation.model.plan import TrainingPlan, plan_digest
from medward.federation.records import decode_record
from medward.federation.rules import Agreement
from medward.ledger.execution import Executed
from medward.ledger.membership import Membership
from medward.ledger.types import Member, Transaction, TxResult
from medward.node.api.client import NodeClient
from medward.node.errors import InvalidCard, NodeError
from medward.node.home.audit_copy import read_copy
from medward.node.home.cards import Card, check_card
from medward.node.home.federation_file import FederationFile
from medward.node.home.folder import Home
from medward.node.training.data import plan_candidates, read_settings
from medward.node.training.rules import read_agreement
from medward.store.errors import StoreError

GROUPS = ("files", "ledger", "store", "data", "keys", "rounds")


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
        refused: records that broke a rule and changed nothing.
        outcomes: (round, task, how it ended) of every round.
    """

    of: str
    federation: str = ""
    fingerprint: str = ""
    homes: tuple[str, ...] = ()
    groups: dict[str, AuditResult] = field(default_factory=lambda: {name: AuditResult() for name in GROUPS})
    height: int = 0
    refused: tuple[Finding, ...] = ()
    outcomes: tuple[tuple[int, str, str], ...] = ()

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
    folder: str | os.PathLike[str], only: int | None = None, said: Callable[[str], None] = lambda _: None
) -> Audit:
    """Check one home, or all homes in a folder.

    Args:
        folder: a node's home, or a folder of homes of one federation.
        only: the one round whose dealings, sum and model are checked; None for all.
        said: is told what is being checked.

    Raises:
        NodeError: there is no home, or no federation file that can be read, or a ledger that cannot be read now, or the
            federation is of an earlier format.
    """
    folder = Path(folder)
    found = Audit(str(folder))
    homes = {home.folder.name: home for home in find_homes(folder)}
    federation, files = _read_files(homes, found)
    found.federation, found.fingerprint, found.homes = federation.name, federation.fingerprint, tuple(homes)
    agreement = read_agreement(federation.application.parameters)
    stores = _open_stores(homes, found.groups["store"])
    with closing(stores), ThreadPoolExecutor(os.cpu_count() or 1) as workers:
        # Hashing takes a core of its own.
        hashed = workers.submit(stores.verify, found.groups["store"])
        said("the ledger")
        history, replayed, named = _audit_ledger(homes, federation, agreement, found)
        _audit_cards(homes, files, replayed.memberships, found.groups["files"])
        found.outcomes = tuple((n, past.now.task, past.now.phase.value) for n, past in sorted(history.rounds.items()))
        if only is not None and only not in history.rounds:
            raise NodeError(f"the ledger has no round {only}; it has {len(history.rounds)}, from 0 on")
        said("the store")
        hashed.result()
        _audit_store(stores, history, named, homes, found.groups["store"])
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
            said(f"round {past.now.number}")
    return found


def read_history(folder: Path) -> History:
    """Return what the ledgers in one or several homes say became of their federation.

    Raises:
        NodeError: as `audit`.
    """
    found, homes = Audit(str(folder)), {home.folder.name: home for home in find_homes(folder)}
    federation, _ = _read_files(homes, found)
    return _audit_ledger(homes, federation, read_agreement(federation.application.parameters), found)[0]


def find_homes(folder: Path) -> list[Home]:
    """Return the home in `folder`, or those below it.

    Raises:
        NodeError: there is none.
    """
    if (folder / "node.toml").is_file():
        return [Home(folder)]
    homes = [Home(path.parent) for path in sorted(folder.glob("*/node.toml"))] if folder.is_dir() else []
    if not homes:
        raise NodeError(f"{folder} is no node's home and has none in it: there is no node.toml; check the path")
    return homes


def _read_files(homes: Mapping[str, Home], audit: Audit) -> tuple[FederationFile, dict[str, FederationFile]]:
    """Return the federation that most homes belong to, and what each home's file says, where it can be read."""
    found = audit.groups["files"]
    read: dict[str, FederationFile] = {}
    for name, home in homes.items():
        found.count("files")
        try:
            read[name] = home.federation()
        except MedwardError as error:
            found.problems.append(Finding(str(error), name))
    if not read:
        raise NodeError(f"no home in {audit.of} has a federation file that can be read: {found.problems[0].what}")
    prints = [federation.fingerprint for federation in read.values()]
    most = max(prints, key=prints.count)
    for name, federation in read.items():
        if federation.fingerprint != most:
            what = f"federation.json is that of another federation, {federation.name} ({federation.fingerprint})"
            found.problems.append(Finding(what, name))
    chosen = next(federation for federation in read.values() if federation.fingerprint == most)
    if chosen.application.name != "training":
        raise NodeError(f"{chosen.name} runs '{chosen.application.name}'; an audit knows federations that train only")
    return chosen, read


def _audit_cards(
    homes: Mapping[str, Home], read: Mapping[str, FederationFile], memberships: Sequence[Membership], found: AuditResult
) -> None:
    """Compare the cards in every home with each other, and with the members that the ledger knows."""
    ordered = {(m.name, m.incarnation): m for epoch in memberships for m in epoch.members}
    own: dict[tuple[str, int], Card] = {}
    for name, home in homes.items():
        found.count("cards")
        try:
            card = home.card()
        except MedwardError as error:
            found.problems.append(Finding(f"card.json: {error}", name))
            continue
        own[card.member.name, card.member.incarnation] = card
        _compare_card("card.json", name, card, None, ordered, found)
    for name, federation in read.items():
        for card in federation.cards:
            found.count("cards")
            known = own.get((card.member.name, card.member.incarnation))
            _compare_card("federation.json", name, card, known, ordered, found)


def _compare_card(
    file: str,
    home: str,
    card: Card,
    own: Card | None,
    ordered: Mapping[tuple[str, int], Member],
    found: AuditResult,
) -> None:
    member = card.member
    known = ordered.get((member.name, member.incarnation))
    try:
        # A node that writes the file anew takes the cards from the ledger, where they need no signature.
        if card.signatures:
            check_card(card)
    except InvalidCard as error:
        found.problems.append(Finding(f"{file}: {error}", home))
        return
    if known is None:
        what = f"{file}: the ledger knows no {member.name} of incarnation {member.incarnation}"
        found.remarks.append(Finding(what, home))
    elif (known.keys, known.certificate) != (member.keys, member.certificate):
        what = f"{file}: the keys of {member.name} are not those that the ledger has of it"
        found.problems.append(Finding(what, home))
    elif own is not None and (own.member, own.gateway) != (member, card.gateway):
        what = f"{file}: the card of {member.name} is another than in its own home"
        found.problems.append(Finding(what, home))


def _audit_ledger(
    homes: Mapping[str, Home], federation: FederationFile, agreement: Agreement, audit: Audit
) -> tuple[History, Replayed, dict[str, str]]:
    """Verify and replay the ledger; return what it led to, and name -> what it is of every blob that it names."""
    found = audit.groups["ledger"]
    application, history = FederationApplication(agreement), History(agreement)
    refused: list[Finding] = []
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
            refused.append(Finding(result.data.decode("utf-8", "replace") or "ordered twice", height=height))

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
    stores.verify(found)
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


def document(audit: Audit) -> dict[str, Any]:
    """Return an audit as JSON values."""

    def shown(one: Finding) -> dict[str, Any]:
        places = {"home": one.home, "height": one.height, "round": one.round, "name": one.name}
        guilty = {"guilty": list(one.guilty)} if one.guilty else {}
        return {**{key: value for key, value in places.items() if value is not None}, "what": one.what, **guilty}

    return {
        "folder": audit.of,
        "federation": audit.federation,
        "fingerprint": audit.fingerprint,
        "homes": list(audit.homes),
        "height": audit.height,
        "rounds": [{"round": n, "task": task, "ended": ended} for n, task, ended in audit.outcomes],
        "checks": {
            name: {
                "checked": found.checked,
                "problems": [shown(one) for one in found.problems],
                "remarks": [shown(one) for one in found.remarks],
            }
            for name, found in audit.groups.items()
        },
        "refused": [shown(one) for one in audit.refused],
        "sound": audit.sound,
    }
