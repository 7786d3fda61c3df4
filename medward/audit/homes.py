"""`medward audit`: everything that a federation's nodes have on disk, checked offline, without a key, changing nothing.

    files     home_files.py                 federation.json and the cards, compared with each other
    ledger    ledgers.py                    every certificate, one replay
    store     stores.py                     every block hashed; what the ledger rests on is there

A federation that trains (training.py):

    data      sealed_data.py                sealed data sets are what is on record of them
    keys      rounds.audit_sealing_keys     the keys that shares were sealed to
    rounds    rounds.audit_round            dealings, complaints, cohorts, answers, sums, models, votes

One whose members compute on ciphertexts (computing/):

    batches   batches.py                    encrypted scores, computed again
    tasks     tasks.py                      sums of encrypted rows, computed again and opened again

Of a demo that trains, in rounds or on encrypted rows:

    demo      demo.py                       what it wrote beside its nodes' homes

What lies there and is not checked is listed (unchecked.py). What that proves, and what it cannot: docs/audit.md.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from medward.audit.computing.batches import AuditedScoring
from medward.audit.computing.tasks import AuditedOutsourcing
from medward.audit.demo import MODEL_FILES, DemoAudit, DemoTerms, MakePage, audit_demo, is_demo
from medward.audit.findings import AuditResult, Finding
from medward.audit.history import History, RefusedRecord
from medward.audit.home_files import audit_cards, homes_that_ran, plain_homes, read_federations
from medward.audit.kinds import COMMON_GROUPS, AuditedFederation
from medward.audit.ledgers import read_ledgers
from medward.audit.pbft_ledger import Replayed
from medward.audit.stores import Stores, open_blocks
from medward.audit.training import AuditedTraining
from medward.audit.unchecked import MOST_NAMED, UncheckedFile, unchecked_files
from medward.errors import MedwardError
from medward.ledger.membership import Membership
from medward.node.api.client import NodeClient
from medward.node.errors import NodeError
from medward.node.home.audit_copy import read_copy
from medward.node.home.federation_file import FederationFile
from medward.node.home.folder import Home
from medward.node.outsourced.rules import OutsourcedRules
from medward.node.scoring.rules import ScoringRules
from medward.node.trial.manifest import MANIFEST, METRICS, MODEL, REPORT
from medward.store.errors import StoreError


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
        outcomes: (number, what it was, how it ended) of every unit of work.
        signed: member -> under how many blocks its valid signature stands.
        signing_keys: (member, incarnation, SHA-256 of its public key) of all who ever were members.
        demo: who signed what a demo wrote.
        unchecked: what lies in the folder and was not checked.
        unnamed: how many more such files and folders there are.
        unit: what its work comes in: a round, a batch or a task.
    """

    of: str
    federation: str = ""
    fingerprint: str = ""
    homes: tuple[str, ...] = ()
    groups: dict[str, AuditResult] = field(default_factory=lambda: _groups(AuditedTraining.groups))
    height: int = 0
    refused: tuple[Finding, ...] = ()
    refused_records: tuple[RefusedRecord, ...] = ()
    outcomes: tuple[tuple[int, str, str], ...] = ()
    signed: Mapping[str, int] = field(default_factory=dict)
    signing_keys: tuple[tuple[str, int, str], ...] = ()
    demo: DemoAudit = field(default_factory=DemoAudit)
    unchecked: tuple[UncheckedFile, ...] = ()
    unnamed: int = 0
    unit: str = AuditedTraining.unit

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
    def units(self) -> str:
        """What its work comes in, in plural."""
        return "batches" if self.unit == "batch" else f"{self.unit}s"

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
        only: the one round, batch or task that is checked; None for all.
        said: is told what is being checked.
        make_page: makes a demo's report.html anew; None where nobody can.

    Raises:
        BadUsage: the homes belong to several federations.
        NodeError: there is no home, or no federation file that can be read, or a ledger that cannot be read now, or the
            federation is of an earlier format.
    """
    folder = Path(folder)
    files = AuditResult()
    homes = plain_homes(folder, files)
    federation, told = read_federations(homes, folder, files)
    audited = _audited(federation, homes)
    groups = _groups(audited.groups) | {"files": files}
    found = Audit(str(folder), federation.name, federation.fingerprint, tuple(homes), groups, unit=audited.unit)
    ran = homes_that_ran(homes, files)
    stores = _open_stores(ran, found.groups["store"])
    with closing(stores), ThreadPoolExecutor(1) as hashing:
        # Hashing takes a core of its own.
        hashed = hashing.submit(stores.verify, found.groups["store"])
        said("the ledger and the blocks of the stores")
        replayed = _replay(ran, federation, audited, found)
        audit_cards(homes, told, replayed.memberships, files)
        outcomes = audited.outcomes()
        if only is not None and only not in outcomes:
            first = f", from {min(outcomes)} on" if outcomes else ""
            raise NodeError(f"the ledger has no {audited.unit} {only}; it has {len(outcomes)}{first}")
        said("the store")
        hashed.result()
        stores.tell(*audited.blobs(_owners(ran)), found.groups["store"])
        audited.check([only] if only is not None else list(outcomes), stores, found.groups, said)
        _look_beside_homes(folder, homes, audited, replayed, stores, make_page, found, said)
    return found


def _groups(more: Sequence[str]) -> dict[str, AuditResult]:
    return {name: AuditResult() for name in (*COMMON_GROUPS, *more)}


def _audited(federation: FederationFile, homes: Mapping[str, Home]) -> AuditedFederation:
    """Return a federation of the kind that a federation file tells.

    Raises:
        NodeError: no audit knows this kind.
    """
    application = federation.application
    match application.name:
        case "training":
            return AuditedTraining(application.parameters, homes.values())
        case "scoring":
            make = ScoringRules(application.parameters).make_application
            return AuditedScoring(make, federation.genesis.chain)
        case "outsourced":
            begin = OutsourcedRules(application.parameters).make_application
            return AuditedOutsourcing(begin, federation.genesis.chain)
        case other:
            raise NodeError(
                f"{federation.name} runs '{other}'; an audit knows federations that train, score or train on encrypted "
                "rows"
            )


def _look_beside_homes(
    folder: Path,
    homes: Mapping[str, Home],
    audited: AuditedFederation,
    replayed: Replayed,
    stores: Stores,
    make_page: MakePage | None,
    audit: Audit,
    said: Callable[[str], None],
) -> None:
    """Check what a demo wrote beside the homes, and list what nobody checked."""
    below = () if folder in (home.folder for home in homes.values()) else tuple(homes)
    compared: frozenset[str] = frozenset()
    if below and is_demo(folder):
        said("what the demo wrote")
        truth = audited.truth(stores.read, audit.groups.get("demo", AuditResult()))
        if truth is not None:
            terms = DemoTerms(audit.fingerprint, replayed.memberships, truth, make_page)
            audit.demo = audit_demo(folder, below, terms, audit.groups["demo"])
            # What a manifest does not list was compared where it could be made anew.
            made = {f"{MODEL}/{name}" for name in MODEL_FILES} | {METRICS, REPORT}
            compared = audit.demo.listed | (made - audit.demo.unproved.keys()) | {MANIFEST}
    named = unchecked_files(folder, below, compared, audit.demo.unproved)
    audit.unchecked = tuple(islice(named, MOST_NAMED))
    audit.unnamed = sum(1 for _ in named)


def _signing_keys(memberships: Sequence[Membership]) -> tuple[tuple[str, int, str], ...]:
    known = {(m.name, m.incarnation): m.keys[0].data for epoch in memberships for m in epoch.members}
    return tuple((*who, hashlib.sha256(key).hexdigest()) for who, key in sorted(known.items()))


def read_history(folder: Path) -> History:
    """Return what the ledgers in one or several homes say became of their federation, which trains.

    Raises:
        NodeError: as `audit`.
    """
    files = AuditResult()
    homes = plain_homes(folder, files)
    federation, _ = read_federations(homes, folder, files)
    audited = AuditedTraining(federation.application.parameters, ())
    _replay(homes_that_ran(homes, files), federation, audited, Audit(str(folder), groups={"ledger": AuditResult()}))
    return audited.history


def _replay(
    homes: Mapping[str, Home], federation: FederationFile, audited: AuditedFederation, audit: Audit
) -> Replayed:
    """Verify and replay the ledger, and note what it says."""
    found = audit.groups["ledger"]
    ledger, lasts = read_ledgers(homes, federation, audited.decode, found)
    replayed = ledger.run(audited.new_application(), audited.take)
    if not audited.agrees():
        found.problems.append(Finding("the records lead to another state than the ledger's own replay"))
    found.count("records", audited.taken)
    audit.height, audit.refused = replayed.height, audited.refusals()
    audit.refused_records = (*audited.unread, *audited.refused)
    audit.signed, audit.signing_keys = replayed.signed, _signing_keys(replayed.memberships)
    audit.outcomes = tuple((number, *told) for number, told in audited.outcomes().items())
    for name, last in lasts.items():
        if last < replayed.height:
            found.remarks.append(Finding(f"ends at height {last}, others at {replayed.height}", name))
    return replayed


def _open_stores(homes: Mapping[str, Home], found: AuditResult) -> Stores:
    blocks = {}
    for name, home in homes.items():
        try:
            blocks[name] = open_blocks(home.store)
        except StoreError as error:
            found.problems.append(Finding(str(error), name))
    return Stores(blocks)


def _owners(homes: Mapping[str, Home]) -> set[str]:
    """Return whose homes these are, as far as their cards can be read."""
    owners = set()
    for home in homes.values():
        with suppress(MedwardError):
            owners.add(home.card().name)
    return owners
